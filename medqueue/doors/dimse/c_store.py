"""C-STORE as an SCP (PS3.7 section 9.3.1): the data set goes from the socket to a file as it is."""

from medqueue.doors.admission import Admission, InstanceRequest
from medqueue.doors.dimse.command import PRIORITY_HIGH, Request, Status
from medqueue.doors.dimse.counters import Counters
from medqueue.doors.dimse.fragments import FragmentReader
from medqueue.doors.dimse.presentation import SERVICES, AcceptedContext
from medqueue.errors import IdentityError, OutOfResourcesError, RefusedInputError
from medqueue.logs import get_logger

_logger = get_logger(__name__)

Answer = tuple[Status, str]
"""A status, and an Error Comment."""


class UnsupportedSopClassError(RefusedInputError):
    """The SOP Class of the request is not the one that was negotiated."""

    code = "sop-class-not-supported"


class StoreService:
    """Answers the C-STORE requests of one association."""

    def __init__(
        self, admission: Admission, reader: FragmentReader, counters: Counters, calling_ae: str
    ) -> None:
        self._admission = admission
        self._reader = reader
        self._counters = counters
        self._calling_ae = calling_ae
        self._consignment = admission.consign(calling_ae)
        self._accepted = self._duplicate = self._refused = self._bytes = 0

    def end(self, *, is_released: bool) -> None:
        """Tell the ledger and the log: a line for each object would cost more than its record."""
        self._consignment.end(is_orderly=is_released)
        _logger.info(
            "association-ended",
            calling_ae=self._calling_ae,
            accepted=self._accepted,
            duplicate=self._duplicate,
            refused=self._refused,
            bytes=self._bytes,
        )

    def store(self, request: Request, context: AcceptedContext) -> Answer:
        """Receive one object and return the answer; success only when the object is durable.

        Raises what `FragmentReader` raises; then the object is gone, and nothing is answered.
        """
        wanted = InstanceRequest(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=context.transfer_syntax,
            calling_ae=self._calling_ae,
            urgent=request.priority == PRIORITY_HIGH,
        )
        try:
            self._require_negotiated(request, context)
            incoming = self._admission.receive_instance(wanted)
        except (OutOfResourcesError, RefusedInputError) as error:
            if request.has_data_set:
                self._reader.read_data_set(context.id, len)
            return self._refuse(error)
        with incoming:
            if request.has_data_set:
                self._reader.read_data_set(context.id, incoming.write)
            try:
                disposition = self._admission.admit_instance(wanted, incoming, self._consignment)
            except (OutOfResourcesError, RefusedInputError) as error:
                return self._refuse(error)
        self._accepted += 1
        self._duplicate += disposition is None
        self._bytes += incoming.size
        self._counters.add(
            objects_accepted=1,
            objects_duplicate=int(disposition is None),
            bytes_accepted=incoming.size,
        )
        return Status.SUCCESS, ""

    def _require_negotiated(self, request: Request, context: AcceptedContext) -> None:
        is_service = context.abstract_syntax in SERVICES
        if is_service or request.sop_class_uid != context.abstract_syntax:
            error = UnsupportedSopClassError("SOP Class is not that of the presentation context")
            self._admission.record_refusal(self._calling_ae, error)
            raise error

    def _refuse(self, error: OutOfResourcesError | RefusedInputError) -> Answer:
        self._refused += 1
        self._counters.add(objects_refused=1)
        return _STATUS.get(type(error), Status.CANNOT_UNDERSTAND), error.detail


_STATUS: dict[type[Exception], Status] = {
    OutOfResourcesError: Status.OUT_OF_RESOURCES,
    IdentityError: Status.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    UnsupportedSopClassError: Status.SOP_CLASS_NOT_SUPPORTED,
}
"""PS3.4 section B.2.3 and PS3.7 section C.5.6; everything else cannot be understood."""
