"""Curves: a point for each different probability, and thresholds that keep a wanted sensitivity."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_roc

from workers.training.curves import curve_of, operating_points


def test_the_points_are_those_of_torchmetrics() -> None:
    chance = np.random.default_rng(1)
    probabilities = chance.random(60).round(1)
    targets = chance.random(60) < probabilities

    curve = curve_of(probabilities, targets)
    alarms, hits, _ = binary_roc(torch.from_numpy(probabilities), torch.from_numpy(targets).long())

    # torchmetrics begins with the point where nothing is called present.
    assert curve.sensitivity.tolist() == pytest.approx(hits[1:].tolist())
    assert curve.false_alarms.tolist() == pytest.approx(alarms[1:].tolist())


def test_the_threshold_is_the_highest_that_keeps_the_sensitivity() -> None:
    probabilities = np.array([0.9, 0.8, 0.7, 0.6, 0.2])
    targets = np.array([True, False, True, False, False])

    half, all_ = operating_points(curve_of(probabilities, targets), (0.5, 1.0))

    assert (half.threshold, half.sensitivity, half.specificity) == (0.9, 0.5, 1)
    assert (all_.threshold, all_.sensitivity) == (0.7, 1)
    assert all_.specificity == pytest.approx(2 / 3)
    assert all_.precision == pytest.approx(2 / 3)
