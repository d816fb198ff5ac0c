"""How a model does in groups of patients and devices, as headers and CSV columns name them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.preparation import Attribute
from workers.preprocess.tabular import Row, number_of, word_of
from workers.training.bootstrap import Interval, figures_of_resamples, wilson

FEWEST = 10
"""Groups with fewer cases are not shown: their figures say nothing, and they may be one person."""
MOST = 30
"""Values of one attribute that are shown; more are no groups, but serial numbers."""
_TITLES: Mapping[Attribute, str] = {
    "PatientSex": "sex",
    "PatientAge": "age",
    "ViewPosition": "view",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "device",
}
_BANDS = ((0, 5), (5, 18), (18, 40), (40, 65), (65, 200))
"""In years, the upper end not included."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The figures of one group at the threshold; None where it has no case to tell them by."""

    attribute: str
    value: str
    cases: int
    present: int
    auroc: float | None
    sensitivity: float | None
    sensitivity_interval: Interval | None
    specificity: float | None
    specificity_interval: Interval | None


def subgroups_of(
    rows: Sequence[Row],
    probabilities: NDArray[np.floating],
    targets: NDArray[np.bool_],
    threshold: float,
) -> list[Subgroup]:
    """Measure every group of at least `FEWEST` cases (n,)."""
    found = []
    for attribute, title in _TITLES.items():
        values = [_value_of(attribute, row) for row in rows]
        for value, members in _groups(values):
            found.append(
                _measured(title, value, probabilities[members], targets[members], threshold)
            )
    return found


def _groups(values: Sequence[str]) -> Iterator[tuple[str, NDArray[np.intp]]]:
    array = np.array(values, dtype=object)
    names = sorted(set(values))
    groups = [(name, np.flatnonzero(array == name)) for name in names]
    large = [(name, members) for name, members in groups if name and len(members) >= FEWEST]
    if len(large) <= MOST:
        yield from large


def _value_of(attribute: Attribute, row: Row) -> str:
    text = row.get(attribute) or ""
    if attribute != "PatientAge":
        return word_of(text)
    age = number_of(text)
    if age is None:
        return ""
    return next((f"{low:02} to under {high}" for low, high in _BANDS if low <= age < high), "")


def _measured(
    attribute: str,
    value: str,
    probabilities: NDArray[np.floating],
    targets: NDArray[np.bool_],
    threshold: float,
) -> Subgroup:
    called = probabilities >= threshold
    present, absent = int(targets.sum()), int((~targets).sum())
    hits, passed = int((called & targets).sum()), int((~called & ~targets).sum())
    auroc = None
    if present and absent:
        weights = np.ones((1, len(targets)))
        auroc = float(figures_of_resamples(probabilities, targets, threshold, weights)["auroc"][0])
    return Subgroup(
        attribute=attribute,
        value=value,
        cases=len(targets),
        present=present,
        auroc=auroc,
        sensitivity=hits / present if present else None,
        sensitivity_interval=wilson(hits, present) if present else None,
        specificity=passed / absent if absent else None,
        specificity_interval=wilson(passed, absent) if absent else None,
    )
