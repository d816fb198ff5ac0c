"""Labelled images of a folder: which files there are and what a CSV says of them.

Nothing in the CSV is trusted: a path stays inside the folder, sizes are bounded, and a row that
cannot be used is told by its line. No cell is quoted, since names of files may be names of people.
"""

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from medqueue.errors import ConfigurationError
from schemas.preparation import Attribute
from workers.preprocess.tabular import ATTRIBUTES, NUMBERS, number_of
from workers.training.image_data import ImageData

SPLITS = ("train", "val", "test")
MAX_ROWS = 1_000_000
"""Far more labelled images than there are in any hospital; a file with more is none of labels."""
MAX_LINE_CHARACTERS = 100_000
_USUAL = {
    "file": ("path", "file", "filename", "image"),
    "label": ("label", "target", "class"),
    "split": ("split",),
    "patient": ("patient", "patient_id", "patientid"),
    "PatientAge": ("age",),
    "PatientSex": ("sex",),
    "ViewPosition": ("view",),
}
"""Names of columns, beside those that the configuration gives and the DICOM keywords."""
_PRESENT, _ABSENT = ("present", "true", "yes"), ("absent", "false", "no")
_CLASS_NUMBER = re.compile(r"(-?[0-9]{1,9})(\.0+)?")
"""Spreadsheets and data frames write 1 as 1.0 where a column has gaps."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable row."""

    line: int
    path: Path
    present: bool
    split: str | None
    patient: str | None
    """A digest; nothing here needs to know who it is."""
    row: Mapping[Attribute, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that cannot be used, and why."""

    line: int
    reason: str


class _UnusableError(Exception):
    """Carries the reason from where a cell is read to where the line is known."""


def csv_of(data: ImageData) -> Path:
    """Return the CSV of a folder: the one that is named, or the only one."""
    if data.csv is not None:
        if Path(data.csv).name != data.csv:
            raise ConfigurationError("data.csv is the name of a file inside the folder: no path")
        return data.path / data.csv
    found = sorted(islice(data.path.glob("*.csv"), 2))
    if len(found) != 1:
        how_many = "no CSV" if not found else "more than one CSV"
        raise ConfigurationError(
            f"{data.path}: has {how_many}; put one beside the images, or name it as data.csv"
        )
    return found[0]


def read_entries(data: ImageData, label: str) -> tuple[list[Entry], list[Fault]]:
    """Read the CSV of a folder; the images are not opened.

    Args:
        data: The folder, and what its columns are called.
        label: Name of the model's label, which the column of labels may have too.

    Raises:
        ConfigurationError: there is no CSV, a column that is needed is not in it, or it has no row.
    """
    path = csv_of(data)
    entries: list[Entry] = []
    faults: list[Fault] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for line, cells in _rows(file, path, data, label):
                try:
                    entries.append(_entry(line, cells, data))
                except _UnusableError as error:
                    faults.append(Fault(line, str(error)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path}: cannot be read as CSV in UTF-8 ({type(error).__name__}); export it again"
        ) from error
    if not entries and not faults:
        raise ConfigurationError(f"{path}: has a heading and no rows")
    return entries, faults


def _rows(
    file: TextIO, path: Path, data: ImageData, label: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the cells that matter, by our names, with the line that each row ends on."""
    heading = file.readline(MAX_LINE_CHARACTERS)
    # Spreadsheets of countries that write 0,5 part their columns by semicolons.
    delimiter = ";" if heading.count(";") > heading.count(",") else ","
    names = next(csv.reader([heading], delimiter=delimiter), [])
    columns = _columns(names, path, data, label)
    reader = csv.reader(_bounded(file), delimiter=delimiter)
    for number, cells in enumerate(reader):
        if number == MAX_ROWS:
            raise ConfigurationError(f"{path}: has more than {MAX_ROWS} rows")
        if any(cells):
            found = {ours: cells[at].strip() for ours, at in columns.items() if at < len(cells)}
            yield reader.line_num + 1, found


def _bounded(file: TextIO) -> Iterator[str]:
    while line := file.readline(MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise csv.Error("a line is too long")
        yield line


def _columns(names: Sequence[str], path: Path, data: ImageData, label: str) -> dict[str, int]:
    """Return at which place each column is that we know."""
    places = {name.strip().casefold(): at for at, name in reversed(list(enumerate(names)))}
    given = {"file": data.file, "label": data.label, "split": data.split, "patient": data.patient}
    found: dict[str, int] = {}
    for ours in (*given, *ATTRIBUTES):
        named = data.attributes.get(ours) if ours in ATTRIBUTES else given[ours]
        usual = (*((label,) if ours == "label" else ()), ours, *_USUAL.get(ours, ()))
        wanted = usual if named is None else (named,)
        at = next((places[n.casefold()] for n in wanted if n.casefold() in places), None)
        if at is not None:
            found[ours] = at
        elif named is not None or ours in ("file", "label"):
            raise ConfigurationError(
                f"{path}: line 1 has no column {' or '.join(wanted)}; name it as "
                f"data.{ours if ours in given else f'attributes.{ours}'}"
            )
    return found


def _entry(line: int, cells: Mapping[str, str], data: ImageData) -> Entry:
    return Entry(
        line=line,
        path=_path_of(cells.get("file", ""), data.path),
        present=_is_present(cells.get("label", ""), data),
        split=_split_of(cells),
        patient=digest_of(cells.get("patient", "")),
        row=_row_of(cells),
    )


def digest_of(patient: str) -> str | None:
    """Return what tells a patient from others and names nobody."""
    return hashlib.sha256(patient.encode()).hexdigest()[:16] if patient else None


def _path_of(text: str, folder: Path) -> Path:
    if not text:
        raise _UnusableError("the path is empty: name the file of the image")
    path = folder / text
    if "\0" in text or not path.resolve().is_relative_to(folder.resolve()):
        raise _UnusableError("the path leads out of the folder: move the file into it")
    if not _is_file(path):
        raise _UnusableError("there is no such file in the folder: correct the path")
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is longer than a file system allows
        return False


def _is_present(text: str, data: ImageData) -> bool:
    if not text:
        raise _UnusableError("the label is empty: fill it in, or take the row out")
    word = text.casefold()
    if not data.present and (number := _CLASS_NUMBER.fullmatch(text)):
        return int(number[1]) == data.positive_class
    if word in (known.casefold() for known in data.present or _PRESENT):
        return True
    if word in (known.casefold() for known in data.absent or _ABSENT):
        return False
    raise _UnusableError(
        "the label is neither a class number nor a word for present or absent: correct it, or "
        "name the words as data.present and data.absent"
    )


def _split_of(cells: Mapping[str, str]) -> str | None:
    split = cells.get("split")
    if split is not None and split not in SPLITS:
        raise _UnusableError(f"the split is none of {', '.join(SPLITS)}: correct it")
    return split


def _row_of(cells: Mapping[str, str]) -> dict[Attribute, str]:
    row = {keyword: cells[keyword] for keyword in ATTRIBUTES if cells.get(keyword)}
    for keyword in NUMBERS:
        if keyword in row and number_of(row[keyword]) is None:
            raise _UnusableError(f"{keyword} is no number: correct it, or leave it empty")
    return row
