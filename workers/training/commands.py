"""The commands `medqueue train` and `medqueue evaluate`: reading, running, printing, no more."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medqueue.errors import ConfigurationError

if TYPE_CHECKING:
    from workers.training.evaluate import Evaluation

EVALUATED_SPLITS = ("test", "val", "train")
"""In order of preference: what the model has never seen comes first."""

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="Example: medqueue train workers/models/bundled/cxr-pneumonia/train.toml --output out"
)
@click.argument("config", type=_FILE)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the new package; it must be empty or not there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def train(config: Path, output: Path, as_json: bool) -> None:
    """Train a model on the train split of CONFIG's data and write it as a package.

    The temperature is fitted on the val split, and the figures printed are of the val split: they
    flatter a model that was chosen by them.
    """
    import torch

    from workers.training.calibration import fit_temperature
    from workers.training.config import read_config
    from workers.training.data import read_split
    from workers.training.evaluate import evaluate_network, logits_of
    from workers.training.loop import train_network
    from workers.training.packaging import write_package

    if output.exists() and any(output.iterdir()):
        raise ConfigurationError(f"{output}: is not empty; name a new folder for the package")
    read = read_config(config)
    data, package = read.data, read.package
    training = read_split(data.path, "train", data.positive_class)
    validation = read_split(data.path, "val", data.positive_class)
    network = train_network(
        read,
        training,
        lambda epoch: click.echo(
            f"epoch {epoch.number}/{epoch.of} loss {epoch.loss:.4f}", err=True
        ),
    )
    logits = logits_of(network, validation.pixels, package.preparation)[:, 0]
    temperature = fit_temperature(logits, torch.from_numpy(validation.targets))
    write_package(output, network, package, temperature, datetime.now(UTC).date())
    measured = evaluate_network(
        network,
        validation,
        package.preparation,
        temperature=temperature,
        threshold=package.label.threshold,
    )
    _print(package.name, package.version, "val", measured, as_json=as_json)


@click.command(epilog="Example: medqueue evaluate cxr-pneumonia --data pneumoniamnist.npz --json")
@click.argument("name")
@click.option(
    "--data",
    type=_FILE,
    required=True,
    help="An npz file in MedMNIST's form. Its test split is used, else val, else train.",
)
@click.option("--positive-class", default=1, show_default=True, help="The class that is present.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(name: str, data: Path, positive_class: int, as_json: bool) -> None:
    """Measure the model NAME (a bundled model, or the folder of a package) on labelled images."""
    from workers.models.network import build_network
    from workers.models.package import bundled_packages, load_package
    from workers.training.data import read_split, split_of
    from workers.training.evaluate import evaluate_network

    folders = {folder.name: folder for folder in bundled_packages()}
    package = load_package(folders.get(name, Path(name)))
    manifest = package.manifest
    if manifest.preparation is None:
        raise ConfigurationError(f"{name}: is no image model, and npz data holds images")
    split = split_of(data, EVALUATED_SPLITS)
    measured = evaluate_network(
        build_network(package),
        read_split(data, split, positive_class),
        manifest.preparation,
        temperature=manifest.temperature,
        threshold=manifest.labels[0].threshold,
    )
    _print(manifest.name, manifest.version, split, measured, as_json=as_json)


def _print(name: str, version: str, split: str, measured: "Evaluation", *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"model": name, "version": version, "split": split} | asdict(measured))
        )
        return
    click.echo(f"{name} {version} on {measured.n} images of the {split} split")
    for metric, value in measured.metrics.items():
        click.echo(f"  {metric:<12}{value:.4f}")
    for count, number in measured.confusion.items():
        click.echo(f"  {count:<16}{number}")
