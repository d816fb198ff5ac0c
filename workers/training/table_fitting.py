"""Fitting the preparation of a table on the training split: fills, scales, known words."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medqueue.errors import ConfigurationError
from schemas.preparation import (
    CategoryColumn,
    FittedCategory,
    FittedNumber,
    NumberColumn,
    TablePreparation,
)
from workers.preprocess.tabular import Row, number_of, word_of


def fit_table(
    rows: Sequence[Row], declared: Sequence[NumberColumn | CategoryColumn]
) -> TablePreparation:
    """Fit what was declared.

    Args:
        rows: Of the training split and of nothing else: what is learnt from the split that
            measures would flatter the model.
        declared: The columns, in the order of the features.

    Raises:
        ConfigurationError: an attribute is in no row, so that nothing can be learnt of it.
    """
    return TablePreparation(
        columns=tuple(
            _fit_number(rows, column)
            if isinstance(column, NumberColumn)
            else _fit_category(rows, column)
            for column in declared
        )
    )


def _fit_number(rows: Sequence[Row], column: NumberColumn) -> FittedNumber:
    read = [number_of(row[column.attribute]) for row in rows if column.attribute in row]
    values = np.array([value for value in read if value is not None])
    _require(len(values), column)
    centre, spread = _scale(values, column.scale)
    # Of a value that is the same everywhere nothing is left but its centre.
    return FittedNumber(
        attribute=column.attribute,
        fill=_fill_number(values, column),
        centre=centre,
        spread=spread or 1.0,
    )


def _scale(values: NDArray[np.float64], scale: str) -> tuple[float, float]:
    if scale == "min-max":
        return float(values.min()), float(np.ptp(values))
    if scale == "z-score":
        return float(values.mean()), float(values.std())
    if scale == "robust":
        first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
        return float(median), float(third - first)
    return 0.0, 1.0


def _fill_number(values: NDArray[np.float64], column: NumberColumn) -> float | None:
    match column.missing:
        case "mean":
            return float(values.mean())
        case "median":
            return float(np.median(values))
        case "mode":
            each, counts = np.unique(values, return_counts=True)
            return float(each[counts.argmax()])
        case "constant":
            return column.constant
    return None


def _fit_category(rows: Sequence[Row], column: CategoryColumn) -> FittedCategory:
    counts = Counter(word_of(row[column.attribute]) for row in rows if column.attribute in row)
    known = sorted(word for word, count in counts.items() if count >= column.min_count)
    _require(len(known), column)
    fill = None
    if column.missing == "mode":
        fill = max(known, key=counts.__getitem__)
    elif column.constant is not None:
        fill = word_of(column.constant)
    return FittedCategory(
        attribute=column.attribute,
        words=tuple(known),
        encode=column.encode,
        unknown=column.unknown,
        fill=fill,
    )


def _require(values: int, column: NumberColumn | CategoryColumn) -> None:
    if values == 0:
        raise ConfigurationError(
            f"package.table: no image of the train split has a usable {column.attribute}; take "
            "the column out, or name its column of the CSV under [data.attributes]"
        )
