"""Back-filling: has an archive send studies, and sees that they have come.

What the archive says of their size is kept as evidence, so that each study is closed as soon as
it is whole, and not before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from medqueue.errors import UnavailableError
from medqueue.ledger import evidence, holdings
from medqueue.ledger.engine import Ledger
from medqueue.operate.archives import Archive, FoundStudy, Wanted
from schemas.completeness import Evidence, EvidenceKind

OnProgress = Callable[[int, int | None], None]
"""Told how many objects of all studies have come, and how many there are, if that is known."""


@dataclass(frozen=True, slots=True)
class FetchedStudy:
    """What became of one study."""

    study_instance_uid: str
    expected: int | None
    """Objects that the archive has."""
    here: int
    """Different objects of it that are in the ledger now."""
    came: int
    """How many of them this run has brought."""
    reason: str | None
    """Why it is not whole; None when it is."""


@dataclass(frozen=True, slots=True)
class FetchSummary:
    """What became of all studies that were wanted."""

    studies: tuple[FetchedStudy, ...]

    @property
    def incomplete(self) -> tuple[FetchedStudy, ...]:
        """Those of which something has not come."""
        return tuple(study for study in self.studies if study.reason is not None)


class Fetcher:
    """Fetches studies from one archive into the ledger that a door of ours writes to."""

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        on_progress: OnProgress = lambda _done, _total: None,
    ) -> None:
        self._archive = archive
        self._ledger = ledger
        self._clock = clock
        self._on_progress = on_progress
        self._done = 0
        self._total: int | None = None

    def fetch(self, wanted: Wanted) -> FetchSummary:
        """Fetch what is wanted; what is here already is not sent again.

        Raises:
            UnavailableError: the archive cannot be asked what it has.
        """
        found = self._archive.find(wanted)
        counts = [study.instances for study in found]
        self._total = None if None in counts else sum(count or 0 for count in counts)
        fetched = [self._fetch_one(study) for study in found]
        known = {study.study_instance_uid for study in found}
        unknown = [
            FetchedStudy(uid, None, self._here(uid), 0, "the archive has no such study")
            for uid in wanted.study_instance_uids
            if uid not in known
        ]
        return FetchSummary((*fetched, *unknown))

    def _fetch_one(self, study: FoundStudy) -> FetchedStudy:
        uid, expected = study.study_instance_uid, study.instances
        self._tell(uid, expected, study.series)
        before = self._here(uid)
        reason = None
        if expected is None or before < expected:
            try:
                retrieved = self._archive.retrieve(
                    uid, lambda sent: self._on_progress(self._done + sent, self._total)
                )
            except UnavailableError as error:
                reason = error.detail
            else:
                reason = retrieved.reason
                expected = retrieved.total if expected is None else expected
                # Anew, so that the study is judged now that all of it should be here.
                self._tell(uid, expected, study.series)
        here = self._here(uid)
        self._done += here if expected is None else expected
        self._on_progress(self._done, self._total)
        if reason is None and (here == 0 or here < (expected or 0)):
            reason = (
                "the archive says that it has sent all, but not all is in this ledger; see that "
                "it sends to the DICOM door of the same system"
            )
        return FetchedStudy(uid, expected, here, here - before, reason)

    def _here(self, study_instance_uid: str) -> int:
        with self._ledger.read() as connection:
            return holdings.count_of_study(connection, study_instance_uid)

    def _tell(self, study_instance_uid: str, instances: int | None, series: int | None) -> None:
        if instances is None and series is None:
            return
        one = Evidence(
            kind=EvidenceKind.ARCHIVE_COUNT,
            source=self._archive.name,
            at=self._clock(),
            instances=instances,
            series=series,
        )
        with self._ledger.write() as connection:
            evidence.record(connection, [(study_instance_uid, one)])
