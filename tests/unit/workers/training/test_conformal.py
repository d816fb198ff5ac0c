"""Prediction sets hold the true answer as often as they promise, on cases they have not seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.training.conformal import COVERAGE, fit_conformal, sets_of


def overlapping(cases: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Probabilities of two classes that overlap; a third of the cases has the finding."""
    chance = np.random.default_rng(seed)
    targets = np.arange(cases) % 3 == 0
    return 1 / (1 + np.exp(-chance.normal(np.where(targets, 1.0, -1.0), 1.2))), targets


def test_each_class_is_covered_on_cases_of_the_same_origin() -> None:
    fitted = fit_conformal(*overlapping(3000), seed=1)

    new = sets_of(*overlapping(30_000, seed=5), fitted.present_from, fitted.absent_up_to)

    assert new.covered_present == pytest.approx(COVERAGE, abs=0.02)
    assert new.covered_absent == pytest.approx(COVERAGE, abs=0.02)
    assert new.both > 0.1
    assert new.neither == 0


def test_the_coverage_stated_is_that_of_the_other_half() -> None:
    fitted = fit_conformal(*overlapping(3000), seed=1)

    assert (fitted.fitted_on, fitted.measured_on) == (1500, 1500)
    assert fitted.covered == pytest.approx(COVERAGE, abs=0.02)


def test_too_few_cases_of_a_class_rule_nothing_out() -> None:
    probabilities, targets = overlapping(24)

    fitted = fit_conformal(probabilities, targets, seed=0)

    assert fitted.present_from == 0


def test_a_calibration_changes_no_set() -> None:
    probabilities, targets = overlapping(400)

    plain, bent = (
        fit_conformal(values, targets, 3) for values in (probabilities, probabilities**3)
    )

    assert (bent.covered, bent.uncertain) == (plain.covered, plain.uncertain)
    assert bent.present_from == pytest.approx(plain.present_from**3)


def test_classes_far_apart_leave_a_gap_that_is_neither() -> None:
    sets = sets_of(np.array([0.1, 0.5, 0.9]), np.array([False, True, True]), 0.8, 0.2)

    assert sets.neither == pytest.approx(1 / 3)
    assert (sets.covered, sets.covered_present, sets.covered_absent) == (
        pytest.approx(2 / 3),
        0.5,
        1,
    )
