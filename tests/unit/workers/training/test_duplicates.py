"""Copies: the same to the last bit, or alike whatever was done to their brightness."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medqueue.errors import ConfigurationError
from workers.training import duplicates
from workers.training.duplicates import alike_pairs, same_pairs


def pictures(count: int, size: int = 64) -> list[NDArray[np.uint8]]:
    """Smooth pictures, each of its own, as anatomy is and noise is not."""
    chance = np.random.default_rng(5)
    coarse = chance.integers(0, 256, (count, 6, 6), dtype=np.uint8)
    return [
        np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC))
        for one in coarse
    ]


def compressed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def test_every_later_copy_is_paired_with_the_first() -> None:
    one, other = pictures(2)

    assert same_pairs([one, other, one.copy(), one.copy()]) == [(0, 2), (0, 3)]


def test_different_pictures_are_not_alike() -> None:
    assert alike_pairs(pictures(200), 0.99) == []


@pytest.mark.parametrize(
    "changed",
    [
        lambda image: np.clip(image * 0.8 + 10, 0, 255).astype(np.uint8),
        lambda image: (255 * (image / 255) ** 1.2).astype(np.uint8),
        compressed,
        lambda image: np.asarray(Image.fromarray(image).resize((50, 50))),
    ],
)
def test_a_changed_copy_is_alike(changed: object) -> None:
    assert callable(changed)
    images = pictures(20)

    assert alike_pairs([*images, changed(images[7])], 0.99) == [(7, 20)]


def test_pairs_are_found_across_the_blocks_in_which_they_are_sought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = pictures(9)
    images += images
    whole = alike_pairs(images, 0.99)
    monkeypatch.setattr(duplicates, "_BLOCK", 4)

    assert sorted(alike_pairs(images, 0.99)) == sorted(whole) == [(at, at + 9) for at in range(9)]


def test_blank_images_are_like_no_other() -> None:
    blank = np.zeros((8, 8), dtype=np.uint8)

    assert alike_pairs([blank, blank, pictures(1)[0]], 0.5) == []
    assert alike_pairs([], 0.99) == []


def test_images_of_which_all_are_alike_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MAX_PAIRS", 10)

    with pytest.raises(ConfigurationError, match="correlation"):
        alike_pairs(pictures(1) * 9, 0.99)
