"""What labelled data are like before any training: counts, gaps, copies, leakage, balance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medqueue.errors import ConfigurationError
from workers.preprocess.tabular import ATTRIBUTES, NUMBERS, number_of, word_of
from workers.preprocess.text import normalise
from workers.training.cleaning import CleaningReport, inspect, take_out
from workers.training.config import ImageTraining, TextTraining
from workers.training.data import LabelledImages
from workers.training.records import Record, label_records
from workers.training.sources import Source

_COMMON_WORDS = 8
BINS = 32
"""Of grey values, in the histogram."""


@dataclass(frozen=True, slots=True)
class Balance:
    """One label in one split."""

    split: str
    label: str
    n: int
    present: int

    @property
    def share(self) -> float:
        """How many of them have the label."""
        return self.present / self.n if self.n else 0.0


@dataclass(frozen=True, slots=True)
class AttributeFacts:
    """What one split knows of an attribute."""

    attribute: str
    split: str
    missing: int
    summary: str
    """Quartiles of a number, the commonest words of others."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The facts; what they mean to a reader is said by `data_findings`."""

    kind: str
    splits: dict[str, int]
    balance: tuple[Balance, ...]
    faults: tuple[str, ...] = ()
    copies: CleaningReport | None = None
    """Of images."""
    texts: dict[str, int] = field(default_factory=dict)
    """Of texts: `empty`, `repeated` within a split, and 'train in val' and the like."""
    patients_known: int = 0
    attributes: tuple[AttributeFacts, ...] = ()
    grey: dict[str, list[float]] = field(default_factory=dict)
    """For images of the train split with and without the label: the share of pixels in each of
    `BINS` steps from black to white."""
    refused: tuple[str, ...] = ()
    """Why training would not start."""


def image_facts(source: Source, config: ImageTraining) -> DataFacts:
    """Look at labelled images, as `sources.read_source` gives them."""
    splits = source.splits
    copies, pairs = inspect(splits, config.data.cleaning)
    refused = []
    if source.faults and config.data.cleaning.bad_rows == "refuse":
        refused.append(f"rows that cannot be used: {len(source.faults)}")
    try:
        if "train" in splits:
            _, copies = take_out(splits, config.data.cleaning, copies, pairs)
    except ConfigurationError as error:
        refused.append(error.detail)
    return DataFacts(
        kind="image",
        splits={split: len(images.pixels) for split, images in splits.items()},
        balance=tuple(
            Balance(split, config.package.label.name, len(one.targets), int(one.targets.sum()))
            for split, one in splits.items()
        ),
        faults=source.faults,
        copies=copies,
        patients_known=sum(
            patient is not None for images in splits.values() for patient in images.patients
        ),
        attributes=tuple(_attributes(splits)),
        grey=_grey(splits.get("train")),
        refused=tuple(refused),
    )


def text_facts(found: Sequence[Record], config: TextTraining) -> DataFacts:
    """Look at labelled texts."""
    names = tuple(label.name for label in config.package.labels)
    by_split: dict[str, list[Record]] = {}
    for record in found:
        by_split.setdefault(record.split or "no split", []).append(record)
    balance = []
    for split, chosen in by_split.items():
        present = label_records(chosen, names, config.data.terms).targets.sum(axis=0).tolist()
        balance += [
            Balance(split, name, len(chosen), count)
            for name, count in zip(names, present, strict=True)
        ]
    return DataFacts(
        kind="text",
        splits={split: len(chosen) for split, chosen in by_split.items()},
        balance=tuple(balance),
        texts=_text_copies(by_split),
    )


def _text_copies(by_split: Mapping[str, Sequence[Record]]) -> dict[str, int]:
    """Count texts that are the same but for case, punctuation and placeholders."""
    plain = {
        split: [normalise(record.text) for record in chosen] for split, chosen in by_split.items()
    }
    counts = {
        "empty": sum(not text for texts in plain.values() for text in texts),
        "repeated": sum(len(texts) - len(set(texts)) for texts in plain.values()),
    }
    order = list(plain)
    for at, other in enumerate(order):
        for one in order[:at]:
            shared = set(plain[other])
            counts[f"{one} in {other}"] = sum(text in shared for text in plain[one])
    return counts


def _attributes(splits: Mapping[str, LabelledImages]) -> list[AttributeFacts]:
    return [
        AttributeFacts(
            attribute,
            split,
            sum(attribute not in row for row in images.rows),
            _numbers(images, attribute) if attribute in NUMBERS else _words(images, attribute),
        )
        for attribute in ATTRIBUTES
        if any(attribute in row for images in splits.values() for row in images.rows)
        for split, images in splits.items()
    ]


def _numbers(images: LabelledImages, attribute: str) -> str:
    texts = [text for row in images.rows for keyword, text in row.items() if keyword == attribute]
    values = [value for value in map(number_of, texts) if value is not None]
    if not values:
        return ""
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"median {median:.4g}, middle half {low:.4g} to {high:.4g}"


def _words(images: LabelledImages, attribute: str) -> str:
    texts = [text for row in images.rows for keyword, text in row.items() if keyword == attribute]
    counts = Counter(map(word_of, texts)).most_common()
    told = [f"{word} {count}" for word, count in counts[:_COMMON_WORDS]]
    rest = len(counts) - len(told)
    return ", ".join([*told, f"and {rest} more"] if rest else told)


def _grey(images: LabelledImages | None) -> dict[str, list[float]]:
    if images is None:
        return {}
    shares = {}
    for name, chosen in (("present", images.targets), ("absent", ~images.targets)):
        if chosen.any():
            values = np.bincount(images.pixels[chosen].ravel() // (256 // BINS), minlength=BINS)
            shares[name] = (values / values.sum()).tolist()
    return shares
