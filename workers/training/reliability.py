"""Whether probabilities mean what they say: the reliability curve and how far it lies off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of equal width, as in Guo et al. 2017. Figures with other numbers of bins do not compare."""
_DRAWS = 500


@dataclass(frozen=True, slots=True)
class Reliability:
    """The cases by probability, in bins of equal width; bins without a case are left out."""

    counts: NDArray[np.int64]
    stated: NDArray[np.float64]
    """Mean probability of the cases of each bin."""
    found: NDArray[np.float64]
    """Share of them that have the finding."""

    @property
    def error(self) -> float:
        """The expected calibration error: the mean gap between stated and found, by case."""
        gaps = np.abs(self.stated - self.found)
        return float(np.average(gaps, weights=self.counts))


def reliability(
    probabilities: NDArray[np.floating], targets: NDArray[np.bool_], bins: int = BINS
) -> Reliability:
    """Sort cases (n,) into bins by the probability of the finding (Naeini et al. 2015)."""
    at = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    counts = np.bincount(at, minlength=bins)
    stated = np.bincount(at, weights=probabilities, minlength=bins)
    found = np.bincount(at, weights=targets, minlength=bins)
    held = counts > 0
    return Reliability(counts[held], stated[held] / counts[held], found[held] / counts[held])


def error_by_chance(probabilities: NDArray[np.floating], seed: int = 0) -> float:
    """Return the calibration error that these probabilities would show if they were all true.

    It is above zero, since few cases lie in each bin, and the fewer the higher: an error near it
    is no sign of bad calibration, and one far below it none of good. Answers are drawn as the
    probabilities say (consistency resampling, Bröcker and Smith 2007), and the errors averaged.
    """
    chance = np.random.default_rng(seed)
    drawn = chance.random((_DRAWS, len(probabilities))) < probabilities
    return float(np.mean([reliability(probabilities, answers).error for answers in drawn]))
