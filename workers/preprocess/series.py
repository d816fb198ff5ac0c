"""The images of one series as its model takes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import ImagePreparation
from workers.preprocess.display import to_grey, windowed
from workers.preprocess.pixels import fit, normalise, prepare_image
from workers.preprocess.volume import read_volume


def prepare_series(paths: Sequence[Path], preparation: ImagePreparation) -> NDArray[np.float32]:
    """Return the prepared images (n, 1, rows, columns) of the files.

    They come in the order of the paths and their frames, those of a volume in the order of space.

    Raises:
        UndecodableError: an image is damaged; a series with a hole is not diagnosed.
        UnsupportedInputError: an image is of a form that the model cannot take.
        NotAVolumeError: the model takes volumes, and this is not one.
    """
    if preparation.takes == "volume" and preparation.window is not None:
        slices = read_volume(paths).values
        shown = (to_grey(windowed(one.astype(float), *preparation.window)) for one in slices)
        return normalise(np.stack([fit(grey, preparation) for grey in shown]), preparation)
    return np.concatenate([prepare_image(path, preparation) for path in paths])
