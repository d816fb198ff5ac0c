"""What the DICOM door counts, for metrics and for people."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Tally:
    """The figures at one moment. All but `associations_open` only grow."""

    associations_open: int
    associations_accepted: int
    associations_rejected: int
    associations_aborted: int
    objects_accepted: int
    objects_duplicate: int
    objects_refused: int
    bytes_accepted: int


class Counters:
    """Figures that every association adds to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = dict.fromkeys((field.name for field in fields(Tally)), 0)

    def add(self, **amounts: int) -> None:
        """Add to figures by their names in `Tally`."""
        with self._lock:
            for name, amount in amounts.items():
                self._values[name] += amount

    @contextmanager
    def one_association(self, most: int) -> Iterator[bool]:
        """Hold a place among the open associations; yield False if all are taken."""
        with self._lock:
            has_place = self._values["associations_open"] < most
            self._values["associations_open"] += has_place
        try:
            yield has_place
        finally:
            if has_place:
                self.add(associations_open=-1)

    def read(self) -> Tally:
        """Return the figures as they are now."""
        with self._lock:
            return Tally(**self._values)
