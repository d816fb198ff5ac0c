"""The command `medqueue tune`: reading, running, printing, no more."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from workers.training.tuning import Tried


@click.command(epilog="Example: medqueue tune train.toml --output search")
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the search: new, or of one that was cut off or is to be gone on with.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto takes a GPU where there is one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print every training as JSON.")
def tune(config: Path, output: Path, device: str, as_json: bool) -> None:
    """Search better values for CONFIG as its [tune] table says, and write them as a new file.

    Trainings are compared on the val split alone, so the figure of the best one flatters it.
    A search that was cut off goes on when the same command is given again.
    """
    from workers.training.produce import device_of
    from workers.training.tuning import tune as search

    found = search(config, output, _tell, device=device_of(device, processes=1))
    if as_json:
        content = {
            "monitor": found.monitor,
            "best": _content(found.best),
            "trials": [_content(tried) for tried in found.trials],
            "config": str(found.config),
        }
        click.echo(json.dumps(content))
        return
    click.echo(f"best of {len(found.trials)}: {_line(found.best)}")
    click.echo(f"written to {found.config}: medqueue train {found.config} --output FOLDER")


def _tell(tried: "Tried") -> None:
    click.echo(_line(tried), err=True)


def _line(tried: "Tried") -> str:
    figure = "given up" if tried.figure is None else f"{tried.figure:.4f}"
    values = ", ".join(f"{name} {value}" for name, value in tried.values.items())
    return f"training {tried.number}/{tried.of}: {figure} with {values}"


def _content(tried: "Tried") -> dict[str, object]:
    content = asdict(tried)
    content.pop("of")
    return content
