"""Writing the check set of a trained network, with inputs that are made up: nobody's images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from schemas.manifest import ImagePreparation, Temperatures
from workers.models.calibration import calibrated_probabilities
from workers.models.check_set import ImageChecks, TextCheck
from workers.models.tokenizer import Tokenizer
from workers.preprocess.pixels import normalise
from workers.preprocess.tabular import with_rows
from workers.preprocess.text import split
from workers.training.evaluate import logits_of_images, logits_of_texts
from workers.training.phrasebook import LANGUAGES, write_records

_SEED = 0
_IMAGES = 8
_TEXTS = 8
_SMOOTHNESS = 8
"""Waves along a side, at most: finer noise says the same to a network as none."""


def image_checks(
    network: nn.Module,
    preparation: ImagePreparation,
    temperatures: Temperatures,
    features: int = 0,
) -> ImageChecks:
    """Return made-up images, prepared, with what the network says of them.

    With `features` each has a made-up row of a table, of so many numbers, behind it.
    """
    pixels = made_up_images(preparation.size, _IMAGES, _SEED)
    rows = np.random.default_rng(_SEED).normal(size=(_IMAGES, features)).astype(np.float32)
    logits = logits_of_images(network, pixels, preparation, rows)
    return ImageChecks(
        images=with_rows(normalise(pixels, preparation), rows),
        probabilities=calibrated_probabilities(logits, temperatures).numpy(),
    )


def made_up_images(size: tuple[int, int], count: int, seed: int) -> NDArray[np.uint8]:
    """Return smooth noise of 0 to 255, (count, rows, columns), half of it with a bright ellipse."""
    generator = np.random.default_rng(seed)
    y, x = np.ogrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    images = np.empty((count, *size), dtype=np.uint8)
    for at in range(count):
        field = np.zeros(size)
        for _ in range(_SMOOTHNESS):
            down, across = generator.uniform(-_SMOOTHNESS, _SMOOTHNESS, 2)
            field += np.cos(np.pi * (down * y + across * x) + generator.uniform(0, 2 * np.pi))
        if at % 2:
            centre, radii = generator.uniform(-0.5, 0.5, 2), generator.uniform(0.2, 0.8, 2)
            inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
            field += inside * _SMOOTHNESS
        low, high = field.min(), field.max()
        images[at] = np.rint(255 * (field - low) / (high - low))
    return images


def text_checks(
    network: nn.Module,
    tokenizer: Tokenizer,
    temperatures: Temperatures,
    *,
    max_tokens: int,
    languages: Sequence[str],
    labels: int,
) -> list[TextCheck]:
    """Return texts out of the phrasebooks with what the network says of them."""
    known = tuple(language for language in languages if language in LANGUAGES) or LANGUAGES
    records = write_records(_SEED, {"check": _TEXTS}, known)
    logits = logits_of_texts(
        network,
        [split(record.text, record.language) for record in records],
        tokenizer,
        max_tokens=max_tokens,
        labels=labels,
    )
    probabilities = calibrated_probabilities(logits, temperatures)
    return [
        TextCheck(text=record.text, language=record.language, probabilities=row)
        for record, row in zip(records, probabilities.tolist(), strict=True)
    ]
