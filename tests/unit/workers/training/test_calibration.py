"""Calibration: probabilities come to mean what they say, and no decision moves."""

import numpy as np
import pytest
import torch
from torch import Tensor

from workers.models.calibration import calibrated_probabilities, tempered
from workers.training.calibration import (
    LOWEST,
    calibrate,
    fit_temperature,
    fit_temperatures,
    halves,
)
from workers.training.reliability import reliability


def true_logits(cases: int, seed: int = 2) -> tuple[Tensor, Tensor]:
    """Logits of which the sigmoid is the truth, and answers drawn from it."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(cases, 1, generator=generator) * 2
    return logits, torch.bernoulli(torch.sigmoid(logits), generator=generator)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, targets = true_logits(40_000)

    assert fit_temperature(logits * temperature, targets) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_for_either_side_is_found() -> None:
    logits, targets = true_logits(40_000)
    distorted = torch.where(logits < 0, logits * 2, logits * 0.5)

    assert fit_temperatures(distorted, targets) == pytest.approx((2, 0.5), rel=0.05)


def test_a_side_without_a_mistake_does_not_become_certain() -> None:
    logits = torch.tensor([[-2.0], [-1.0], [-0.5], [1.0], [2.0]])
    targets = torch.tensor([[0], [0], [1], [1], [1]])

    assert fit_temperature(logits[3:], targets[3:]) == pytest.approx(LOWEST, rel=0.01)
    assert fit_temperatures(logits, targets)[1] > 4 * LOWEST


def test_two_temperatures_keep_the_order_and_the_decision() -> None:
    logits = torch.arange(-40, 41)[:, None] / 10

    probabilities = calibrated_probabilities(logits, (3.0, 0.2))[:, 0]

    assert (probabilities.diff() >= 0).all()
    assert torch.equal(probabilities >= 0.5, logits[:, 0] >= 0)


@pytest.mark.parametrize(
    ("cases", "distortion", "different"), [(100, (1.7, 1.7), False), (600, (2.5, 0.3), True)]
)
def test_a_second_temperature_is_fitted_only_where_it_helps(
    cases: int, distortion: tuple[float, float], *, different: bool
) -> None:
    logits, targets = true_logits(cases, seed=1)
    distorted = tempered(logits, (1 / distortion[0], 1 / distortion[1]))

    (below, above), _ = calibrate(distorted, targets.bool().numpy(), seed=0)

    assert (below != above) is different


def test_calibration_lowers_the_error_on_cases_that_it_was_not_fitted_on() -> None:
    logits, targets = true_logits(2000)

    _, figures = calibrate(logits * 3, targets.bool().numpy(), seed=0)

    assert figures.cases == 2000
    assert figures.ece < figures.ece_before / 2
    assert figures.ece < 2 * figures.ece_by_chance


def test_each_half_is_judged_by_what_was_fitted_on_the_other() -> None:
    logits, answers = true_logits(600, seed=1)
    logits = tempered(logits, (0.4, 3.0))
    targets = answers.bool()
    first = torch.from_numpy(halves(targets[:, 0].numpy(), 5))
    judged = torch.empty(600)
    for half in (first, ~first):
        fitted = fit_temperatures(logits[~half], targets[~half])
        judged[half] = calibrated_probabilities(logits[half], fitted)[:, 0]

    _, figures = calibrate(logits, targets.numpy(), seed=5)

    expected = reliability(judged.numpy(), targets[:, 0].numpy()).error
    assert figures.ece == pytest.approx(expected, abs=1e-4)


def test_a_network_without_a_mistake_does_not_become_certain() -> None:
    targets = np.arange(40) % 2 == 0
    logits = torch.where(torch.from_numpy(targets), 1.0, -1.0)[:, None]

    temperatures, _ = calibrate(logits, targets[:, None], seed=0)

    assert 0.99 < calibrated_probabilities(torch.ones(1, 1), temperatures).item() < 0.999


def test_halves_have_as_many_present_and_absent_and_hang_on_the_seed_alone() -> None:
    targets = np.arange(41) % 3 == 0

    first = halves(targets, 7)

    assert abs(targets[first].sum() - targets[~first].sum()) <= 1
    assert abs(first.sum() - (~first).sum()) <= 2
    np.testing.assert_array_equal(first, halves(targets, 7))
    assert (first != halves(targets, 8)).any()
