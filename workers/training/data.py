"""Labelled images from an npz file in MedMNIST's form; no picture is kept or written elsewhere."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from medqueue.errors import ConfigurationError
from workers.preprocess.tabular import Row

GREY_IMAGES_NDIM = 3


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Grey images with one yes-or-no label each."""

    pixels: NDArray[np.uint8]
    """(n, rows, columns), 0 is black."""
    targets: NDArray[np.bool_]
    """(n,), True where the finding is present."""
    patients: tuple[str | None, ...] = ()
    """A digest of the patient's id for each image, None where it is not known; or nothing."""
    rows: tuple[Row, ...] = ()
    """What is known of each image beside its pixels; or nothing."""
    features: NDArray[np.float32] | None = None
    """(n, features): the rows as a model takes them that is told more than pixels."""

    def select(self, wanted: NDArray[np.bool_]) -> "LabelledImages":
        """Return some of the images."""
        return LabelledImages(
            self.pixels[wanted],
            self.targets[wanted],
            tuple(compress(self.patients, wanted)),
            tuple(compress(self.rows, wanted)),
            None if self.features is None else self.features[wanted],
        )


def split_of(path: Path, preferred: tuple[str, ...]) -> str:
    """Return the first of the splits that the file has."""
    for split in preferred:
        if has_split(path, split):
            return split
    raise ConfigurationError(f"{path}: has images and labels of no split: {', '.join(preferred)}")


def has_split(path: Path, split: str) -> bool:
    """Tell whether the file has images and labels of a split."""
    with _opened(path) as file:
        return f"{split}_images" in file and f"{split}_labels" in file


def read_split(path: Path, split: str, positive_class: int) -> LabelledImages:
    """Read one split of labelled grey images.

    Args:
        path: An npz file with `<split>_images` (n, rows, columns) uint8 and `<split>_labels`
            (n, 1), as MedMNIST v2 writes them.
        split: `train`, `val` or `test`.
        positive_class: The class that counts as present.
    """
    split_of(path, (split,))
    with _opened(path) as file:
        pixels, labels = file[f"{split}_images"], file[f"{split}_labels"]
    return _checked(path, split, pixels, labels, positive_class)


@contextmanager
def _opened(path: Path) -> Iterator[NpzFile]:
    try:
        # Pickled content could run code: it is never loaded.
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, NpzFile):
                raise ConfigurationError(f"{path}: is one array, not an npz file")
            yield file
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigurationError(f"{path}: cannot be read as npz: {error}") from error


def _checked(
    path: Path,
    split: str,
    pixels: NDArray[np.generic],
    labels: NDArray[np.generic],
    positive_class: int,
) -> LabelledImages:
    if pixels.dtype != np.uint8 or pixels.ndim != GREY_IMAGES_NDIM:
        raise ConfigurationError(
            f"{path}: {split}_images is {pixels.dtype} {pixels.shape}; "
            "needed are grey images: uint8 (n, rows, columns)"
        )
    if labels.size != len(pixels) or labels.dtype.kind not in "biu":
        raise ConfigurationError(
            f"{path}: {split}_labels is {labels.dtype} {labels.shape}; "
            f"needed is one class number for each of the {len(pixels)} images"
        )
    targets = labels.reshape(-1) == positive_class
    return LabelledImages(np.asarray(pixels, dtype=np.uint8), targets)
