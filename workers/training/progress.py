"""What a training tells of itself while it runs, and who may listen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the training data came to."""

    number: int
    of: int
    step: int
    """Of the optimiser, counted from the beginning of the training."""
    loss: float
    learning_rate: float
    """At the end of the epoch."""
    validation: Mapping[str, float]
    """Figures of the averaged weights on the val split; see `validation.figures_of`."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a process begins to train."""

    epochs: Sequence[Epoch]
    """Finished by an earlier process."""
    of: int
    """Epochs in all."""
    batches: int
    """In an epoch."""


class Watch(Protocol):
    """Is told what happens in a training."""

    def begin(self, start: Start) -> None:
        """The training begins."""

    def batch(self, done: int) -> None:
        """So many batches of the present epoch are done."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done."""


class Unwatched:
    """Nobody listens."""

    def begin(self, start: Start) -> None:
        """Do nothing."""

    def batch(self, done: int) -> None:
        """Do nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Do nothing."""


class Several:
    """Tells each of several watches."""

    def __init__(self, *watches: Watch) -> None:
        self._watches = watches

    def begin(self, start: Start) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.begin(start)

    def batch(self, done: int) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.batch(done)

    def epoch(self, epoch: Epoch) -> None:
        """Tell each."""
        for watch in self._watches:
            watch.epoch(epoch)
