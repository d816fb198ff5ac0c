"""Fitting the out-of-distribution gate of an image model, and its levels."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from schemas.manifest import ImagePreparation
from workers.models.features import FeatureTap, feature_layers
from workers.models.gate import Gate, fit, write_gate
from workers.preprocess.pixels import fit as fit_size
from workers.preprocess.pixels import normalise
from workers.preprocess.tabular import with_rows

PASSES = 0.99
"""So many real inputs lie within the level beyond which one is marked."""
REFUSED_AT = 1.25
"""Times that level: an image beyond it is clearly foreign and refused. Between the two lie foreign
images too, but also those of other devices and other patients."""
_BATCH = 128

Rows = NDArray[np.float32] | None
"""Prepared rows of a table (n, features)."""


@dataclass(frozen=True, slots=True)
class FittedGate:
    """The statistics of the training split, and levels from one half of the validation split."""

    content: bytes
    """Of the file; see `workers.models.gate.parse_gate`."""
    mark_beyond: float
    refuse_beyond: float
    cases: int
    """In the half that the levels are of."""
    passed: float
    """Share of the other half that lies within `mark_beyond`."""
    seed: int
    """Of the parting."""


def fit_gate(
    network: nn.Module,
    training: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    preparation: ImagePreparation,
    *,
    seed: int,
    rows: tuple[Rows, Rows] = (None, None),
) -> FittedGate | None:
    """Fit the gate to a trained network; None for one without layers to look at.

    Args:
        network: in evaluation mode.
        training: images (n, rows, columns) that the statistics are of.
        validation: images that the levels are of.
        preparation: of the package.
        seed: parts the validation images into the half that the levels are of, and the rest.
        rows: of both, for a model that is told more than pixels.
    """
    first = None if rows[0] is None else rows[0][:1]
    layers = feature_layers(network, _prepared(training[:1], preparation, first))
    if not layers:
        return None
    gate = fit(features_of(network, training, preparation, layers, rows[0]))
    of_validation = features_of(network, validation, preparation, layers, rows[1])
    distances = gate.distances(of_validation).numpy()
    order = np.random.default_rng(seed).permutation(len(distances))
    half = -(-len(order) // 2)
    fitted, rest = distances[order[:half]], distances[order[half:]]
    level = level_of(fitted)
    return FittedGate(
        content=write_gate(gate),
        mark_beyond=round(level, 4),
        refuse_beyond=round(level * REFUSED_AT, 4),
        cases=len(fitted),
        passed=round(float(np.mean(rest <= level)), 4) if len(rest) else 1.0,
        seed=seed,
    )


def level_of(distances: NDArray[np.float32], passes: float = PASSES) -> float:
    """Return the level that a further image of the same kind is within, so often at least.

    Of few images it is the largest distance: the order statistic ceil((n + 1) * passes), which
    holds for any distribution (Vovk et al. 2005), or the last one.
    """
    rank = min(len(distances), math.ceil((len(distances) + 1) * passes))
    return float(np.sort(distances)[rank - 1])


def features_of(
    network: nn.Module,
    pixels: NDArray[np.uint8],
    preparation: ImagePreparation,
    layers: tuple[str, ...],
    rows: Rows = None,
) -> dict[str, Tensor]:
    """Return the pooled features (n, channels) of 8-bit images (n, rows, columns) by layer."""
    tap = FeatureTap(network, layers)
    taken = []
    try:
        with torch.inference_mode():
            for at in range(0, len(pixels), _BATCH):
                of_batch = None if rows is None else rows[at : at + _BATCH]
                network(_prepared(pixels[at : at + _BATCH], preparation, of_batch))
                taken.append(tap.take())
    finally:
        tap.close()
    return {layer: torch.cat([one[layer] for one in taken]) for layer in layers}


def distances_of(
    network: nn.Module, gate: Gate, pixels: NDArray[np.uint8], preparation: ImagePreparation
) -> NDArray[np.float32]:
    """Return how unusual each 8-bit image (n, rows, columns) is to a package's gate."""
    distances = gate.distances(features_of(network, pixels, preparation, gate.layers))
    return np.asarray(distances.numpy(), dtype=np.float32)


def _prepared(
    pixels: NDArray[np.uint8], preparation: ImagePreparation, rows: Rows = None
) -> Tensor:
    if pixels.shape[1:] != preparation.size:
        pixels = np.stack([fit_size(image, preparation) for image in pixels])
    images = normalise(pixels, preparation)
    return torch.from_numpy(images if rows is None else with_rows(images, rows))
