"""Scripts of senders that make it hard to say when a study is complete; times are seconds."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.study import Announced

_QUICK = 0.05
"""Between two objects of a sender that has them all."""


@dataclass(frozen=True, slots=True)
class Brings:
    """An association brings an object."""

    at: float
    association: int
    number: int
    """Of the object; the same number again is the very same object."""
    announced: Announced | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """An association ends."""

    at: float
    association: int
    is_orderly: bool = True


@dataclass(frozen=True, slots=True)
class Declares:
    """The sender says over HTTP that so many objects are all."""

    at: float
    instances: int


Step = Brings | Ends | Declares


@dataclass(frozen=True, slots=True)
class Sender:
    """A kind of sender: its name, title and modality, and how it sends one study."""

    name: str
    calling_ae: str
    modality: str
    script: Callable[[random.Random], Iterator[Step]]


def _whole(chance: random.Random) -> Iterator[Step]:
    """One association, released after the last object: an archive that forwards stable studies."""
    at = 0.0
    for number in range(chance.randint(10, 40)):
        at += _QUICK
        yield Brings(at, 0, number)
    yield Ends(at + _QUICK, 0)


def _as_made(chance: random.Random) -> Iterator[Step]:
    """Each object when it is made, on an association of its own."""
    at = 0.0
    for number in range(chance.randint(5, 15)):
        at += chance.uniform(0.5, 15)
        yield Brings(at, number, number)
        yield Ends(at + _QUICK, number)


def _interleaved(chance: random.Random) -> Iterator[Step]:
    """Two associations for one study, the second long after the first; the number is announced."""
    count = chance.randint(20, 40)
    announced = Announced(study_instances=count, study_series=None, series_instances=None)
    at = 0.0
    for number in range(count):
        if number == count // 2:
            yield Ends(at + _QUICK, 0)
            at += chance.uniform(6, 25)
        at += _QUICK
        yield Brings(at, int(number >= count // 2), number, announced)
    yield Ends(at + _QUICK, 1)


def _aborted(chance: random.Random) -> Iterator[Step]:
    """Cut off in the middle; some time later it sends everything again."""
    count, at = chance.randint(10, 40), 0.0
    for number in range(chance.randint(1, count - 1)):
        at += _QUICK
        yield Brings(at, 0, number)
    yield Ends(at + _QUICK, 0, is_orderly=False)
    at += chance.uniform(6, 45)
    for number in range(count):
        at += _QUICK
        yield Brings(at, 1, number)
    yield Ends(at + _QUICK, 1)


def _repeated(chance: random.Random) -> Iterator[Step]:
    """Everything twice, the second time soon after the study was closed."""
    count, at = chance.randint(10, 40), 0.0
    for association in range(2):
        for number in range(count):
            at += _QUICK
            yield Brings(at, association, number)
        yield Ends(at + _QUICK, association)
        at += chance.uniform(6, 60)


def _phases(chance: random.Random) -> Iterator[Step]:
    """Three contrast phases in one series, each when it is made; its number is announced."""
    each, at = chance.randint(10, 30), 0.0
    announced = Announced(study_instances=None, study_series=None, series_instances=3 * each)
    for number in range(3 * each):
        if number and number % each == 0:
            at += chance.uniform(10, 45)
        at += _QUICK
        yield Brings(at, 0, number, announced)
    yield Ends(at + _QUICK, 0)


def _so_far(chance: random.Random) -> Iterator[Step]:
    """Announces how many there are so far, which is no number to rely on."""
    at = 0.0
    for number in range(chance.randint(10, 40)):
        at += chance.uniform(0.1, 3)
        so_far = Announced(study_instances=number + 1, study_series=None, series_instances=None)
        yield Brings(at, number, number, so_far)
        yield Ends(at + _QUICK, number)


def _declared(chance: random.Random) -> Iterator[Step]:
    """Slow and uneven; the number is declared over HTTP before the first object."""
    count, at = chance.randint(10, 40), 0.0
    yield Declares(0.0, count)
    for number in range(count):
        at += chance.choice([_QUICK] * 9 + [chance.uniform(5, 25)])
        yield Brings(at, 0, number)
    yield Ends(at + _QUICK, 0)


SENDERS = (
    Sender("whole studies", "ARCHIVE", "CT", _whole),
    Sender("object by object", "US_ROOM", "US", _as_made),
    Sender("interleaved", "ROUTER", "MR", _interleaved),
    Sender("aborted", "CT1", "CT", _aborted),
    Sender("sent twice", "CT2", "CT", _repeated),
    Sender("three phases", "CT3", "CT", _phases),
    Sender("counts so far", "CT4", "CT", _so_far),
    Sender("declared", "RIS_KNOWS", "MR", _declared),
)
