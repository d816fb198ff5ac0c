"""Cleaning: copies and shared patients leave the train split, and nothing leaves the others."""

from typing import Any

import numpy as np
import pytest

from medqueue.errors import ConfigurationError
from workers.training.cleaning import clean
from workers.training.data import LabelledImages
from workers.training.image_data import Cleaning

SHADES = np.random.default_rng(1).integers(0, 256, (12, 8, 8), dtype=np.uint8)


def some(numbers: list[int], patients: str = "", present: str = "") -> LabelledImages:
    """Images by number; a letter each for their patients, a star for what is present."""
    return LabelledImages(
        SHADES[numbers],
        np.array([mark == "*" for mark in present.ljust(len(numbers))]),
        tuple(None if letter == "-" else letter for letter in patients),
    )


def kept(splits: dict[str, LabelledImages], **how: Any) -> list[int]:
    """Numbers of the images that stay in train."""
    cleaned, _ = clean(splits, Cleaning(**how))
    assert all(cleaned[split] is splits[split] for split in splits if split != "train")
    return [int(np.argmax((one == SHADES).all(axis=(1, 2)))) for one in cleaned["train"].pixels]


def test_exact_copies_leave_train_and_only_train() -> None:
    splits = {"train": some([0, 1, 0, 2, 3]), "val": some([2, 4, 4]), "test": some([3, 5])}

    assert kept(splits) == [0, 1]
    _, report = clean(splits, Cleaning())
    assert report.exact.within == {"train": 1, "val": 1}
    assert report.exact.across == {"train in val": 1, "train in test": 1}
    assert report.dropped == {"exact": 3}


def test_copies_with_other_labels_contradict() -> None:
    splits = {"train": some([0, 0, 1], present="* "), "val": some([1], present="*")}

    _, report = clean(splits, Cleaning())

    assert report.exact.contradictory == 2
    first, second = report.exact.examples[0]
    assert {first.split, second.split} <= {"train", "val"}


def test_copies_are_kept_or_refused_where_the_policy_says_so() -> None:
    splits = {"train": some([0, 0]), "val": some([1])}

    assert kept(splits, exact="keep") == [0, 0]
    with pytest.raises(ConfigurationError, match="exact copies of others: 1;"):
        clean(splits, Cleaning(exact="refuse"))


def test_what_looks_alike_is_dropped_only_on_request() -> None:
    brighter = LabelledImages(np.clip(SHADES[[0, 1]] // 2 + 9, 0, 255), np.zeros(2, dtype=bool))
    splits = {"train": some([0, 2]), "val": brighter}

    assert kept(splits) == [0, 2]
    assert kept(splits, near="drop") == [2]
    _, report = clean(splits, Cleaning())
    assert report.near.across == {"train in val": 1}
    assert report.exact.across == {}


def test_a_chain_of_alike_images_loses_only_those_whose_partner_stays() -> None:
    """Of a, b like a, and c like b alone, b goes and c stays."""
    chance = np.random.default_rng(0).normal(0, 1, (2, 16, 16))
    steps = [chance[0] + turn * chance[1] for turn in (0, 0.12, 0.24)]
    pixels = np.stack([np.clip(128 + 30 * one, 0, 255) for one in steps]).astype(np.uint8)
    splits = {"train": LabelledImages(pixels, np.zeros(3, dtype=bool)), "val": some([0])}

    cleaned, _ = clean(splits, Cleaning(near="drop", correlation=0.985))

    np.testing.assert_array_equal(cleaned["train"].pixels, pixels[[0, 2]])


def test_a_patient_in_two_splits_is_refused_unless_dropped_or_kept() -> None:
    splits = {
        "train": some([0, 1, 2, 3], "aab-"),
        "val": some([4, 5], "ac"),
        "test": some([6], "b"),
    }

    with pytest.raises(ConfigurationError, match="in another split too: 3;"):
        clean(splits, Cleaning())
    assert kept(splits, patients="drop") == [3]
    assert kept(splits, patients="keep") == [0, 1, 2, 3]
    _, report = clean(splits, Cleaning(patients="keep"))
    assert report.patients == {"train in test": 1, "train in val": 2}


def test_patients_that_are_not_known_share_nothing() -> None:
    assert kept({"train": some([0, 1]), "val": some([2])}) == [0, 1]
    assert kept({"train": some([0, 1], "--"), "val": some([2], "-")}) == [0, 1]
