"""One association as acceptor: states Sta2 to Sta13 of PS3.8 section 9.2, and its messages."""

import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from medqueue.doors.admission import Admission
from medqueue.doors.dimse.associate import (
    APPLICATION_CONTEXT,
    PROTOCOL_VERSION,
    AssociateRequest,
    decode_request,
    encode_accept,
)
from medqueue.doors.dimse.availability import AvailabilityService
from medqueue.doors.dimse.c_store import Answer, StoreService
from medqueue.doors.dimse.command import (
    Field,
    Request,
    Status,
    encode_event_report,
    encode_response,
)
from medqueue.doors.dimse.command import decode_request as decode_command
from medqueue.doors.dimse.commitment import CommitmentService
from medqueue.doors.dimse.counters import Counters
from medqueue.doors.dimse.fragments import AbortReceived, FragmentReader, ReleaseRequested
from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.pdu import (
    HEADER_LENGTH,
    AbortReason,
    AbortSource,
    PduType,
    ProtocolError,
    Rejection,
    decode_header,
    encode_abort,
    encode_p_data,
    encode_reject,
    encode_release_reply,
)
from medqueue.doors.dimse.peers import AllowList
from medqueue.doors.dimse.presentation import (
    INSTANCE_AVAILABILITY,
    STORAGE_COMMITMENT,
    AcceptedContext,
    PrivateSopClasses,
    negotiate,
)
from medqueue.doors.dimse.reporter import Reporter
from medqueue.doors.dimse.transport import (
    DeadlineError,
    PeerGoneError,
    Transport,
)
from medqueue.doors.header import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from medqueue.doors.tls import HandshakeError
from medqueue.errors import OutOfResourcesError
from medqueue.logs import get_logger

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Host:
    """What all associations of one door share."""

    ae_title: str
    allow_list: AllowList
    limits: Limits
    tls: ssl.SSLContext | None
    private_sop_classes: PrivateSopClasses
    reporter: Reporter
    admission: Admission
    counters: Counters
    is_stopping: Callable[[], bool]


