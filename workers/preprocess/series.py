"""The images of one series as its model takes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from schemas.manifest import ImagePreparation
from schemas.preparation import TablePreparation
from workers.preprocess.display import to_grey, windowed
from workers.preprocess.pixels import fit, normalise, prepare_image
from workers.preprocess.tabular import read_row, table_of, with_rows
from workers.preprocess.volume import read_volume


def prepare_series(
    paths: Sequence[Path], preparation: ImagePreparation, table: TablePreparation | None = None
) -> NDArray[np.float32]:
    """Return the prepared images (n, 1, rows, columns) of the files.

    They come in the order of the paths and their frames, those of a volume in the order of space.
    With a table each has the row of its file behind it, as `tabular.with_rows` puts it there.

    Raises:
        UndecodableError: an image is damaged; a series with a hole is not diagnosed.
        UnsupportedInputError: an image is of a form that the model cannot take.
        NotAVolumeError: the model takes volumes, and this is not one.
    """
    if preparation.takes == "volume" and preparation.window is not None:
        slices = read_volume(paths).values
        shown = (to_grey(windowed(one.astype(float), *preparation.window)) for one in slices)
        fitted = np.stack([fit(grey, preparation) for grey in shown])
        return _told(normalise(fitted, preparation), paths[0], table)
    return np.concatenate([_told(prepare_image(path, preparation), path, table) for path in paths])


def _told(
    images: NDArray[np.float32], path: Path, table: TablePreparation | None
) -> NDArray[np.float32]:
    if table is None:
        return images
    return with_rows(images, table_of([read_row(path)] * len(images), table))
