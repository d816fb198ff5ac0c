"""Instance Availability Notification as an SCP (PS3.4 annex R): an archive lists what it has.

The list is evidence of how much of a study there is; the objects come by themselves.
"""

from datetime import datetime

from pydicom.dataset import Dataset
from sqlalchemy.exc import DBAPIError

from medqueue.doors.admission import Clock, utc_now
from medqueue.doors.dimse.c_store import Answer
from medqueue.doors.dimse.command import Request, Status
from medqueue.doors.dimse.data_sets import TooLongError, UnreadableError, read, take_bytes
from medqueue.doors.dimse.fragments import FragmentReader
from medqueue.doors.dimse.presentation import AcceptedContext
from medqueue.ledger import evidence
from medqueue.ledger.engine import Ledger
from schemas.completeness import Evidence, EvidenceKind
from schemas.identifiers import is_uid

_GONE = "UNAVAILABLE"
"""Instance Availability (0008,0056) of what the archive itself cannot give."""


class AvailabilityService:
    """Answers the N-CREATE requests of one association."""

    def __init__(
        self,
        ledger: Ledger,
        reader: FragmentReader,
        calling_ae: str,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._reader = reader
        self._calling_ae = calling_ae

    def notify(self, request: Request, context: AcceptedContext) -> Answer:
        """Read one notification, keep it as evidence, and return its answer.

        Raises what `FragmentReader` raises.
        """
        received: bytes | None = b""
        if request.has_data_set:
            received = take_bytes(self._reader, context.id)
        try:
            study, series = read(received, context.transfer_syntax, _listed)
            said = self._said(series, self._clock())
            with self._ledger.write() as connection:
                evidence.record(connection, [(study, one) for one in said])
        except TooLongError:
            return Status.RESOURCE_LIMITATION, "too many instances in one notification"
        except UnreadableError:
            return Status.INVALID_ARGUMENT, "no UID, or no instance in a Referenced Series Sequence"
        except DBAPIError:
            return Status.RESOURCE_LIMITATION, "the ledger does not answer; send it again"
        return Status.SUCCESS, ""

    def _said(self, series: dict[str, int], now: datetime) -> list[Evidence]:
        kind, source = EvidenceKind.AVAILABILITY, self._calling_ae
        whole = Evidence(kind, source, now, instances=sum(series.values()), series=len(series))
        return [
            whole,
            *(
                Evidence(kind, source, now, series_instance_uid=uid, instances=count)
                for uid, count in series.items()
            ),
        ]


def _listed(listed: Dataset) -> tuple[str, dict[str, int]]:
    """Return the study, and how many objects each of its series has (PS3.4 table R.3.2-1)."""
    study = str(listed.StudyInstanceUID)
    series: dict[str, set[str]] = {}
    for one in listed.ReferencedSeriesSequence:
        instances = series.setdefault(str(one.SeriesInstanceUID), set())
        instances.update(
            str(item.ReferencedSOPInstanceUID)
            for item in one.ReferencedSOPSequence
            if item.get("InstanceAvailability") != _GONE
        )
    if not all(is_uid(uid) for uid in (study, *series)) or not any(series.values()):
        raise UnreadableError
    return study, {uid: len(instances) for uid, instances in series.items() if instances}
