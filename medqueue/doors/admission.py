"""Admission: the one threshold of every door. Once it returns, the input is durable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from medqueue.doors.backlog import Backlog
from medqueue.doors.consignment import Consignment
from medqueue.doors.group_commit import GroupCommit, Record
from medqueue.doors.header import part10_header, read_header
from medqueue.errors import IdentityError, OutOfResourcesError, RefusedInputError
from medqueue.ledger import audit, holdings, intake, orders, report_intake
from medqueue.ledger.engine import Ledger
from medqueue.ledger.orders import ReceivedOrder
from medqueue.ledger.report_intake import ReceivedReport
from medqueue.logs import get_logger
from medqueue.storage.instances import IncomingInstance, InstanceStore
from schemas.identifiers import is_uid
from schemas.order import OrderSubmission
from schemas.report import Enclosure, ReportSubmission
from schemas.study import Disposition, InstanceHeader, StoredInstance

_logger = get_logger(__name__)

R = TypeVar("R")
T = TypeVar("T")
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class InstanceRequest:
    """What a sender says about an object before it comes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    study_instance_uid: str | None = None
    """The study that the object must belong to, where the sender says it."""
    urgent: bool = False
    """The sender asks for urgency outside the object."""


@dataclass(frozen=True, slots=True)
class Held:
    """What lies under one SOP Instance UID; more than one class only where contents conflict."""

    sop_class_uids: frozenset[str]
    is_whole: bool
    """Every file of it is on disk, in its full length."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An instance whose bytes are durable, and whose record is not yet."""

    header: InstanceHeader
    stored: StoredInstance
    calling_ae: str


