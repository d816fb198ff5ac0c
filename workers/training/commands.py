"""The command `medqueue train`: reading, running, printing, no more."""

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
@click.option("--queue", is_flag=True, help="Leave it to a `medqueue worker --role train`.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def train(
    config: Path,
    output: Path,
    *,
    device: str,
    processes: int,
    checkpoint_seconds: float,
    queue: bool,
    as_json: bool,
) -> None:
    """Train a model on the train split of CONFIG's data and write it as a package.

    A training that was cut off goes on from its last checkpoint when the same command is given
    again. The figures printed are of the val split. An image model's temperature is fitted on it
    too; a text model's on a part of the train split. They flatter a model that was chosen by them.
    """
    if queue:
        from workers.training.queueing import queue_training

        if processes > 1:
            raise click.UsageError("a queued training has one process: leave --processes out")
        id_ = queue_training(config, output)
        click.echo(json.dumps({"training": id_}) if as_json else f"queued as training {id_}")
        return
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
    from workers.training.printing import print_figures

    if not as_json:
        print_figures(manifest.name, manifest.version, "val", measured)
        return
    content: dict[str, object] = {
        "model": manifest.name,
        "version": manifest.version,
        "split": "val",
        "n": measured.n,
        "metrics": measured.metrics,
        "confusion": measured.confusion,
    }
    if measured.labels:
        content["labels"] = measured.labels
    for name in ("calibration", "conformal"):
        table = getattr(manifest, name)
        if table is not None:
            content[name] = table.model_dump(mode="json")
    click.echo(json.dumps(content))
