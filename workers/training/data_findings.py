"""What the facts of a data set mean, in sentences for somebody who does not train models."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from workers.training.cleaning import Copies
from workers.training.data_facts import Balance, DataFacts

_FEW = 50
"""With fewer cases of the rarer kind a figure says little: each one moves it by 2 %."""
_RARE = 0.1
_APART = 0.1
"""Splits whose shares differ by so much are not of the same mix."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and how much it matters."""

    level: Literal["stop", "mind", "good"]
    text: str


def findings_of(facts: DataFacts) -> list[Finding]:
    """Return what a reader should know, what stops training first."""
    found = [
        *_refusals(facts),
        *_missing_splits(facts),
        *_copies(facts),
        *_patients(facts),
        *_texts(facts),
        *_balance(facts),
    ]
    return sorted(found, key=lambda one: ("stop", "mind", "good").index(one.level))


def _refusals(facts: DataFacts) -> Iterator[Finding]:
    for reason in facts.refused:
        yield Finding("stop", f"Training would not start: {reason}.")
    if facts.faults and not facts.refused:
        yield Finding("mind", f"Rows that cannot be used, and are left out: {len(facts.faults)}.")


def _missing_splits(facts: DataFacts) -> Iterator[Finding]:
    for split in ("train", "val"):
        if split not in facts.splits:
            yield Finding("stop", f"There is no {split} split: training needs one.")
    if "test" not in facts.splits:
        yield Finding(
            "mind",
            "There is no test split: the figures that training prints come from data that also "
            "chose the model, and flatter it. Measure the model on other data before you trust it.",
        )


def _copies(facts: DataFacts) -> Iterator[Finding]:
    if facts.copies is None:
        return
    dropped = facts.copies.dropped
    yield from _copies_of(facts.copies.exact, "are exact copies of", dropped.get("exact", 0))
    yield from _copies_of(facts.copies.near, "look like", dropped.get("near", 0))
    if not (facts.copies.exact.across or facts.copies.near.across):
        yield Finding("good", "No picture is in two splits, nor one that looks like it.")


def _copies_of(copies: Copies, what: str, dropped: int) -> Iterator[Finding]:
    for where, count in copies.across.items():
        one, _, other = where.partition(" in ")
        if dropped and one == "train":
            effect = "Left out of training."
        else:
            effect = f"Figures measured on {other} will look better than they are."
        told = f"Pictures of {one} that {what} pictures of {other}: {count}. {effect}"
        yield Finding("mind", told)
    for split, count in copies.within.items():
        effect = " Left out of training." if dropped and split == "train" else ""
        yield Finding("mind", f"Pictures of {split} that {what} earlier ones: {count}.{effect}")
    if copies.contradictory:
        yield Finding(
            "mind",
            f"Pairs of pictures that {what} each other and have opposite labels: "
            f"{copies.contradictory}. One label of each may be wrong; look at them below.",
        )


def _patients(facts: DataFacts) -> Iterator[Finding]:
    if facts.kind != "image":
        return
    total = sum(facts.splits.values())
    if facts.patients_known == 0:
        yield Finding(
            "mind",
            "The data do not say which patient a picture is of. Whether a patient is in two splits "
            "could not be checked.",
        )
        return
    if facts.patients_known < total:
        unknown = total - facts.patients_known
        yield Finding("mind", f"Pictures that name no patient: {unknown}.")
    shared = facts.copies.patients if facts.copies else {}
    for where, count in shared.items():
        one, _, other = where.partition(" in ")
        yield Finding("mind", f"Pictures of {one} whose patients are in {other} too: {count}.")
    if not shared:
        yield Finding("good", "No known patient is in two splits.")


def _texts(facts: DataFacts) -> Iterator[Finding]:
    for where, count in facts.texts.items():
        if count == 0:
            continue
        if where == "empty":
            yield Finding("mind", f"Empty texts: {count}.")
        elif where == "repeated":
            text = f"Texts that repeat another of their split: {count}. Training reads one of each."
            yield Finding("mind", text)
        elif where == "train in val":
            text = f"Texts of train that are in val too: {count}. Left out of training."
            yield Finding("mind", text)
        else:
            one, _, other = where.partition(" in ")
            yield Finding("mind", f"Texts of {one} that are in {other} too: {count}.")


def _balance(facts: DataFacts) -> Iterator[Finding]:
    training = {one.label: one for one in facts.balance if one.split == "train"}
    for split in facts.splits:
        labels = [one for one in facts.balance if one.split == split]
        alike = [one for one in labels if one.present in (0, one.n)]
        told_apart = [one for one in labels if one not in alike]
        if alike:
            stops = facts.kind == "image" and split in ("train", "val")
            text = f"In {split} all cases have the same label for {_named(alike)}."
            yield Finding("stop" if stops else "mind", text)
        yield from _scarce(split, told_apart)
        yield from _apart(split, [(one, training[one.label]) for one in labels if training])


def _scarce(split: str, labels: list[Balance]) -> Iterator[Finding]:
    few = [one for one in labels if _rarer(one) < _FEW]
    if few:
        counts = ", ".join(f"{one.label} ({_rarer(one)})" for one in few)
        text = f"In {split} fewer than {_FEW} cases are of the rarer kind for {counts}"
        yield Finding("mind", f"{text}: figures from so few are uncertain.")
    rare = [one for one in labels if one not in few and _rarer(one) < _RARE * one.n]
    if rare:
        counts = ", ".join(f"{one.label} {one.share:.0%}" for one in rare)
        yield Finding("mind", f"In {split} the two kinds are far from balanced: {counts}.")


def _apart(split: str, pairs: list[tuple[Balance, Balance]]) -> Iterator[Finding]:
    for one, training in pairs:
        if abs(one.share - training.share) > _APART:
            yield Finding(
                "mind",
                f"{one.label} is in {one.share:.0%} of {split} and in {training.share:.0%} of "
                "train: the splits are not of the same mix.",
            )


def _rarer(one: Balance) -> int:
    return min(one.present, one.n - one.present)


def _named(labels: list[Balance]) -> str:
    return ", ".join(one.label for one in labels)