class Admission:
    """Validates, stores and records what a door has received. Threads may share one."""

    def __init__(
        self,
        ledger: Ledger,
        store: InstanceStore,
        *,
        max_attempts: int,
        max_backlog: int = 100_000,
        clock: Clock = utc_now,
    ) -> None:
        self._backlog = Backlog(ledger, max_backlog)
        self.ledger = ledger
        self._commits = GroupCommit(ledger)
        self._store = store
        self._max_attempts = max_attempts
        self._clock = clock

    def receive_instance(self, request: InstanceRequest) -> IncomingInstance:
        """Begin one DICOM object; its data set is then to be written as it comes.

        Raises:
            OutOfResourcesError: not now; the sender should try again.
            IdentityError: never; the request has no proper UIDs, and the refusal is on record.
        """
        for name, uid in (
            ("SOP Class UID", request.sop_class_uid),
            ("SOP Instance UID", request.sop_instance_uid),
        ):
            if not is_uid(uid):
                error = IdentityError(f"the {name} of the request is not a UID (PS3.5 9.1)")
                self.record_refusal(request.calling_ae, error)
                raise error
        self._require_room()
        return self._store.receive(
            part10_header(
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
                calling_ae=request.calling_ae,
            )
        )

    def consign(self, source: str) -> Consignment:
        """Begin what one association or request of a sender brings."""
        return Consignment(self.ledger, source, self._clock)

    def admit_instance(
        self,
        request: InstanceRequest,
        incoming: IncomingInstance,
        consignment: Consignment | None = None,
    ) -> Disposition | None:
        """Make one DICOM object durable: its bytes, then its record.

        Args:
            request: what the sender said about it; the data set must say the same.
            incoming: the data set, all of it, in the encoding of the transfer syntax.
            consignment: with what it came.

        Returns:
            What became of it; None for an exact duplicate of what is there.

        Raises:
            OutOfResourcesError: not now; the sender should try again.
            RefusedInputError: never; its `code` says why, and the refusal is on record.
        """
        incoming.require_written()
        try:
            header = read_header(
                incoming.read_again(), request.transfer_syntax_uid, urgent=request.urgent
            )
            _require_same("SOP Class UID", header.sop_class_uid, request.sop_class_uid)
            _require_same("SOP Instance UID", header.sop_instance_uid, request.sop_instance_uid)
            if request.study_instance_uid is not None:
                _require_same(
                    "Study Instance UID", header.study_instance_uid, request.study_instance_uid
                )
        except RefusedInputError as error:
            self.record_refusal(request.calling_ae, error)
            raise
        stored = incoming.keep()
        kept = _Kept(header, stored, request.calling_ae)
        # When this raises, nobody knows whether the commit went through: the bytes stay, since
        # a file without a record costs disk, and a record without a file costs a study.
        disposition = self._commit(self._record_instances, kept, in_bulk=False)
        if disposition is None:
            self._store.drop(stored)
        if consignment is not None:
            consignment.note(header)
        return disposition

    def open_berths(self) -> None:
        """Make ready for many objects, and remove what dead processes have left of others."""
        count = self._store.clear_abandoned(self._recorded)
        _logger.info("abandoned-transfers-removed", count=count)
        self._store.berths.open()

    def close_berths(self) -> None:
        """Leave nothing behind of what was made ready."""
        self._store.berths.close()

    def _recorded(self, paths: Sequence[str]) -> set[str]:
        with self.ledger.read() as connection:
            return intake.recorded_paths(connection, paths)

    def find_held(self, uids: Sequence[str]) -> dict[str, Held]:
        """Return what is held under some SOP Instance UIDs, by the ledger and by the disk.

        Raises:
            OutOfResourcesError: the ledger does not answer.
        """
        held: dict[str, Held] = {}
        try:
            with self.ledger.read() as connection:
                for uid, sop_class_uid, path, size in holdings.of_uids(connection, uids):
                    before = held.get(uid, Held(frozenset(), is_whole=True))
                    held[uid] = Held(
                        before.sop_class_uids | {sop_class_uid},
                        is_whole=before.is_whole and self._store.is_whole(path, size),
                    )
        except DBAPIError as error:
            raise _unavailable(error) from error
        return held

    def admit_report(
        self,
        submission: ReportSubmission,
        *,
        source: str,
        idempotency_key: str | None = None,
        documents: Sequence[Enclosure] = (),
    ) -> str:
        """Make one report text, and the documents beside it, durable and return its id.

        Raises:
            OutOfResourcesError: not now; the sender should try again.
            IdempotencyConflictError: the key came before with other content.
        """
        self._require_room()
        received = ReceivedReport(submission, source, idempotency_key, tuple(documents))
        report_id = self._commit(self._record_reports, received, in_bulk=True)
        _logger.info("report-admitted", report=report_id, source=source)
        return report_id

    def admit_order(self, submission: OrderSubmission, *, idempotency_key: str) -> None:
        """Make one order durable.

        Raises:
            OutOfResourcesError: not now; the sender should try again.
        """
        received = ReceivedOrder(submission, idempotency_key)
        self._commit(self._record_orders, received, in_bulk=True)

    def _require_room(self) -> None:
        self._store.require_space()
        self._backlog.require_room()

    def record_refusal(self, actor: str, error: RefusedInputError) -> None:
        """Put a refusal on record, so that an administrator sees it; best effort."""
        _logger.warning("input-refused", code=error.code, detail=error.detail)
        try:
            self._commits.run(self._record_refusals, (actor, error), in_bulk=True)
        except DBAPIError as failure:
            # Without its traceback: an SQL error quotes rows.
            _logger.error("refusal-not-recorded", error=type(failure).__name__)  # noqa: TRY400 - see above

    def _record_instances(
        self, connection: Connection, kept: Sequence[_Kept]
    ) -> list[Disposition | None]:
        now = self._clock()
        return [
            intake.record_instance(
                connection, one.header, one.stored, calling_ae=one.calling_ae, now=now
            )
            for one in kept
        ]

    def _record_reports(
        self, connection: Connection, received: Sequence[ReceivedReport]
    ) -> list[str]:
        return report_intake.record_reports(
            connection, received, max_attempts=self._max_attempts, now=self._clock()
        )

    def _record_orders(
        self, connection: Connection, received: Sequence[ReceivedOrder]
    ) -> list[None]:
        return orders.record_orders(connection, received, now=self._clock())

    def _record_refusals(
        self, connection: Connection, refused: Sequence[tuple[str, RefusedInputError]]
    ) -> list[None]:
        now = self._clock()
        for actor, error in refused:
            audit.record(
                connection,
                now=now,
                actor=actor,
                action="refused",
                code=error.code,
                detail=error.detail,
            )
        return [None] * len(refused)

    def _commit(self, record: Record[R, T], received: R, *, in_bulk: bool) -> T:
        """Record one input durably, once more if another sender got in between."""
        try:
            try:
                return self._commits.run(record, received, in_bulk=in_bulk)
            except IntegrityError:
                return self._commits.run(record, received, in_bulk=in_bulk)
        except DBAPIError as error:
            raise _unavailable(error) from error


def _unavailable(error: DBAPIError) -> OutOfResourcesError:
    _logger.error("ledger-unavailable", error=type(error).__name__)
    return OutOfResourcesError("the ledger does not answer; try again, and see: medqueue doctor")


def _require_same(name: str, in_data_set: str, in_request: str) -> None:
    if in_data_set != in_request:
        raise IdentityError(f"{name} of the data set is not that of the request")
