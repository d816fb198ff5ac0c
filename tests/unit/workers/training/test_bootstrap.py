"""Intervals: of the textbook's figures, stratified, seeded, and narrower with more cases."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional import classification as metrics

from workers.training.bootstrap import bootstrap, figures_of_resamples, wilson
from workers.training.reliability import BINS


def cases(count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities with ties, as rounded ones have, and answers that go with them."""
    chance = np.random.default_rng(4)
    probabilities = (chance.random(count).round(2) * 0.99 + 0.003).astype(np.float32)
    return probabilities, chance.random(count) < probabilities


def test_weights_of_one_give_the_figures_of_torchmetrics() -> None:
    probabilities, targets = cases(300)
    p, y = torch.from_numpy(probabilities), torch.from_numpy(targets).long()
    called = (p >= 0.5).long()
    expected = {
        "auroc": metrics.binary_auroc(p, y),
        "auprc": metrics.binary_average_precision(p, y),
        "accuracy": metrics.binary_accuracy(called, y),
        "precision": metrics.binary_precision(called, y),
        "recall": metrics.binary_recall(called, y),
        "specificity": metrics.binary_specificity(called, y),
        "f1": metrics.binary_f1_score(called, y),
        "mcc": metrics.binary_matthews_corrcoef(called, y),
        "ece": metrics.binary_calibration_error(p, y, n_bins=BINS),
        "brier": ((p - y) ** 2).mean(),
    }

    found = figures_of_resamples(probabilities, targets, 0.5, np.ones((1, 300)))

    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(float(value), abs=1e-5), name


def test_weights_are_copies_of_cases() -> None:
    probabilities, targets = cases(40)
    copies = np.random.default_rng(0).integers(0, 4, 40)

    weighed = figures_of_resamples(probabilities, targets, 0.5, copies[np.newaxis].astype(float))
    copied = figures_of_resamples(
        probabilities.repeat(copies), targets.repeat(copies), 0.5, np.ones((1, copies.sum()))
    )

    for name, value in copied.items():
        assert weighed[name][0] == pytest.approx(value[0]), name


def test_more_cases_give_narrower_intervals_around_the_figure() -> None:
    few, many = (bootstrap(*cases(count), 0.5)["auroc"] for count in (100, 1600))
    figure = figures_of_resamples(*cases(1600), 0.5, np.ones((1, 1600)))["auroc"][0]

    assert many.low < figure < many.high
    assert 2.5 < (few.high - few.low) / (many.high - many.low) < 6


def test_the_same_cases_give_the_same_interval() -> None:
    assert bootstrap(*cases(50), 0.5) == bootstrap(*cases(50), 0.5)


def test_the_interval_of_a_share_is_wilsons_and_open_where_all_were_hit() -> None:
    # Newcombe 1998, table I: 81 of 263 and 20 of 20.
    assert (wilson(81, 263).low, wilson(81, 263).high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(20, 20).low == pytest.approx(0.8389, abs=1e-4)
    assert wilson(20, 20).high == pytest.approx(1)
