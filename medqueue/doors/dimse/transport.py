"""The connection of one association: buffered reading with deadlines, prompt writing."""

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator

from medqueue.doors.dimse.limits import Limits
from medqueue.doors.tls import shake_hands

_TICK_SECONDS = 0.25
"""How often a waiting read looks at its deadline and at whether the door stops."""

_FIRST_BUFFER = 16 * 1024
"""Until an association is established, a connection costs no more than this."""

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class PeerGoneError(Exception):
    """The connection is closed, by the peer or by us."""


class DeadlineError(Exception):
    """The peer did not send or take in time what it had to."""


class Transport:
    """Reads exactly what is asked for. One thread uses it; `close` may come from another."""

    def __init__(
        self, connection: socket.socket, limits: Limits, tls: ssl.SSLContext | None = None
    ) -> None:
        self._connection = connection
        self._tls = tls
        self._send_seconds = limits.send_seconds
        self._buffer = memoryview(bytearray(_FIRST_BUFFER))
        self._start = 0
        self._end = 0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Times of the kernel's own, not settimeout(): that costs two more calls a read.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(_TICK_SECONDS))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(limits.send_seconds))

    def secure(self, deadline: float) -> None:
        """Shake hands, if this door speaks TLS; nothing was read before (PS3.15 section B.10).

        Raises:
            HandshakeError: no TLS as we speak it came from the peer, or not in time.
        """
        if self._tls is None:
            return
        seconds = max(_TICK_SECONDS, deadline - time.monotonic())
        self._connection = shake_hands(self._tls, self._connection, seconds)
        self._connection.settimeout(_TICK_SECONDS)

    def enlarge(self, size: int) -> None:
        """Use a buffer of this size from now on."""
        waiting = self._buffer[self._start : self._end]
        buffer = memoryview(bytearray(max(size, len(waiting))))
        buffer[: len(waiting)] = waiting
        self._buffer, self._start, self._end = buffer, 0, len(waiting)

    def wait(self, deadline: float, should_stop: Callable[[], bool]) -> bool:
        """Wait until something has come; return False if `should_stop` says so before.

        Raises:
            DeadlineError: nothing came in time.
            PeerGoneError: nothing will come.
        """
        while self._start == self._end:
            if should_stop():
                return False
            self._fill(deadline)
        return True

    def take(self, count: int, deadline: float) -> bytes:
        """Return the next bytes; for what is decoded as a whole.

        Raises:
            DeadlineError: they did not come in time.
            PeerGoneError: they will not come.
        """
        if count > len(self._buffer):
            taken = bytearray()
            for piece in self.stream(count, deadline):
                taken += piece
            return bytes(taken)
        while self._end - self._start < count:
            self._fill(deadline)
        self._start += count
        return bytes(self._buffer[self._start - count : self._start])

    def stream(self, count: int, deadline: float) -> Iterator[memoryview]:
        """Yield the next bytes in pieces as they come; each is valid until the next.

        Raises:
            DeadlineError: they did not come in time.
            PeerGoneError: they will not come.
        """
        while count:
            while self._start == self._end:
                self._fill(deadline)
            piece = self._buffer[self._start : min(self._end, self._start + count)]
            self._start += len(piece)
            count -= len(piece)
            yield piece

    def send(self, data: bytes) -> None:
        """Write in one call, so that no part waits for an acknowledgement.

        Raises:
            DeadlineError: the peer does not take it.
            PeerGoneError: the peer is gone.
        """
        try:
            if self._tls is not None:
                self._connection.settimeout(self._send_seconds)
            self._connection.sendall(data)
            if self._tls is not None:
                self._connection.settimeout(_TICK_SECONDS)
        except (BlockingIOError, TimeoutError):
            raise DeadlineError from None
        except OSError:
            raise PeerGoneError from None

    def await_end(self, deadline: float) -> None:
        """Let the peer close, as PS3.8 section 9.2 has it in Sta13, then close ourselves.

        What the peer still sends is thrown away: closing over unread bytes would make the
        system reset the connection, and the peer would lose the last PDU.
        """
        try:
            while True:
                self._start = self._end
                self._fill(deadline)
        except (DeadlineError, PeerGoneError):
            self._connection.close()

    def close(self) -> None:
        """Cut the connection; a read that waits in another thread ends."""
        with contextlib.suppress(OSError):  # the peer was faster
            # Not the method of a TLS socket, which would pull its state from under the reader.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def _fill(self, deadline: float) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            waiting = self._end - self._start
            self._buffer[:waiting] = self._buffer[self._start : self._end]
            self._start, self._end = 0, waiting
        if time.monotonic() >= deadline:
            raise DeadlineError
        self._acknowledge_at_once()
        try:
            received = self._connection.recv_into(self._buffer[self._end :])
        except (BlockingIOError, TimeoutError):
            return  # one tick without a byte
        except OSError:
            raise PeerGoneError from None
        if received == 0:
            raise PeerGoneError
        self._end += received

    def _acknowledge_at_once(self) -> None:
        """Re-arm TCP_QUICKACK, which is not sticky.

        Many senders write the header of a PDU apart from its body and have Nagle's algorithm
        on: without this, each object waits 40 ms for a delayed acknowledgement.
        """
        if _QUICKACK is not None:
            try:
                self._connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError:
                raise PeerGoneError from None


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))
