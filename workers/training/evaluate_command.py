"""The command `medqueue evaluate`: reading, running, printing, no more."""

import json
from pathlib import Path

import click

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="Example: medqueue evaluate cxr-pneumonia --data pneumoniamnist.npz --report out.html"
)
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Images: an npz file in MedMNIST's form, or a folder with a CSV. Texts: JSON lines. "
    "Its test split is used, else val, else train.",
)
@click.option(
    "--positive-class",
    type=int,
    help="The class number that means present; by default the package says it.",
)
@click.option(
    "--form",
    type=_FILE,
    help="A training configuration whose [data] says how to read a CSV or JSON lines; "
    "by default the one in the package.",
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with curves and tables to this file.",
)
@click.option(
    "--pictures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the curves into this folder, as PNG and SVG.",
)
@click.option(
    "--robustness",
    is_flag=True,
    help="Measure bent, noisy and attacked images too; it takes minutes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(
    name: str,
    data: Path,
    *,
    positive_class: int | None,
    form: Path | None,
    report: Path | None,
    pictures: Path | None,
    robustness: bool,
    as_json: bool,
) -> None:
    """Measure the model NAME on labelled data.

    NAME is a model of `medqueue models list`, with `:VERSION` where it has more than one, or the
    folder of a package.
    """
    from workers.training.assessment import assess
    from workers.training.chosen import chosen_package
    from workers.training.history import read_history
    from workers.training.measure import measure
    from workers.training.plots import write_pictures
    from workers.training.printing import print_figures
    from workers.training.report import write_report

    package = chosen_package(name)
    measured = measure(package, data, positive_class=positive_class, config=form)
    assessment = assess(package, measured, robustness=robustness)
    history = read_history(package.folder)
    if report is not None:
        write_report(report, assessment, data.name, history)
    if pictures is not None:
        write_pictures(pictures, assessment, history)
    if as_json:
        click.echo(json.dumps(assessment.as_json()))
    else:
        intervals = assessment.labels[0].intervals if not measured.evaluation.labels else {}
        print_figures(
            package.manifest.name,
            package.manifest.version,
            measured.split,
            measured.evaluation,
            intervals,
        )
