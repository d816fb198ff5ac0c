"""Storage Commitment Push Model as an SCP (PS3.4 annex J): says what is held, from disk and ledger.

The report goes back on the association of the request, or on one of our own to a peer that the
settings give an address for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ImplicitVRLittleEndian

from medqueue.doors.admission import Admission
from medqueue.doors.dimse.c_store import Answer
from medqueue.doors.dimse.command import Request, Status
from medqueue.doors.dimse.data_sets import TooLongError, UnreadableError, read, take_bytes
from medqueue.doors.dimse.fragments import FragmentReader
from medqueue.doors.dimse.presentation import AcceptedContext
from medqueue.errors import OutOfResourcesError
from medqueue.logs import get_logger
from schemas.identifiers import is_uid

_logger = get_logger(__name__)

WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model SOP Instance."""

_REQUEST_COMMITMENT = 1
"""Action Type ID (PS3.4 section J.3.2.1)."""
_ALL_HELD, _FAILURES_EXIST = 1, 2
"""Event Type ID (PS3.4 section J.3.3.1)."""

_PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _CLASS_CONFLICT = 0x0110, 0x0112, 0x0119
"""Failure Reason (0008,1197), PS3.3 section C.14.1.1."""

Reference = tuple[str, str]
"""Referenced SOP Class UID and Referenced SOP Instance UID."""


@dataclass(slots=True)
class Report:
    """What an N-EVENT-REPORT is to say about one transaction."""

    transaction_uid: str
    held: list[Reference] = field(default_factory=list)
    failed: list[tuple[Reference, int]] = field(default_factory=list)

    @property
    def event_type(self) -> int:
        """Event Type ID."""
        return _FAILURES_EXIST if self.failed else _ALL_HELD

    def to_data_set(self) -> Dataset:
        """Return the Event Information (PS3.4 table J.3-2)."""
        data_set = Dataset()
        data_set.TransactionUID = self.transaction_uid
        if self.held:
            data_set.ReferencedSOPSequence = [_item(reference) for reference in self.held]
        if self.failed:
            data_set.FailedSOPSequence = [_item(*failure) for failure in self.failed]
        return data_set

    def to_content(self) -> dict[str, Any]:
        """Return what the ledger keeps of it."""
        return {
            "transaction_uid": self.transaction_uid,
            "held": [list(reference) for reference in self.held],
            "failed": [[*reference, reason] for reference, reason in self.failed],
        }

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Return the report that the ledger has kept."""
        return cls(
            content["transaction_uid"],
            held=[(sop_class, instance) for sop_class, instance in content["held"]],
            failed=[
                ((sop_class, instance), reason) for sop_class, instance, reason in content["failed"]
            ],
        )

    def encode(self, transfer_syntax_uid: str) -> bytes:
        """Encode the Event Information."""
        file = DicomBytesIO()
        file.is_little_endian = True
        file.is_implicit_VR = transfer_syntax_uid == ImplicitVRLittleEndian
        write_dataset(file, self.to_data_set())
        return file.getvalue()


class CommitmentService:
    """Answers the N-ACTION requests of one association."""

    def __init__(self, admission: Admission, reader: FragmentReader) -> None:
        self._admission = admission
        self._reader = reader

    def act(self, request: Request, context: AcceptedContext) -> tuple[Answer, Report | None]:
        """Read one request, and return its answer and the report that is owed.

        Raises what `FragmentReader` raises.
        """
        received: bytes | None = b""
        if request.has_data_set:
            received = take_bytes(self._reader, context.id)
        if request.sop_instance_uid != WELL_KNOWN_INSTANCE:
            return (Status.NO_SUCH_INSTANCE, "only the well-known instance is there"), None
        if request.action_type != _REQUEST_COMMITMENT:
            return (Status.NO_SUCH_ACTION, "only action 1 is there"), None
        try:
            transaction_uid, references = read(received, context.transfer_syntax, _references)
            report = self._examine(transaction_uid, references)
        except TooLongError:
            return (Status.RESOURCE_LIMITATION, "too many instances in one request"), None
        except UnreadableError:
            return (Status.INVALID_ARGUMENT, "no UID, or no Referenced SOP Sequence"), None
        except OutOfResourcesError as error:
            return (Status.RESOURCE_LIMITATION, error.detail), None
        _logger.info("commitment-asked", held=len(report.held), failed=len(report.failed))
        return (Status.SUCCESS, ""), report

    def _examine(self, transaction_uid: str, references: Iterable[Reference]) -> Report:
        wanted = list(dict.fromkeys(references))
        found = self._admission.find_held([instance for _, instance in wanted])
        report = Report(transaction_uid)
        for reference in wanted:
            sop_class_uid, instance = reference
            held = found.get(instance)
            if held is None:
                report.failed.append((reference, _NO_SUCH_INSTANCE))
            elif sop_class_uid not in held.sop_class_uids:
                report.failed.append((reference, _CLASS_CONFLICT))
            elif not held.is_whole:
                report.failed.append((reference, _PROCESSING_FAILURE))
            else:
                report.held.append(reference)
        return report


def _references(data_set: Dataset) -> tuple[str, list[Reference]]:
    """Return the transaction and what is asked for (PS3.4 table J.3-1)."""
    transaction_uid = str(data_set.TransactionUID)
    references = [
        (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for item in data_set.ReferencedSOPSequence
    ]
    uids = [transaction_uid, *(uid for reference in references for uid in reference)]
    if not references or not all(is_uid(uid) for uid in uids):
        raise UnreadableError
    return transaction_uid, references


def _item(reference: Reference, failure_reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference
    if failure_reason is not None:
        item.FailureReason = failure_reason
    return item
