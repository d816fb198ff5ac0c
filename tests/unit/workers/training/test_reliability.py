"""Reliability: the calibration error is that of the textbook, and few cases show one by chance."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_calibration_error

from workers.training.reliability import BINS, error_by_chance, reliability


def test_the_error_is_that_of_torchmetrics() -> None:
    chance = np.random.default_rng(0)
    probabilities = chance.random(500).astype(np.float32)
    targets = chance.random(500) < 0.5

    expected = binary_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(targets).long(), n_bins=BINS
    )

    assert reliability(probabilities, targets).error == pytest.approx(expected.item(), abs=1e-6)


def test_certain_and_right_answers_have_no_error() -> None:
    curve = reliability(np.array([0.0, 1.0, 1.0]), np.array([False, True, True]))

    assert curve.error == 0
    assert curve.counts.tolist() == [1, 2]


def test_fewer_cases_show_a_larger_error_by_chance() -> None:
    probabilities = np.random.default_rng(0).random(2000)

    few, many = error_by_chance(probabilities[:60]), error_by_chance(probabilities)

    assert few > 3 * many
    assert few == error_by_chance(probabilities[:60])
