"""Completeness of a study: what speaks for it, and what closed it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EvidenceKind(StrEnum):
    """Who says something about how much of a study there is."""

    ANNOUNCED = "announced"
    """Its objects say how many there are: Number of Study Related Instances and its like."""
    ARCHIVE_COUNT = "archive-count"
    """An archive was asked by C-FIND or QIDO."""
    AVAILABILITY = "availability-notification"
    """An archive listed what it has by an Instance Availability Notification."""
    DECLARED = "declared"
    """A system said over HTTP that all has been sent, perhaps with the numbers."""
    PERSON = "person"
    """A person said on the page that nothing more will come."""
    ASSOCIATION_RELEASED = "association-released"
    """The last association, or request, that brought some of it ended in order."""
    ASSOCIATION_ABORTED = "association-aborted"
    """It was cut off: what it still had to bring may come again."""


class ClosedBy(StrEnum):
    """Why a study counts as complete."""

    ALL_EXPECTED = "all-expected"
    """As many objects are there as somebody who knows has counted."""
    DECLARED = "declared"
    """Its sender said that all has been sent, without a number."""
    PERSON = "person"
    """A person decided, whatever may be missing."""
    ASSOCIATION_RELEASED = "association-released"
    """Its sender, known to send a study whole in one association, has released that."""
    QUIET_TIME = "quiet-time"
    """Nothing came for the quiet time: no proof."""
    LONGEST_WAIT = "longest-wait"
    """Something speaks for missing objects, and they did not come in time: no proof."""

    @property
    def is_proof(self) -> bool:
        """Whether more speaks for it than that time went by."""
        return self not in {ClosedBy.QUIET_TIME, ClosedBy.LONGEST_WAIT}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one source has said last about a study, or about one series of it."""

    kind: EvidenceKind
    source: str
    """AE title, name of a token, or address of an archive."""
    at: datetime
    series_instance_uid: str | None = None
    instances: int | None = None
    """How many objects there are, of the study or the series."""
    series: int | None = None
    """How many series there are."""
    is_steady: bool = True
    """The source has never given another number."""
    times: int = 1
    """How often it has said something of this kind."""
