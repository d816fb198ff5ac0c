"""What the validation images are like: the reference that drift is measured against."""

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import ImagePreparation
from schemas.validation import Histogram, Reference
from workers.preprocess.pixels import fit

BINS = 10
"""Of equal share, as is usual for the population stability index; fewer where values repeat."""


def fit_reference(
    pixels: NDArray[np.uint8], probabilities: NDArray[np.float32], preparation: ImagePreparation
) -> Reference:
    """Return how mean, contrast and score of images are spread.

    Args:
        pixels: 8-bit images (n, rows, columns).
        probabilities: (n,), the highest of each image's.
        preparation: of the package.
    """
    if pixels.shape[1:] != preparation.size:
        pixels = np.stack([fit(image, preparation) for image in pixels])
    grey = pixels.reshape(len(pixels), -1) / 255
    return Reference(
        cases=len(pixels),
        intensity=histogram_of(grey.mean(axis=1)),
        contrast=histogram_of(grey.std(axis=1)),
        score=histogram_of(probabilities),
    )


def histogram_of(values: NDArray[np.floating]) -> Histogram:
    """Part values into bins of about equal share."""
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])
    edges = np.unique(np.round(inner, 6))
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return Histogram(
        edges=tuple(edges.tolist()), shares=tuple((counts / len(values)).round(6).tolist())
    )
