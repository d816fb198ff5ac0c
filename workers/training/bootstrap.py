"""Confidence intervals of figures by the bootstrap: how much they would differ on other cases.

Percentile intervals (Efron and Tibshirani 1993). A resample draws as many cases with the finding,
and as many without, as there are: it is stratified, so every figure is defined in each of them.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.training.reliability import BINS

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0
_AT_ONCE = 4_000_000
"""So many weights are held in memory at once."""

Weights = NDArray[np.float64]
"""(resamples, n): how often each case is in each resample."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From where to where the figure lies, at the level."""

    low: float
    high: float


def bootstrap(
    probabilities: NDArray[np.floating], targets: NDArray[np.bool_], threshold: float
) -> dict[str, Interval]:
    """Return the interval of every figure of one label, for cases (n,) of both classes."""
    chance = np.random.default_rng(SEED)
    step = max(1, _AT_ONCE // len(targets))
    parts = [
        figures_of_resamples(
            probabilities, targets, threshold, _drawn(targets, min(step, RESAMPLES - at), chance)
        )
        for at in range(0, RESAMPLES, step)
    ]
    tail = (1 - LEVEL) / 2
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {
        name: Interval(*map(float, np.quantile(values, (tail, 1 - tail))))
        for name, values in found.items()
    }


def wilson(hits: int, cases: int) -> Interval:
    """Return the interval of a share, such as a sensitivity (Wilson 1927).

    Unlike the bootstrap it does not shrink to nothing where all cases were hit.
    """
    z = 1.959964  # quantile 0.975 of the normal distribution, for a level of 0.95
    centre = (hits + z**2 / 2) / (cases + z**2)
    spread = z / (cases + z**2) * math.sqrt(hits * (cases - hits) / cases + z**2 / 4)
    return Interval(max(0.0, centre - spread), min(1.0, centre + spread))


def figures_of_resamples(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.bool_],
    threshold: float,
    weights: Weights,
) -> dict[str, NDArray[np.float64]]:
    """Return each figure (resamples,). With weights of one they are those of the cases."""
    found, missing = weights * targets, weights * ~targets
    return {
        **_of_ranks(probabilities, found, missing),
        **_at_threshold(probabilities >= threshold, found, missing),
        **_of_calibration(probabilities, targets, weights),
    }


def _drawn(targets: NDArray[np.bool_], resamples: int, chance: np.random.Generator) -> Weights:
    weights = np.empty((resamples, len(targets)))
    for group in (np.flatnonzero(targets), np.flatnonzero(~targets)):
        even = np.full(len(group), 1 / len(group))
        weights[:, group] = chance.multinomial(len(group), even, size=resamples)
    return weights


def _of_ranks(
    probabilities: NDArray[np.floating], found: Weights, missing: Weights
) -> dict[str, NDArray[np.float64]]:
    """Areas under the ROC curve (trapezoids) and the precision-recall curve (steps)."""
    order = np.argsort(-probabilities, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probabilities[order])), len(order) - 1)
    hits = np.cumsum(found[:, order], axis=1)[:, ends]
    alarms = np.cumsum(missing[:, order], axis=1)[:, ends]
    new_hits, new_alarms = np.diff(hits, prepend=0), np.diff(alarms, prepend=0)
    area = (new_alarms * (hits - new_hits / 2)).sum(axis=1)
    precision = _ratio(hits, hits + alarms)
    return {
        "auroc": area / (hits[:, -1] * alarms[:, -1]),
        "auprc": (new_hits * precision).sum(axis=1) / hits[:, -1],
    }


def _at_threshold(
    called: NDArray[np.bool_], found: Weights, missing: Weights
) -> dict[str, NDArray[np.float64]]:
    hits, misses = found @ called, found @ ~called
    alarms, passed = missing @ called, missing @ ~called
    scale = np.sqrt((hits + alarms) * (hits + misses) * (passed + alarms) * (passed + misses))
    return {
        "accuracy": (hits + passed) / (hits + misses + alarms + passed),
        "precision": _ratio(hits, hits + alarms),
        "recall": _ratio(hits, hits + misses),
        "specificity": _ratio(passed, passed + alarms),
        "f1": _ratio(2 * hits, 2 * hits + alarms + misses),
        "mcc": _ratio(hits * passed - alarms * misses, scale),
    }


def _of_calibration(
    probabilities: NDArray[np.floating], targets: NDArray[np.bool_], weights: Weights
) -> dict[str, NDArray[np.float64]]:
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    gaps = (probabilities - targets)[:, np.newaxis] * (bins[:, np.newaxis] == np.arange(BINS))
    total = weights.sum(axis=1)
    return {
        "ece": np.abs(weights @ gaps).sum(axis=1) / total,
        "brier": weights @ (probabilities - targets) ** 2 / total,
    }


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; a share of nothing is 0, as in torchmetrics."""
    return np.divide(part, whole, out=np.zeros_like(part, dtype=np.float64), where=whole > 0)
