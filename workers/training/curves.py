"""The ROC and the precision-recall curve, and thresholds by the sensitivity that is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SENSITIVITIES = (0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Curve:
    """A point for each different probability, the highest first; all arrays are (points,)."""

    thresholds: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    """Recall: the share of cases with the finding that is called present."""
    false_alarms: NDArray[np.float64]
    """One minus specificity."""
    precision: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The highest threshold with at least a wanted sensitivity, and what it costs."""

    wanted: float
    threshold: float
    sensitivity: float
    specificity: float
    precision: float


def curve_of(probabilities: NDArray[np.floating], targets: NDArray[np.bool_]) -> Curve:
    """Return the curve of cases (n,) of both classes."""
    order = np.argsort(-probabilities, kind="stable")
    ranked, present = probabilities[order].astype(np.float64), targets[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    hits, alarms = np.cumsum(present)[ends], np.cumsum(~present)[ends]
    return Curve(
        thresholds=ranked[ends],
        sensitivity=hits / hits[-1],
        false_alarms=alarms / alarms[-1],
        precision=hits / (hits + alarms),
    )


def operating_points(curve: Curve, wanted: Sequence[float] = SENSITIVITIES) -> list[OperatingPoint]:
    """Return the threshold for each wanted sensitivity.

    For information: a threshold that was read off these cases flatters itself on them.
    """
    places = [int(np.argmax(curve.sensitivity >= share)) for share in wanted]
    return [
        OperatingPoint(
            wanted=share,
            threshold=float(curve.thresholds[at]),
            sensitivity=float(curve.sensitivity[at]),
            specificity=float(1 - curve.false_alarms[at]),
            precision=float(curve.precision[at]),
        )
        for share, at in zip(wanted, places, strict=True)
    ]