class Association:
    """Runs in a thread of its own from the connection to its end, and never raises."""

    def __init__(self, connection: socket.socket, address: str, host: Host) -> None:
        self._host = host
        self._address = address
        self._transport = Transport(connection, host.limits, host.tls)
        self._contexts: dict[int, AcceptedContext] = {}
        self._calling_ae = ""
        self._longest = 0
        """Maximum Length Received of the peer; 0 for no limit."""
        self._reports = 0
        self.is_established = False
        """Whether it is in Sta6; other threads may look."""

    def run(self) -> None:
        """Serve the peer until it is done, gives up, breaks the protocol, or is too slow."""
        try:
            self._negotiate_and_serve()
        except ProtocolError as error:
            self._abort(AbortSource.SERVICE_PROVIDER, error.reason, error.detail)
        except DeadlineError:
            self._abort(AbortSource.SERVICE_PROVIDER, AbortReason.NOT_SPECIFIED, "too slow")
        except HandshakeError as error:
            _logger.warning("tls-handshake-failed", reason=str(error), address=self._address)
        except (PeerGoneError, AbortReceived):
            self._host.counters.add(associations_aborted=int(self.is_established))  # AA-3, AA-4
        except Exception as error:
            # A fault of ours must cost this peer its association, and no other peer anything.
            _logger.exception("association-failed", error=type(error).__name__)
            self._abort(AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED, "internal error")
        finally:
            # Sta13: the peer closes, or ARTIM expires.
            self.is_established = False
            self._transport.await_end(time.monotonic() + self._host.limits.request_seconds)

    def cut(self) -> None:
        """Close the connection from another thread."""
        self._transport.close()

    def _negotiate_and_serve(self) -> None:
        request = self._await_request()
        rejection = self._reason_to_reject(request)
        with self._host.counters.one_association(self._host.limits.associations) as has_place:
            if rejection is None and not has_place:
                rejection = Rejection.LOCAL_LIMIT_EXCEEDED
            if rejection is not None:  # AE-8
                self._host.counters.add(associations_rejected=1)
                _logger.warning(
                    "association-rejected",
                    reason=rejection.name,
                    calling_ae=request.calling_ae,
                    called_ae=request.called_ae,
                    address=self._address,
                )
                self._transport.send(encode_reject(rejection))
                return
            self._accept(request)
            self._calling_ae, self._longest = request.calling_ae, request.max_length
            del request  # it may be large, and the association long
            self._serve()

    def _await_request(self) -> AssociateRequest:
        """Sta2: await A-ASSOCIATE-RQ, with ARTIM running."""
        limits = self._host.limits
        deadline = time.monotonic() + limits.request_seconds
        self._transport.secure(deadline)
        header = decode_header(self._transport.take(HEADER_LENGTH, deadline))
        if header.type == PduType.A_ABORT:
            raise AbortReceived  # AA-2
        if header.type != PduType.A_ASSOCIATE_RQ:
            raise ProtocolError("no A-ASSOCIATE-RQ came first", AbortReason.UNEXPECTED_PDU)
        if header.length > limits.associate_length:
            raise ProtocolError("A-ASSOCIATE-RQ is too long", AbortReason.NOT_SPECIFIED)
        return decode_request(self._transport.take(header.length, deadline))

    def _reason_to_reject(self, request: AssociateRequest) -> Rejection | None:
        if not request.protocol_version & PROTOCOL_VERSION:
            return Rejection.PROTOCOL_VERSION_NOT_SUPPORTED
        if request.application_context != APPLICATION_CONTEXT:
            return Rejection.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED
        if request.called_ae != self._host.ae_title:
            return Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED
        if not self._host.allow_list.allows(request.calling_ae, self._address):
            return Rejection.CALLING_AE_TITLE_NOT_RECOGNIZED
        if self._host.is_stopping():
            return Rejection.TEMPORARY_CONGESTION
        return None

    def _accept(self, request: AssociateRequest) -> None:
        """AE-7: accept, and go on in Sta6."""
        limits = self._host.limits
        self._contexts, answers = negotiate(request.contexts, self._host.private_sop_classes)
        self.is_established = True
        self._host.counters.add(associations_accepted=1)
        self._transport.enlarge(limits.pdu_length)
        self._transport.send(
            encode_accept(
                request,
                answers,
                max_length=limits.pdu_length,
                implementation_class_uid=IMPLEMENTATION_CLASS_UID,
                implementation_version_name=IMPLEMENTATION_VERSION_NAME,
            )
        )

    def _serve(self) -> None:
        """Sta6: answer messages until the peer is done or the door stops."""
        host = self._host
        reader = FragmentReader(self._transport, host.limits)
        service = StoreService(host.admission, reader, host.counters, self._calling_ae)
        is_released = False
        try:
            while reader.wait(host.is_stopping):
                self._answer(reader, service)
        except ReleaseRequested:
            is_released = True
            self._transport.send(encode_release_reply())  # AR-2, AR-4
        except ProtocolError as error:
            host.admission.record_refusal(self._calling_ae, error)
            raise
        else:
            self._abort(AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED, "the door stops")
        finally:
            service.end(is_released=is_released)

    def _answer(self, reader: FragmentReader, service: StoreService) -> None:
        """Read one message and answer it."""
        context_id, command_set = reader.read_command()
        context = self._contexts.get(context_id)
        if context is None:
            raise ProtocolError(
                "a message came in a context that was not accepted",
                AbortReason.INVALID_PDU_PARAMETER_VALUE,
            )
        request = decode_command(command_set)
        if request.field == Field.C_CANCEL_RQ:
            return  # of an operation that is over; it has no response (PS3.7 section 9.3.2.3)
        if request.field == Field.N_EVENT_REPORT_RSP:
            if request.has_data_set:
                reader.read_data_set(context.id, len)
            return  # the peer has heard our report; should it have failed it asks again
        if request.field == Field.N_ACTION_RQ and context.abstract_syntax == STORAGE_COMMITMENT:
            self._commit(reader, request, context)
            return
        if request.field == Field.N_CREATE_RQ and not request.sop_instance_uid:
            # Then the SCP chooses it, and says which (PS3.7 section 10.1.5.1.4).
            request = replace(request, sop_instance_uid=f"2.25.{uuid4().int}")
        status, comment = self._perform(reader, service, request, context)
        response = encode_response(request, status, comment)
        self._transport.send(encode_p_data(context_id, response, self._longest))

    def _commit(self, reader: FragmentReader, request: Request, context: AcceptedContext) -> None:
        """Answer a request for storage commitment, and report at once (PS3.4 section J.3)."""
        (status, comment), report = CommitmentService(self._host.admission, reader).act(
            request, context
        )
        longest, reporter = self._longest, self._host.reporter
        is_called_back = report is not None and reporter.knows(self._calling_ae)
        if report is not None and is_called_back:
            try:
                reporter.keep(self._calling_ae, report)
            except OutOfResourcesError as error:
                status, comment = Status.RESOURCE_LIMITATION, error.detail
        answer = encode_p_data(context.id, encode_response(request, status, comment), longest)
        if report is None or is_called_back:
            self._transport.send(answer)
            reporter.wake()
        else:
            self._reports += 1
            event = encode_event_report(request, self._reports, report.event_type)
            data_set = report.encode(context.transfer_syntax)
            self._transport.send(
                answer
                + encode_p_data(context.id, event, longest)
                + encode_p_data(context.id, data_set, longest, is_command=False)
            )

    def _perform(
        self,
        reader: FragmentReader,
        service: StoreService,
        request: Request,
        context: AcceptedContext,
    ) -> Answer:
        if request.field == Field.C_STORE_RQ:
            return service.store(request, context)
        if request.field == Field.N_CREATE_RQ and context.abstract_syntax == INSTANCE_AVAILABILITY:
            availability = AvailabilityService(
                self._host.admission.ledger, reader, self._calling_ae
            )
            return availability.notify(request, context)
        if request.has_data_set:
            reader.read_data_set(context.id, len)
        if request.field == Field.C_ECHO_RQ:
            return Status.SUCCESS, ""
        return Status.UNRECOGNIZED_OPERATION, "this operation is not served"

    def _abort(self, source: AbortSource, reason: AbortReason, detail: str) -> None:
        """AA-1 or AA-8: send A-ABORT; Sta13 follows.

        Before the association is established PS3.8 has the service-user as source (AA-1).
        """
        if not self.is_established:
            source, reason = AbortSource.SERVICE_USER, AbortReason.NOT_SPECIFIED
        else:
            self._host.counters.add(associations_aborted=1)
        _logger.warning("association-aborted", reason=detail, address=self._address)
        try:
            self._transport.send(encode_abort(source, reason))
        except (DeadlineError, PeerGoneError):
            _logger.info("abort-not-delivered", address=self._address)
