"""What an image model says of images, whatever runs it; torch is not needed for it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import Saliency


@dataclass(frozen=True, slots=True)
class Reading:
    """Of n prepared images."""

    probabilities: NDArray[np.float32]
    """(n, labels), calibrated."""
    distances: NDArray[np.float32] | None = None
    """(n,) from the images that the model was trained on, where its package has a gate."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where in an image a finding was seen."""

    method: Saliency
    values: NDArray[np.float32]
    """(rows, columns), 0..1."""


class ImageModel(Protocol):
    """A loaded model version."""

    def read(self, images: NDArray[np.float32]) -> Reading:
        """Read prepared images (n, 1, rows, columns)."""

    def explain(self, image: NDArray[np.float32], label: int) -> Explanation | None:
        """Return how much each place of a prepared image (1, rows, columns) speaks for a label.

        None where the manifest has it switched off, or what runs the model cannot tell.
        """
