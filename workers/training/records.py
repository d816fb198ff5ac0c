"""Labelled report texts from JSON lines; no text is kept or written elsewhere."""

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from medqueue.errors import ConfigurationError
from schemas.document import Document
from schemas.finding import Presence
from workers.preprocess.text import normalise
from workers.preprocess.text import split as cut

MAX_LINE_CHARACTERS = 1_000_000
"""One report with its labels is far shorter; a longer line is no JSON lines file."""


class RecordForm(BaseModel):
    """Where a record holds its text, its labels and its split.

    The defaults are the plain form: `{"text": "...", "labels": ["atelectasis"], "split": "train"}`,
    or labels as an object, `{"atelectasis": "present", "pneumothorax": "absent"}`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: tuple[str, ...] = ("text",)
    """More than one field is joined, each under its name as a heading."""
    labels: str = "labels"
    split: str = "split"
    language: str = "language"
    terms: dict[str, tuple[str, ...]] = {}
    """For each label of the model the terms of a record that mean it, as shell patterns. Those
    with a leading `!` mean it by any other term. A label without an entry is a term itself."""


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Documents with a yes or no for each label."""

    documents: tuple[Document, ...]
    targets: NDArray[np.bool_]
    """(n, labels), True where the text states the finding."""
    labels: tuple[str, ...]

    def select(self, wanted: Sequence[int]) -> "LabelledTexts":
        """Return some of the texts."""
        documents = tuple(self.documents[at] for at in wanted)
        return LabelledTexts(documents, self.targets[list(wanted)], self.labels)


@dataclass(frozen=True, slots=True)
class Record:
    """One labelled text; `stated` are the terms that it is labelled with."""

    text: str
    stated: frozenset[str]
    known: frozenset[str]
    """The terms that the record speaks of at all."""
    split: str | None
    language: str | None


def read_records(path: Path, form: RecordForm) -> list[Record]:
    """Read every record of a file.

    A record that has `text` and `labels` is read in the plain form, whatever `form` says.
    """
    records = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(_lines(file, path), start=1):
            try:
                content = json.loads(line)
                plain = isinstance(content, dict) and {"text", "labels"} <= content.keys()
                records.append(_record(content, RecordForm() if plain else form))
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigurationError(
                    f"{path}: line {number} is no record with the fields "
                    f"{', '.join(form.text)} and {form.labels}: {type(error).__name__}"
                ) from error
    if not records:
        raise ConfigurationError(f"{path}: holds no records")
    return records


def label_records(
    records: Sequence[Record], labels: Sequence[str], terms: Mapping[str, Sequence[str]]
) -> LabelledTexts:
    """Cut the texts, and say of each whether it states each label."""
    documents = tuple(cut(record.text, record.language) for record in records)
    targets = np.array(
        [[_means(terms.get(label), record, label) for label in labels] for record in records],
        dtype=np.bool_,
    ).reshape(len(records), len(labels))
    return LabelledTexts(documents, targets, tuple(labels))


def known_labels(
    records: Sequence[Record], labels: Sequence[str], terms: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return those labels that the data speak of: only for them a figure means something."""
    spoken = frozenset(terms).union(*(record.known for record in records))
    return tuple(label for label in labels if label in spoken)


def of_split(records: Sequence[Record], split: str) -> list[Record]:
    """Return the records of one split, each text once.

    Copies would let a few common phrases of normal reports decide every figure, so texts that are
    the same but for case, punctuation and placeholders count once.
    """
    once = {normalise(record.text): record for record in records if record.split == split}
    return list(once.values())


def without_texts_of(records: Sequence[Record], others: Sequence[Record]) -> list[Record]:
    """Return the records whose text is not among others: what was learnt must not be measured."""
    seen = {normalise(record.text) for record in others}
    return [record for record in records if normalise(record.text) not in seen]


def _lines(file: Any, path: Path) -> Iterator[str]:
    while line := file.readline(MAX_LINE_CHARACTERS):
        if len(line) == MAX_LINE_CHARACTERS:
            raise ConfigurationError(f"{path}: a line is longer than {MAX_LINE_CHARACTERS}")
        if line.strip():
            yield line


def _record(content: Mapping[str, Any], form: RecordForm) -> Record:
    parts = [(name, str(content[name] or "")) for name in form.text]
    text = (
        parts[0][1]
        if len(parts) == 1
        else "\n".join(f"{name}: {part}" for name, part in parts if part)
    )
    labels = content[form.labels]
    if isinstance(labels, dict):
        known = frozenset(map(str, labels))
        stated = frozenset(name for name, value in labels.items() if _is_present(value))
    else:
        stated = known = frozenset(map(str, labels))
    split, language = content.get(form.split), content.get(form.language)
    return Record(text, stated, known, split, language)


def _is_present(value: object) -> bool:
    return value in (True, Presence.PRESENT.value)


def _means(patterns: Sequence[str] | None, record: Record, label: str) -> bool:
    if patterns is None:
        return label in record.stated
    barred = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    meant = [pattern for pattern in patterns if not pattern.startswith("!")]
    return any(
        _fits(term, meant) or (bool(barred) and not _fits(term, barred)) for term in record.stated
    )


def _fits(term: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(term, pattern) for pattern in patterns)
