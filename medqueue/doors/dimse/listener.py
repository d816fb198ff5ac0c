"""The DICOM door itself: listens, gives every connection a thread, and stops in order."""

import contextlib
import errno
import socket
import threading
import time

from medqueue.doors.addresses import listen
from medqueue.doors.admission import Admission
from medqueue.doors.dimse.association import Association, Host
from medqueue.doors.dimse.counters import Counters
from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.peers import read_allow_list
from medqueue.doors.dimse.presentation import read_private_sop_classes
from medqueue.doors.dimse.reporter import Reporter
from medqueue.doors.dimse.tls import read_tls
from medqueue.logs import get_logger
from medqueue.settings import Settings

_logger = get_logger(__name__)

_PAUSE_SECONDS = 0.1
"""After a failed accept, such as for want of file descriptors: others may give some back."""


_CUT_SECONDS = 2.0
"""For a thread to end whose connection is cut; it may be waiting for the disk."""


class DimseDoor:
    """Storage and Verification SCP. `start` returns when it listens."""

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
            settings: of the AE title, the allow-list, and where to listen.
            admission: where received objects go.
            host: listen here instead of where the settings say.
            port: likewise; 0 for a free one.
            limits: what peers may cost.

        Raises:
            ConfigurationError: the allow-list is wrong, or missing beyond loopback; or the files
                of TLS, or the private SOP Classes are.
        """
        self._address = host or settings.bind
        self.port = settings.dimse_port if port is None else port
        """Where the door listens, once it does."""
        self._admission = admission
        self._limits = limits or Limits()
        self.counters = Counters()
        self._stopping = threading.Event()
        self._host = Host(
            ae_title=settings.ae_title,
            allow_list=read_allow_list(settings, self._address),
            limits=self._limits,
            tls=read_tls(settings),
            private_sop_classes=read_private_sop_classes(settings),
            reporter=Reporter(settings),
            admission=admission,
            counters=self.counters,
            is_stopping=self._stopping.is_set,
        )
        self._lock = threading.Lock()
        self._running: dict[Association, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    def start(self) -> None:
        """Open the door.

        Raises:
            ConfigurationError: the address or port cannot be had.
        """
        self._listener = listen(
            self._address, self.port, door="DICOM door", variable="MEDQUEUE_DIMSE_PORT"
        )
        self._admission.open_berths()
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(
            target=self._accept_all, args=(self._listener,), name="dimse-acceptor", daemon=True
        )
        self._acceptor.start()
        _logger.info("dimse-listening", host=self._address, port=self.port)

    def stop(self, seconds: float) -> None:
        """Close the door: objects in transfer get so many seconds, idle peers none."""
        deadline = time.monotonic() + seconds
        self._stopping.set()
        if self._listener is not None and self._acceptor is not None:
            # Closing alone would not wake the thread that waits in accept.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._acceptor.join(seconds)
        running = self._snapshot()
        for association in running:
            if not association.is_established:
                association.cut()
        for thread in running.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        late = self._snapshot()
        for association in late:
            association.cut()
        for thread in late.values():
            thread.join(_CUT_SECONDS)
        self._host.reporter.stop()
        self._admission.close_berths()
        _logger.info("dimse-stopped", cut=len(late))

    def _snapshot(self) -> dict[Association, threading.Thread]:
        with self._lock:
            return dict(self._running)

    def _accept_all(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            try:
                connection, peer = listener.accept()
            except OSError as error:
                if self._stopping.is_set():
                    return
                _logger.warning("accept-failed", error=errno.errorcode.get(error.errno or 0))
                self._stopping.wait(_PAUSE_SECONDS)
                continue
            try:
                self._serve(connection, str(peer[0]))
            except (OSError, RuntimeError) as error:
                # The peer is gone already, or the system gives no more threads.
                _logger.warning("connection-dropped", error=type(error).__name__)
                connection.close()

    def _serve(self, connection: socket.socket, address: str) -> None:
        association = Association(connection, address, self._host)
        thread = threading.Thread(
            target=self._run, args=(association,), name="dimse-association", daemon=True
        )
        with self._lock:
            self._make_room()
            self._running[association] = thread
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                del self._running[association]
            raise

    def _run(self, association: Association) -> None:
        try:
            association.run()
        finally:
            with self._lock:
                del self._running[association]

    def _make_room(self) -> None:
        """Cut the oldest connection that is no association, if there are too many of them."""
        strangers = [one for one in self._running if not one.is_established]
        if len(strangers) >= self._limits.connections:
            _logger.warning("connection-cut", waiting=len(strangers))
            strangers[0].cut()
