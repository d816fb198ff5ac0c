"""Drift: whether what a model sees, and what it says, is still as it was where it was validated."""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from medqueue.ledger import input_figures, models
from medqueue.ledger.engine import Ledger
from schemas.manifest import Manifest
from schemas.result import ResultKind
from schemas.validation import Histogram

ALARM = 0.25
"""Population stability index from which on a shift is called large (Siddiqi 2006)."""
FEWEST = 50
"""Inputs of a week that are judged at all."""
_MOST_INPUTS = 20_000
"""Of the newest that are looked at, so that a busy year costs no more than that."""
_MOST_NOW = 2_000
"""Likewise of one look at the present, which monitoring takes every few seconds."""
_NORMAL_999 = 3.0902
"""The 99.9 % quantile of the normal distribution."""
FIGURES = ("intensity", "contrast", "score")


@dataclass(frozen=True, slots=True)
class Drift:
    """One figure of one model version in one week."""

    week: date
    """Its Monday, UTC."""
    figure: str
    inputs: int
    psi: float | None
    """Population stability index; None of fewer than `FEWEST` inputs."""
    chance: float | None
    """What it stays below in 999 of 1,000 weeks without any drift, by so few inputs."""

    @property
    def is_alarm(self) -> bool:
        """Whether the shift is large, and more than chance makes of so few inputs."""
        return self.psi is not None and self.psi > max(ALARM, self.chance or 0)


def drift_of(
    connection: Connection,
    manifest: Manifest,
    *,
    weeks: int,
    now: datetime,
    most: int = _MOST_INPUTS,
) -> list[Drift]:
    """Return the drift of each figure, week by week, the oldest first; none without a reference.

    Args:
        connection: to the ledger.
        manifest: of the model version.
        weeks: of the past, this one among them.
        now: the present time.
        most: inputs to look at, the newest.
    """
    reference = manifest.drift
    if reference is None:
        return []
    first = _monday(now) - timedelta(weeks=weeks - 1)
    start = datetime.combine(first, datetime.min.time(), tzinfo=now.tzinfo)
    rows = input_figures.since(connection, manifest.name, manifest.version, start, limit=most)
    values: defaultdict[tuple[date, str], list[float]] = defaultdict(list)
    for row in rows:
        for figure in FIGURES:
            values[_monday(row.at), figure].append(getattr(row, figure))
    return [
        _judge(week, figure, values[week, figure], getattr(reference, figure), reference.cases)
        for week, figure in sorted(values)
    ]


def drift_now(ledger: Ledger, *, now: datetime) -> list[tuple[Manifest, Drift]]:
    """Return the drift of this week of every image model that is released."""
    with ledger.read() as connection:
        return [
            (manifest, one)
            for manifest in models.released(connection, ResultKind.IMAGE)
            for one in drift_of(connection, manifest, weeks=1, now=now, most=_MOST_NOW)
        ]


def stability_index(values: Sequence[float], histogram: Histogram) -> float:
    """Return the population stability index of values against a histogram.

    A bin without values counts as half a value: the logarithm of nothing has no end.
    """
    counts = [0.0] * len(histogram.shares)
    for value in values:
        counts[bisect_right(histogram.edges, value)] += 1
    total = 0.0
    for count, expected in zip(counts, histogram.shares, strict=True):
        actual = max(count, 0.5) / len(values)
        wanted = max(expected, 0.5 / len(values))
        total += (actual - wanted) * math.log(actual / wanted)
    return total


def index_by_chance(bins: int, inputs: int, cases: int) -> float:
    """Return the 99.9 % quantile of the index where nothing has drifted.

    It is then about chi-square with `bins` - 1 degrees of freedom, times 1/inputs + 1/cases
    (Yurdakul 2018); the quantile by Wilson and Hilferty 1931.
    """
    freedom = max(1, bins - 1)
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + _NORMAL_999 * math.sqrt(spread)) ** 3
    return quantile * (1 / inputs + 1 / cases)


def _judge(
    week: date, figure: str, values: Sequence[float], histogram: Histogram, cases: int
) -> Drift:
    if len(values) < FEWEST:
        return Drift(week, figure, len(values), None, None)
    chance = index_by_chance(len(histogram.shares), len(values), cases)
    return Drift(week, figure, len(values), stability_index(values, histogram), chance)


def _monday(moment: datetime) -> date:
    return moment.date() - timedelta(days=moment.weekday())
