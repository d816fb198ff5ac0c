"""The HL7 door itself: listens, gives every connection a thread, and stops in order."""

import contextlib
import errno
import socket
import threading
import time

from medqueue.doors.addresses import listen
from medqueue.doors.admission import Admission
from medqueue.doors.hl7.charsets import require_known
from medqueue.doors.hl7.connection import Connection
from medqueue.doors.hl7.intake import Intake
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.senders import read_senders
from medqueue.logs import get_logger
from medqueue.settings import Settings

_logger = get_logger(__name__)

_PAUSE_SECONDS = 0.1
"""After a failed accept, such as for want of file descriptors: others may give some back."""

_LOOKS_FOR_ROOM = 5
"""Before a sender is sent away because all the others are busy at that moment."""

_CUT_SECONDS = 2.0
"""For a thread to end whose connection is cut; it may be waiting for the disk."""


class Hl7Door:
    """Receives HL7 v2 by MLLP. `start` returns when it listens."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        *,
        host: str | None = None,
        port: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Make a door that is still closed.

        Args:
            settings: of the allow-list, the default character set, and where to listen.
            admission: where received reports go.
            host: listen here instead of where the settings say.
            port: likewise; 0 for a free one.
            limits: what senders may cost.

        Raises:
            ConfigurationError: a setting is wrong, or the allow-list missing beyond loopback.
        """
        self._bind_to = (host or settings.bind, settings.mllp_port if port is None else port)
        self._limits = limits or Limits()
        self._senders = read_senders(settings, self._bind_to[0])
        self._intake = Intake(
            admission, default_codec=require_known(settings.hl7_charset), limits=self._limits
        )
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._running: dict[Connection, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where the door listens, once it does."""
        if self._listener is None:
            return self._bind_to[1]
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many senders are connected."""
        return len(self._snapshot())

    def start(self) -> None:
        """Open the door.

        Raises:
            ConfigurationError: the address or port cannot be had.
        """
        self._listener = listen(*self._bind_to, door="HL7 door", variable="MEDQUEUE_MLLP_PORT")
        self._acceptor = threading.Thread(
            target=self._accept_all, args=(self._listener,), name="hl7-acceptor", daemon=True
        )
        self._acceptor.start()
        _logger.info("hl7-listening", host=self._bind_to[0], port=self.port)

    def stop(self, seconds: float) -> None:
        """Close the door: messages in transfer get so many seconds, idle senders none."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        if self._listener is not None and self._acceptor is not None:
            # Closing alone would not wake the thread that waits in accept.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._acceptor.join(seconds)
        for thread in self._snapshot().values():
            thread.join(max(0.0, deadline - time.monotonic()))
        late = self._snapshot()
        for connection in late:
            connection.cut()
        for thread in late.values():
            thread.join(_CUT_SECONDS)
        _logger.info("hl7-stopped", cut=len(late))

    def _snapshot(self) -> dict[Connection, threading.Thread]:
        with self._lock:
            return dict(self._running)

    def _accept_all(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                peer, address = listener.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                _logger.warning("accept-failed", error=errno.errorcode.get(error.errno or 0))
                self._stopping.wait(_PAUSE_SECONDS)
                continue
            try:
                self._admit_sender(peer, str(address[0]))
            except (OSError, RuntimeError) as error:
                # The sender is gone already, or the system gives no more threads.
                _logger.warning("connection-dropped", error=type(error).__name__)
                peer.close()

    def _admit_sender(self, peer: socket.socket, address: str) -> None:
        if not self._senders.allows(address):
            _logger.warning("connection-refused", reason="not in MEDQUEUE_HL7_SENDERS")
            peer.close()
            return
        if not self._make_room():
            _logger.warning("connection-refused", reason="every connection is busy")
            peer.close()
            return
        connection = Connection(peer, self._intake, self._limits, self._stopping)
        thread = threading.Thread(
            target=self._run, args=(connection,), name="hl7-connection", daemon=True
        )
        with self._lock:
            self._running[connection] = thread
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                del self._running[connection]
            raise

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            with self._lock:
                del self._running[connection]

    def _make_room(self) -> bool:
        """Cut the connection that has been idle longest, if there are too many."""
        for _ in range(_LOOKS_FOR_ROOM):
            running = self._snapshot()
            if len(running) < self._limits.connections:
                return True
            idle = {one: since for one in running if (since := one.idle_since) is not None}
            if idle:
                oldest = min(idle, key=idle.__getitem__)
                oldest.cut()
                running[oldest].join(_CUT_SECONDS)
                return True
            self._stopping.wait(_PAUSE_SECONDS)
        return False
