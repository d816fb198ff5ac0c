"""The reference for drift: bins of equal share over the validation images."""

import numpy as np
import pytest

from schemas.manifest import ImagePreparation
from workers.training.drift_reference import fit_reference, histogram_of

PREPARATION = ImagePreparation(size=(28, 28), mean=0.5, std=0.25)


def test_bins_have_about_equal_shares() -> None:
    histogram = histogram_of(np.random.default_rng(0).random(1000))

    assert len(histogram.shares) == 10
    assert histogram.shares == pytest.approx([0.1] * 10, abs=0.01)


def test_values_that_repeat_share_a_bin() -> None:
    histogram = histogram_of(np.array([0.0] * 65 + [1.0] * 35))

    assert histogram.edges == (0.0, 1.0)
    assert histogram.shares == (0.0, 0.65, 0.35)


def test_grey_values_are_those_that_the_queue_sees() -> None:
    pixels = np.full((20, 56, 56), 51, dtype=np.uint8)

    reference = fit_reference(pixels, np.linspace(0, 1, 20), PREPARATION)

    assert (reference.cases, reference.intensity.edges) == (20, (0.2,))
    assert len(reference.score.edges) == 9
