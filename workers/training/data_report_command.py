"""The command `medqueue data-report`: reading, looking, writing, no more."""

import json
from pathlib import Path

import click


@click.command(
    "data-report", epilog="Example: medqueue data-report train.toml --output data-report.html"
)
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="The HTML file to write; it shows pictures of the data.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
def data_report(config: Path, output: Path | None, *, as_json: bool) -> None:
    """Look at the data that CONFIG would train on: counts, gaps, copies, leakage, balance.

    CONFIG is what `medqueue train` reads. Nothing is trained and nothing is changed.
    """
    from workers.training.config import ImageTraining, read_config
    from workers.training.data_report import report_images, report_texts
    from workers.training.preparing import records_of
    from workers.training.sources import read_source

    read = read_config(config)
    if isinstance(read, ImageTraining):
        package = read.package
        source = read_source(read.data, package.label.name, package.preparation)
        report = report_images(source, read)
    else:
        report = report_texts(records_of(read), read)
    if output is not None:
        output.write_text(report.as_html(), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(report.as_json()))
        return
    for finding in report.findings:
        click.echo(f"{finding.level:<5} {finding.text}")
    if output is not None:
        click.echo(f"written to {output}")
