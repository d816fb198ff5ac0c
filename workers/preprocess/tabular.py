"""From attributes of a header to the row of numbers that a model takes, in training and queue."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medqueue.errors import UnsupportedInputError
from schemas.preparation import (
    Attribute,
    CategoryAttribute,
    FittedCategory,
    FittedNumber,
    NumberAttribute,
    TablePreparation,
)
from workers.preprocess.damage import damage_named
from workers.preprocess.decoding import read_header

NUMBERS: tuple[NumberAttribute, ...] = get_args(NumberAttribute)
CATEGORIES: tuple[CategoryAttribute, ...] = get_args(CategoryAttribute)
ATTRIBUTES: tuple[Attribute, ...] = (*NUMBERS, *CATEGORIES)
_FOR_AGE = ("PatientBirthDate", "StudyDate")

Row = Mapping[Attribute, str]
"""What is known of one image, as text; an attribute that is missing is left out."""

_AGE = re.compile(r"([0-9]{1,3})([DWMY])")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_DAYS_A_YEAR = 365.25


def read_row(path: Path) -> dict[Attribute, str]:
    """Read the attributes of a DICOM file; its pixels are not looked at.

    Raises:
        UndecodableError: the header is damaged.
    """
    return row_of(read_header(path, (*ATTRIBUTES, *_FOR_AGE)))


def row_of(header: Dataset) -> dict[Attribute, str]:
    """Return the attributes that a header has. A number that is none counts as missing.

    Many archives leave Patient's Age out: then it is the time from birth to study.
    """
    with damage_named("the attributes of the header cannot be read"):
        texts = {keyword: str(header.get(keyword) or "") for keyword in ATTRIBUTES}
        texts["PatientAge"] = texts["PatientAge"] or _age_by_dates(header)
        return {
            keyword: text
            for keyword, text in texts.items()
            if (number_of(text) is not None if keyword in NUMBERS else word_of(text))
        }


def table_of(rows: Sequence[Row], table: TablePreparation) -> NDArray[np.float32]:
    """Return the prepared rows (n, features), by what was fitted on the training split.

    Raises:
        UnsupportedInputError: a value is missing that the model cannot do without, or unknown.
    """
    prepared = np.empty((len(rows), len(table.features)), dtype=np.float32)
    for at, row in enumerate(rows):
        prepared[at] = [number for column in table.columns for number in _encoded(row, column)]
    return prepared


def with_rows(images: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put each row behind its picture: a plane a number, all of it that number.

    So picture and row travel as one array, and neither can be taken for that of another image.

    Args:
        images: (n, 1, rows, columns).
        rows: (n, features).

    Returns:
        (n, 1 + features, rows, columns).
    """
    behind = rows[:, :, np.newaxis, np.newaxis]
    planes = np.broadcast_to(behind, (*rows.shape, *images.shape[2:]))
    return np.concatenate([images, planes], axis=1)


def number_of(text: str) -> float | None:
    """Read a number, or an age such as 045Y or 018M (PS3.5 section 6.2, AS) in years."""
    text = text.strip().upper()
    age = _AGE.fullmatch(text)
    if age is not None:
        return int(age[1]) * _YEARS[age[2]]
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def word_of(text: str) -> str:
    """Return a word as it is compared: in capitals, with single spaces."""
    return " ".join(text.split()).upper()


def _encoded(row: Row, column: FittedNumber | FittedCategory) -> list[float]:
    text = row.get(column.attribute)
    if text is None and column.fill is None:
        raise UnsupportedInputError(f"the header has no {column.attribute}: this model needs it")
    if isinstance(column, FittedNumber):
        number = column.fill if text is None else number_of(text)
        if number is None:
            raise UnsupportedInputError(f"{column.attribute} is no number: this model needs one")
        return [(number - column.centre) / column.spread]
    word = word_of(column.fill or "" if text is None else text)
    if word not in column.words and column.unknown == "refuse":
        raise UnsupportedInputError(f"the model was not trained on this {column.attribute}")
    if column.encode == "label":
        return [float(column.words.index(word) + 1) if word in column.words else 0.0]
    return [float(word == known) for known in column.words]


def _age_by_dates(header: Dataset) -> str:
    born, studied = (_date_of(header, keyword) for keyword in _FOR_AGE)
    if born is None or studied is None or studied < born:
        return ""
    return f"{(studied - born).days / _DAYS_A_YEAR:.2f}"


def _date_of(header: Dataset, keyword: str) -> date | None:
    try:
        return datetime.strptime(str(header.get(keyword) or ""), "%Y%m%d").date()  # noqa: DTZ007 - a date without a time has no zone
    except ValueError:
        return None
