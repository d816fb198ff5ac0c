"""What one association, or one request, brings: kept as evidence of how much of a study is here."""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError

from medqueue.ledger import evidence
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from schemas.completeness import Evidence, EvidenceKind
from schemas.study import Announced, InstanceHeader

_logger = get_logger(__name__)

_MOST_STUDIES = 10_000
"""Of one association; about those beyond, nothing is said, and the quiet time decides."""


class Consignment:
    """Notes the studies of the objects that were accepted; belongs to one thread at a time.

    It costs a set's look-up per object. The ledger hears of it at the end, and earlier only where
    an object announces a number that is new. Evidence that cannot be written is lost: then the
    quiet time decides, as it does without any.
    """

    def __init__(self, ledger: Ledger, source: str, clock: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._source = source
        self._clock = clock
        self._studies: set[str] = set()
        self._announced: dict[str, Announced] = {}

    def note(self, header: InstanceHeader) -> None:
        """Note an object that is durable."""
        study = header.study_instance_uid
        if study not in self._studies:
            if len(self._studies) >= _MOST_STUDIES:
                return
            self._studies.add(study)
        announced, series = header.announced, header.series_instance_uid
        if announced is not None and self._announced.get(series) != announced:
            self._announced[series] = announced
            self._record([(study, one) for one in self._said(announced, series)])

    def end(self, *, is_orderly: bool) -> None:
        """Say of all its studies that it has ended, by a release or otherwise."""
        ended = (
            EvidenceKind.ASSOCIATION_RELEASED if is_orderly else EvidenceKind.ASSOCIATION_ABORTED
        )
        one = Evidence(kind=ended, source=self._source, at=self._clock())
        self._record([(study, one) for study in self._studies])

    def _said(self, announced: Announced, series_instance_uid: str) -> list[Evidence]:
        now = self._clock()
        said = []
        if announced.study_instances is not None or announced.study_series is not None:
            said.append(
                Evidence(
                    kind=EvidenceKind.ANNOUNCED,
                    source=self._source,
                    at=now,
                    instances=announced.study_instances,
                    series=announced.study_series,
                )
            )
        if announced.series_instances is not None:
            said.append(
                Evidence(
                    kind=EvidenceKind.ANNOUNCED,
                    source=self._source,
                    at=now,
                    series_instance_uid=series_instance_uid,
                    instances=announced.series_instances,
                )
            )
        return said

    def _record(self, said: Sequence[tuple[str, Evidence]]) -> None:
        if not said:
            return
        try:
            with self._ledger.write(lasting=False) as connection:
                evidence.record(connection, said)
        except DBAPIError as error:
            _logger.warning("evidence-not-recorded", error=type(error).__name__)
