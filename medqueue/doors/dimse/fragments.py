"""Messages out of the fragments inside P-DATA-TF PDUs, whatever their sizes (PS3.8 annex E)."""

import time
from collections.abc import Callable, Iterator

from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.pdu import (
    HEADER_LENGTH,
    PDV_HEADER_LENGTH,
    AbortReason,
    PduType,
    PdvHeader,
    ProtocolError,
    decode_header,
    decode_pdv_header,
)
from medqueue.doors.dimse.transport import DeadlineError, Transport


class ReleaseRequested(Exception):  # noqa: N818 - no error: the peer is done
    """A-RELEASE-RQ came."""


class AbortReceived(Exception):  # noqa: N818 - no error of ours
    """A-ABORT came."""


class FragmentReader:
    """Reads messages in state Sta6, data transfer (PS3.8 section 9.2).

    Every method but `wait` may raise:
        ProtocolError: the peer broke the protocol.
        ReleaseRequested: the peer is done.
        AbortReceived: the peer gave up.
        DeadlineError: something did not come in time.
        PeerGoneError: it will not come.
    """

    def __init__(self, transport: Transport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._left_in_pdu = 0
        self._deadline = 0.0

    def wait(self, should_stop: Callable[[], bool]) -> bool:
        """Wait for the next message; return False if `should_stop` says so before it begins.

        Raises:
            DeadlineError: the association was idle for too long.
            PeerGoneError: nothing will come.
        """
        if self._left_in_pdu:
            return True
        return self._transport.wait(time.monotonic() + self._limits.idle_seconds, should_stop)

    def read_command(self) -> tuple[int, bytes]:
        """Return the presentation context of the next message, and its command set."""
        command_set = bytearray()
        context_id = None
        while True:
            fragment = self._next()
            context_id = fragment.context_id if context_id is None else context_id
            if not fragment.is_command or fragment.context_id != context_id:
                raise _unexpected("a fragment came that does not belong to a command set")
            if len(command_set) + fragment.length > self._limits.command_length:
                raise _unexpected("a command set is longer than any is")
            for piece in self._body(fragment):
                command_set += piece
            if fragment.is_last:
                return context_id, bytes(command_set)

    def read_data_set(self, context_id: int, sink: Callable[[memoryview], object]) -> None:
        """Give the data set of the message to `sink` in pieces, each valid during the call."""
        received = 0
        started = time.monotonic()
        while True:
            fragment = self._next()
            if fragment.is_command or fragment.context_id != context_id:
                raise _unexpected("a fragment came that does not belong to the data set")
            received += fragment.length
            if received > self._limits.object_length:
                raise ProtocolError(
                    "an object is longer than the door takes", AbortReason.NOT_SPECIFIED
                )
            for piece in self._body(fragment):
                sink(piece)
            if fragment.is_last:
                return
            if self._limits.is_too_slow(time.monotonic() - started, received):
                raise DeadlineError

    def _next(self) -> PdvHeader:
        while self._left_in_pdu == 0:
            self._begin_pdu()
        if self._left_in_pdu < PDV_HEADER_LENGTH:
            raise ProtocolError(
                "a P-DATA-TF PDU ends inside a value", AbortReason.INVALID_PDU_PARAMETER_VALUE
            )
        head = self._transport.take(PDV_HEADER_LENGTH, self._deadline)
        fragment = decode_pdv_header(head, self._left_in_pdu)
        self._left_in_pdu -= PDV_HEADER_LENGTH + fragment.length
        return fragment

    def _body(self, fragment: PdvHeader) -> Iterator[memoryview]:
        return self._transport.stream(fragment.length, self._deadline)

    def _begin_pdu(self) -> None:
        limits = self._limits
        started = time.monotonic()
        # Inside a message the sender owes the next PDU as it owes the rest of one.
        head = self._transport.take(HEADER_LENGTH, started + limits.pdu_seconds)
        header = decode_header(head)
        self._deadline = limits.pdu_deadline(time.monotonic(), header.length)
        if header.type == PduType.P_DATA_TF:
            if header.length > limits.pdu_length:
                raise ProtocolError(
                    "a P-DATA-TF PDU is longer than was negotiated",
                    AbortReason.INVALID_PDU_PARAMETER_VALUE,
                )
            self._left_in_pdu = header.length
        elif header.type == PduType.A_RELEASE_RQ:
            self._take_rest(header.length)
            raise ReleaseRequested
        elif header.type == PduType.A_ABORT:
            self._take_rest(header.length)
            raise AbortReceived
        else:
            known = header.type in set(PduType)
            reason = AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU
            raise ProtocolError("a PDU came that has no place in data transfer", reason)

    def _take_rest(self, length: int) -> None:
        if length != 4:  # noqa: PLR2004 - PS3.8 sections 9.3.6 and 9.3.8
            raise ProtocolError(
                "an A-RELEASE-RQ or A-ABORT has a length of its own",
                AbortReason.INVALID_PDU_PARAMETER_VALUE,
            )
        self._transport.take(length, self._deadline)


def _unexpected(detail: str) -> ProtocolError:
    return ProtocolError(detail, AbortReason.UNEXPECTED_PDU_PARAMETER)
