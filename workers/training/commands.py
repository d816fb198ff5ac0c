"""The commands `medqueue train` and `medqueue evaluate`: reading, running, printing, no more."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from schemas.manifest import Manifest
    from workers.training.evaluate import Evaluation

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="Example: medqueue train workers/models/bundled/cxr-pneumonia/train.toml --output out"
)
@click.argument("config", type=_FILE)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the new package: empty, not there, or of a training that was cut off.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto takes a GPU where there is one.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that train together, each on a GPU of its own.",
)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    help="Time between two checkpoints; 0 writes one after every step.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def train(
    config: Path,
    output: Path,
    *,
    device: str,
    processes: int,
    checkpoint_seconds: float,
    as_json: bool,
) -> None:
    """Train a model on the train split of CONFIG's data and write it as a package.

    A training that was cut off goes on from its last checkpoint when the same command is given
    again. The figures printed are of the val split. An image model's temperature is fitted on it
    too; a text model's on a part of the train split. They flatter a model that was chosen by them.
    """
    from workers.training.produce import train_package

    train_package(
        config,
        output,
        partial(_show_trained, as_json=as_json),
        processes=processes,
        device=device,
        seconds=checkpoint_seconds,
    )


def _show_trained(manifest: "Manifest", measured: "Evaluation", *, as_json: bool) -> None:
    _print(manifest.name, manifest.version, "val", measured, as_json=as_json)


@click.command(epilog="Example: medqueue evaluate cxr-pneumonia --data pneumoniamnist.npz --json")
@click.argument("name")
@click.option(
    "--data",
    type=_FILE,
    required=True,
    help="Images: an npz file in MedMNIST's form. Texts: JSON lines. "
    "Its test split is used, else val, else train.",
)
@click.option("--positive-class", default=1, show_default=True, help="The class that is present.")
@click.option(
    "--form",
    type=_FILE,
    help="A training configuration whose [data] says how to read JSON lines; "
    "by default the one in the package.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(name: str, data: Path, positive_class: int, form: Path | None, as_json: bool) -> None:
    """Measure the model NAME (a bundled model, or the folder of a package) on labelled data."""
    from workers.models.package import bundled_packages, load_package
    from workers.training.measure import form_of, measure

    folders = {folder.name: folder for folder in bundled_packages()}
    package = load_package(folders.get(name, Path(name)))
    measured = measure(package, data, positive_class=positive_class, form=form_of(package, form))
    manifest = package.manifest
    _print(manifest.name, manifest.version, measured.split, measured.evaluation, as_json=as_json)


def _print(
    name: str, version: str, split: str | None, measured: "Evaluation", *, as_json: bool
) -> None:
    if as_json:
        content: dict[str, object] = {
            "model": name,
            "version": version,
            "split": split,
            "n": measured.n,
            "metrics": measured.metrics,
            "confusion": measured.confusion,
        }
        if measured.labels:
            content["labels"] = measured.labels
        click.echo(json.dumps(content))
        return
    click.echo(f"{name} {version} on {measured.n} inputs of the {split or 'whole'} split")
    for metric, value in measured.metrics.items():
        click.echo(f"  {metric:<16}{value:.4f}")
    for count, number in measured.confusion.items():
        click.echo(f"  {count:<16}{number}")
    if measured.labels:
        click.echo(f"  {'label':<28}{'present':>8}{'auroc':>8}{'auprc':>8}{'f1':>8}")
    for label, values in measured.labels.items():
        click.echo(
            f"  {label:<28}{values['present']:>8.0f}"
            f"{values['auroc']:>8.3f}{values['auprc']:>8.3f}{values['f1']:>8.3f}"
        )
