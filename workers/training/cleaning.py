"""Taking copies and patients out of the train split, and counting what there was.

Only the train split loses images. What is measured on stays as it is; that it holds what another
split holds is reported.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from medqueue.errors import ConfigurationError
from workers.training.data import LabelledImages
from workers.training.duplicates import Pairs, alike_pairs, same_pairs
from workers.training.image_data import Cleaning, Policy

_ORDER = ("test", "val", "train")
"""A copy is taken out of the later split: what is measured on is worth most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image is."""

    split: str
    at: int


@dataclass(frozen=True, slots=True)
class Copies:
    """How many images have a copy, in the same split or in another one."""

    within: dict[str, int]
    """For each split the images that repeat an earlier one of it."""
    across: dict[str, int]
    """Under 'train in val' and the like, the images of the first that the second has too."""
    contradictory: int
    """Pairs whose labels are different: one of them must be wrong."""
    examples: tuple[tuple[Place, Place], ...]


@dataclass(frozen=True, slots=True)
class CleaningReport:
    """What was found, and what was done about it."""

    exact: Copies
    near: Copies
    """Of several that are the same only the first is compared."""
    patients: dict[str, int]
    """Under 'train in val' and the like, the images whose patient is in the second too."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Images taken out of the train split, by reason."""


@dataclass(frozen=True, slots=True)
class _Images:
    """All images in one row, in the order of `_ORDER`."""

    places: list[Place]
    splits: Mapping[str, LabelledImages]

    def present(self, at: int) -> bool:
        place = self.places[at]
        return bool(self.splits[place.split].targets[place.at])


def inspect(
    splits: Mapping[str, LabelledImages], how: Cleaning
) -> tuple[CleaningReport, dict[str, Pairs]]:
    """Count copies and shared patients; return the pairs too, by what makes them pairs."""
    images = _in_order(splits)
    pixels = [splits[place.split].pixels[place.at] for place in images.places]
    same = same_pairs(pixels)
    copies = {later for _, later in same}
    once = [at for at in range(len(pixels)) if at not in copies]
    alike = alike_pairs([pixels[at] for at in once], how.correlation)
    near = [(once[earlier], once[later]) for earlier, later in alike]
    shared = _patient_pairs(images)
    report = CleaningReport(
        exact=_copies(same, images),
        near=_copies(near, images),
        patients=_across(shared, images),
    )
    return report, {"exact": same, "near": near, "patients": shared}


def clean(
    splits: Mapping[str, LabelledImages], how: Cleaning
) -> tuple[dict[str, LabelledImages], CleaningReport]:
    """Return the splits with a train split as the policy wants it, and what was found.

    Raises:
        ConfigurationError: the policy refuses what there is.
    """
    return take_out(splits, how, *inspect(splits, how))


def take_out(
    splits: Mapping[str, LabelledImages],
    how: Cleaning,
    report: CleaningReport,
    pairs: Mapping[str, Pairs],
) -> tuple[dict[str, LabelledImages], CleaningReport]:
    """Do what `clean` does with what `inspect` has found."""
    policies: dict[str, Policy] = {"exact": how.exact, "near": how.near, "patients": how.patients}
    images = _in_order(splits)
    gone: set[int] = set()
    dropped: dict[str, int] = {}
    for kind, policy in policies.items():
        taken = _to_drop(pairs[kind], images, gone)
        if policy == "refuse" and taken:
            raise ConfigurationError(_refusal(kind, len(taken)))
        if policy == "drop":
            gone |= taken
            dropped[kind] = len(taken)
    keep = np.ones(len(splits["train"].pixels), dtype=np.bool_)
    keep[[images.places[at].at for at in gone]] = False
    cleaned = {**splits, "train": splits["train"].select(keep)}
    return cleaned, CleaningReport(report.exact, report.near, report.patients, dropped)


def _refusal(kind: str, count: int) -> str:
    what = {
        "exact": "that are exact copies of others",
        "near": "that look like others",
        "patients": "whose patients are in another split too",
    }[kind]
    return (
        f"images of the train split {what}: {count}; see them with `medqueue data-report`, then "
        f'mend the data, or set data.cleaning.{kind} to "drop" or "keep"'
    )


def _in_order(splits: Mapping[str, LabelledImages]) -> _Images:
    places = [
        Place(split, at)
        for split in _ORDER
        if split in splits
        for at in range(len(splits[split].pixels))
    ]
    return _Images(places, splits)


def _patient_pairs(images: _Images) -> Pairs:
    """Pair each image with the first of its patient in every earlier split."""
    first: dict[tuple[str, str], int] = {}
    pairs: Pairs = []
    for at, place in enumerate(images.places):
        patients = images.splits[place.split].patients
        patient = patients[place.at] if patients else None
        if patient is None:
            continue
        before = _ORDER[: _ORDER.index(place.split)]
        pairs += [(first[patient, one], at) for one in before if (patient, one) in first]
        first.setdefault((patient, place.split), at)
    return pairs


def _to_drop(pairs: Pairs, images: _Images, gone: set[int]) -> set[int]:
    """Return the training images whose partner stays; the first of several copies stays too."""
    taken: set[int] = set()
    for earlier, later in sorted(pairs, key=lambda pair: pair[1]):
        stays = earlier not in gone and earlier not in taken
        if stays and later not in gone and images.places[later].split == "train":
            taken.add(later)
    return taken


def _copies(pairs: Pairs, images: _Images) -> Copies:
    within = [
        (images.places[later].split, later)
        for earlier, later in pairs
        if images.places[earlier].split == images.places[later].split
    ]
    apart = [pair for pair in pairs if images.present(pair[0]) != images.present(pair[1])]
    return Copies(
        within=dict(Counter(split for split, _ in sorted(set(within)))),
        across=_across(pairs, images),
        contradictory=len(apart),
        examples=_examples([*apart, *pairs], images),
    )


def _across(pairs: Pairs, images: _Images) -> dict[str, int]:
    found = {
        (images.places[later].split, images.places[earlier].split, later)
        for earlier, later in pairs
        if images.places[earlier].split != images.places[later].split
    }
    return dict(Counter(f"{one} in {other}" for one, other, _ in sorted(found)))


def _examples(pairs: Sequence[tuple[int, int]], images: _Images) -> tuple[tuple[Place, Place], ...]:
    most = 6
    return tuple((images.places[one], images.places[other]) for one, other in pairs[:most])
