"""One connection of the HL7 door: reads blocks, has them answered, sends the answers."""

import contextlib
import socket
import ssl
import struct
import threading
import time

from medqueue.doors.hl7.framing import CR, FS, VT, Deframer, Frame, GarbageError
from medqueue.doors.hl7.intake import Intake
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.tls import HandshakeError, shake_hands
from medqueue.logs import get_logger

_logger = get_logger(__name__)

_CHUNK = 64 * 1024
_TICK_SECONDS = 0.25
"""How often a waiting read looks at its deadline and at whether the door stops."""


class Connection:
    """Serves one sender. `run` blocks until the sender or the door ends it."""

    def __init__(
        self,
        peer: socket.socket,
        intake: Intake,
        limits: Limits,
        stopping: threading.Event,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._peer = peer
        self._tls = tls
        self._intake = intake
        self._limits = limits
        self._stopping = stopping
        self._deframer = Deframer(limits)
        self._last_at = time.monotonic()
        self._begun_at = self._last_at
        self._busy = False
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(_TICK_SECONDS))
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(limits.send_seconds))

    @property
    def idle_since(self) -> float | None:
        """When the last message was answered; None while one is coming or being answered."""
        return None if self._busy or self._deframer.inside else self._last_at

    def run(self) -> None:
        """Serve the sender to the end."""
        try:
            self._secure()
            self._serve()
        except HandshakeError as error:
            _logger.warning("tls-handshake-failed", reason=str(error))
        except GarbageError:
            _logger.warning("connection-closed", reason="not MLLP")
        except TimeoutError:
            _logger.warning("connection-closed", reason="too slow")
        except OSError as error:
            _logger.info("connection-closed", reason=type(error).__name__)
        finally:
            self.cut()
            self._peer.close()
            if self._deframer.abandoned:
                _logger.warning("messages-broken-off", count=self._deframer.abandoned)

    def cut(self) -> None:
        """End the connection; a read that waits in another thread ends."""
        with contextlib.suppress(OSError):
            # Not the method of a TLS socket, which would pull its state from under the reader.
            socket.socket.shutdown(self._peer, socket.SHUT_RDWR)

    def _secure(self) -> None:
        if self._tls is not None:
            self._peer = shake_hands(self._tls, self._peer, self._limits.handshake_seconds)
            self._peer.settimeout(_TICK_SECONDS)
            self._last_at = time.monotonic()

    def _serve(self) -> None:
        while not (self._stopping.is_set() and not self._deframer.inside):
            received = self._receive()
            if received is None:
                self._answer(self._late_trailer())
            elif received == b"":
                # The FS of the last message may have come without its carriage return.
                self._answer(self._deframer.end())
                return
            else:
                was_inside = self._deframer.inside
                frames = self._deframer.feed(received)
                now = time.monotonic()
                if frames or not was_inside:
                    self._begun_at = now
                self._last_at = now
                for frame in frames:
                    self._answer(frame)
            self._require_pace()

    def _receive(self) -> bytes | None:
        """Return what has come; None after a tick without a byte, and nothing at the end."""
        try:
            return self._peer.recv(_CHUNK)
        except (BlockingIOError, TimeoutError):
            return None

    def _late_trailer(self) -> Frame | None:
        waited = time.monotonic() - self._last_at
        if self._deframer.awaits_trailer and waited >= self._limits.trailer_seconds:
            return self._deframer.end()
        return None

    def _answer(self, frame: Frame | None) -> None:
        if frame is None:
            return
        self._busy = True
        try:
            answer = self._intake.answer(frame)
            if answer is not None:
                self._send(bytes((VT,)) + answer + bytes((FS, CR)))
        except BlockingIOError:
            raise TimeoutError from None
        finally:
            self._busy = False
            self._last_at = time.monotonic()

    def _send(self, block: bytes) -> None:
        if self._tls is None:
            self._peer.sendall(block)
            return
        # The kernel's own times do not reach through the TLS layer; these do.
        self._peer.settimeout(self._limits.send_seconds)
        self._peer.sendall(block)
        self._peer.settimeout(_TICK_SECONDS)

    def _require_pace(self) -> None:
        now = time.monotonic()
        if self._deframer.inside:
            allowed = self._limits.message_seconds
            allowed += self._deframer.received / self._limits.least_rate
            if now - self._begun_at > allowed:
                raise TimeoutError
        elif now - self._last_at > self._limits.idle_seconds:
            raise TimeoutError


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1_000_000))
