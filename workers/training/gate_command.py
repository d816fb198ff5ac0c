"""The command `medqueue models gate`: how well a package's gate tells images of other data."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from medqueue.errors import ConfigurationError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class GateFigures:
    """Of a gate, on images that it should pass and images that it should not."""

    model: str
    version: str
    own: int
    foreign: int
    auroc: float
    own_marked: float
    """Share of the model's own kind of image beyond `mark_beyond`; so of the others."""
    own_refused: float
    foreign_marked: float
    foreign_refused: float


@click.command(epilog="Example: medqueue models gate breast-us --data own.npz --foreign chest.npz")
@click.argument("name")
@click.option("--data", type=_FILE, required=True, help="Images of the model's own kind, npz.")
@click.option("--foreign", type=_FILE, required=True, help="Images of another kind, npz.")
@click.option("--split", default="val", show_default=True, help="Of both files.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gate(name: str, data: Path, foreign: Path, split: str, as_json: bool) -> None:
    """Measure how well the gate of NAME (bundled, or a folder) tells FOREIGN images from its own.

    The levels of a gate are of half of its own validation split: figures on that split flatter it.
    """
    figures = asdict(measure_gate(name, data, foreign, split))
    if as_json:
        click.echo(json.dumps(figures))
        return
    for key, value in figures.items():
        shown = f"{value:.4f}" if isinstance(value, float) else value
        click.echo(f"  {key:<16}{shown}")


def measure_gate(name: str, data: Path, foreign: Path, split: str) -> GateFigures:
    """Compare the distances of both files' images.

    Raises:
        ConfigurationError: the package has no gate.
    """
    import numpy as np
    import torch
    from torchmetrics.functional.classification import binary_auroc

    from workers.models.gate import parse_gate
    from workers.models.network import build_network
    from workers.models.package import bundled_packages, load_package
    from workers.training.data import read_split
    from workers.training.gate import distances_of

    folders = {folder.name: folder for folder in bundled_packages()}
    package = load_package(folders.get(name, Path(name)))
    manifest = package.manifest
    if manifest.gate is None or manifest.preparation is None:
        raise ConfigurationError(f"{name}: the package has no gate; train it again")
    statistics, network = parse_gate(package.read(manifest.gate)), build_network(package)
    own, other = (
        distances_of(network, statistics, read_split(path, split, 1).pixels, manifest.preparation)
        for path in (data, foreign)
    )
    is_foreign = torch.arange(len(own) + len(other)) >= len(own)
    distances = torch.from_numpy(np.concatenate([own, other]))
    refused = manifest.gate.refuse_beyond or float("inf")
    return GateFigures(
        model=manifest.name,
        version=manifest.version,
        own=len(own),
        foreign=len(other),
        # Beyond 1 they would be taken for logits; ranks are all that counts.
        auroc=float(binary_auroc(distances / distances.max(), is_foreign.long())),
        own_marked=float(np.mean(own > manifest.gate.mark_beyond)),
        own_refused=float(np.mean(own > refused)),
        foreign_marked=float(np.mean(other > manifest.gate.mark_beyond)),
        foreign_refused=float(np.mean(other > refused)),
    )
