"""What `medqueue fetch` wants of an archive, whichever protocol it speaks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

OnObjects = Callable[[int], None]
"""Told how many objects of the present study the archive has sent so far."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which studies to fetch; what is given must all hold."""

    study_instance_uids: tuple[str, ...] = ()
    accession_number: str | None = None
    study_date: str | None = None
    """YYYYMMDD, or a range as YYYYMMDD-YYYYMMDD (PS3.4 section C.2.2.2.5)."""
    modality: str | None = None


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study that the archive has; None for a number that it does not give."""

    study_instance_uid: str
    instances: int | None = None
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What an archive says of its sending of one study."""

    total: int | None = None
    """Objects that it has, where the sending has shown it."""
    reason: str | None = None
    """Why not all have come."""


class Archive(Protocol):
    """Finds studies, and sends them to us."""

    @property
    def name(self) -> str:
        """Who says so, in the evidence: its AE title or host."""

    def find(self, wanted: Wanted) -> list[FoundStudy]:
        """Return the studies that match.

        Raises:
            UnavailableError: the archive does not answer, or refuses.
        """

    def retrieve(self, study_instance_uid: str, on_objects: OnObjects) -> Retrieved:
        """Have one study sent; return when the archive is done.

        Raises:
            UnavailableError: the archive does not answer, or refuses.
        """
