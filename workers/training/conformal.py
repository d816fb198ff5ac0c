"""Conformal prediction sets: which answers cannot be ruled out, with a coverage that was measured.

Split conformal prediction for each class by itself (Vovk 2012, 'Conditional validity of inductive
conformal predictors'; Angelopoulos and Bates 2021, section 4). Of new cases with the finding at
least the wanted share keeps 'present' in its set, and of those without it as many keep 'absent',
as long as the cases come from where those came from that the cut-offs were fitted on. Only the
order of the probabilities counts, so a calibration of them changes no set.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.validation import Conformal
from workers.training.calibration import halves

COVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class Sets:
    """What the prediction sets of cases (n,) came to."""

    cases: int
    covered: float
    """Share of the cases whose true answer is in their set."""
    covered_present: float
    """The same of those with the finding; nan if there is none."""
    covered_absent: float
    both: float
    """Share of the cases for which neither answer can be ruled out: uncertain."""
    neither: float
    """Share of the cases that look like neither class: uncertain as well."""


def fit_conformal(
    probabilities: NDArray[np.floating], targets: NDArray[np.bool_], seed: int
) -> Conformal:
    """Fit the cut-offs on one half of the validation cases (n,) and measure on the other.

    Where a half has too few cases of a class for the coverage, nothing rules that class out.
    """
    fitted = halves(targets, seed)
    known, answers = probabilities[fitted], targets[fitted]
    present_from = -_highest(-known[answers])
    absent_up_to = _highest(known[~answers])
    measured = sets_of(probabilities[~fitted], targets[~fitted], present_from, absent_up_to)
    return Conformal(
        coverage=COVERAGE,
        present_from=max(present_from, 0.0),
        absent_up_to=min(absent_up_to, 1.0),
        seed=seed,
        fitted_on=int(fitted.sum()),
        measured_on=measured.cases,
        covered=round(measured.covered, 4),
        uncertain=round(measured.both + measured.neither, 4),
    )


def sets_of(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.bool_],
    present_from: float,
    absent_up_to: float,
) -> Sets:
    """Count what is in the prediction sets of cases (n,)."""
    present, absent = probabilities >= present_from, probabilities <= absent_up_to
    covered = np.where(targets, present, absent)
    return Sets(
        cases=len(targets),
        covered=float(covered.mean()),
        covered_present=float(covered[targets].mean()) if targets.any() else math.nan,
        covered_absent=float(covered[~targets].mean()) if not targets.all() else math.nan,
        both=float((present & absent).mean()),
        neither=float((~present & ~absent).mean()),
    )


def _highest(scores: NDArray[np.floating]) -> float:
    """Return the score that a new one of the same class exceeds in 1 - coverage of all cases."""
    rank = math.ceil(COVERAGE * (len(scores) + 1))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf
