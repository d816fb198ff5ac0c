"""The images of one series as its model takes them, in the order of the paths."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import ImagePreparation
from workers.preprocess.pixels import prepare_image


def prepare_series(paths: Sequence[Path], preparation: ImagePreparation) -> NDArray[np.float32]:
    """Return the prepared images (n, 1, rows, columns) of the files.

    Raises:
        UndecodableError: an image is damaged; a series with a hole is not diagnosed.
        UnsupportedInputError: an image is of a form that the model cannot take.
    """
    return np.stack([prepare_image(path, preparation) for path in paths])
