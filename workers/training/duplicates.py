"""Finding images that are the same, and images that look alike.

Alike is a matter of small thumbnails: each is averaged to 16 x 16, its mean taken away, its length
made one, and two are compared by their product, which is their correlation. So a copy that was
made brighter, compressed again or saved in another depth is found; one that was cropped, shifted or
mirrored is not. How far apart different patients are was measured: see docs/howto/prepare-data.md.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medqueue.errors import ConfigurationError

THUMBNAIL = 16
_BLOCK = 512
"""Rows of the matrix of correlations that are held at once."""
MAX_PAIRS = 2_000_000
"""With more of them nothing can be told from alike: the images are of one phantom, or blank."""

Pairs = list[tuple[int, int]]
"""Of places in one list of images, the earlier first."""


def same_pairs(pixels: Sequence[NDArray[np.uint8]]) -> Pairs:
    """Pair each image (rows, columns) that came before, to the last bit, with the first such."""
    first: dict[bytes, int] = {}
    pairs = []
    for at, image in enumerate(pixels):
        digest = hashlib.sha256(np.ascontiguousarray(image).data).digest()
        before = first.setdefault(digest, at)
        if before != at:
            pairs.append((before, at))
    return pairs


def alike_pairs(pixels: Sequence[NDArray[np.uint8]], correlation: float) -> Pairs:
    """Pair all images (rows, columns) whose thumbnails correlate so much, or more.

    The time grows with the square of their
    number: 5,000 take about a second, 100,000 some minutes.
    """
    if not len(pixels):
        return []
    small = np.stack([_thumbnail(image) for image in pixels])
    pairs: Pairs = []
    for start, block in _blocks(small):
        near = np.argwhere(block @ small[: start + len(block)].T >= correlation)
        later, earlier = near[:, 0] + start, near[:, 1]
        ordered = earlier < later
        pairs += zip(earlier[ordered].tolist(), later[ordered].tolist(), strict=True)
        if len(pairs) > MAX_PAIRS:
            raise ConfigurationError(
                f"more than {MAX_PAIRS} pairs of images look alike: raise data.cleaning.correlation"
            )
    return pairs


def _blocks(small: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, len(small), _BLOCK):
        yield start, small[start : start + _BLOCK]


def _thumbnail(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    box = Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    values = np.asarray(box, dtype=np.float32).ravel()
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    # A blank image is like no other: it has nothing to be compared by.
    return np.asarray(values / length if length > 0 else values, dtype=np.float32)
