"""Listening, as both socket doors do it: a thread for each connection, and a stop in order."""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from medqueue.doors.addresses import listen
from medqueue.logs import get_logger

_logger = get_logger(__name__)

_PAUSE_SECONDS = 0.1
"""After a failed accept, such as for want of file descriptors: others may give some back."""

_CUT_SECONDS = 2.0
"""For a thread to end whose connection is cut; it may be waiting for the disk."""


class Session(Protocol):
    """What is served over one connection."""

    def run(self) -> None:
        """Serve the peer until it is done; the connection is closed then."""
        ...

    def cut(self) -> None:
        """End the connection from another thread."""
        ...


S = TypeVar("S", bound=Session)


class Listener(Generic[S]):
    """Takes connections and runs a session on each."""

    def __init__(self, name: str, begin: Callable[[socket.socket, str], S | None]) -> None:
        """Make a listener that does not listen yet.

        Args:
            name: of the door, for threads and logs.
            begin: returns the session for a connection and the address it came from, or None
                to send it away. Called by one thread.
        """
        self._name = name
        self._begin = begin
        self._lock = threading.Lock()
        self._running: dict[S, threading.Thread] = {}
        self._socket: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self.stopping = threading.Event()
        """Set when no more connections are taken, and the sessions are to end."""

    def bind(self, host: str, port: int, *, variable: str) -> int:
        """Take the port, and return it; connections wait until `accept`.

        Raises:
            ConfigurationError: the address or port cannot be had; `variable` would change it.
        """
        self._socket = listen(host, port, door=f"{self._name} door", variable=variable)
        port = int(self._socket.getsockname()[1])
        _logger.info("door-listening", door=self._name, host=host, port=port)
        return port

    def accept(self) -> None:
        """Begin to take connections, in a thread of its own."""
        self._acceptor = threading.Thread(
            target=self._accept_all, args=(self._socket,), name=f"{self._name}-door", daemon=True
        )
        self._acceptor.start()

    def close(self, seconds: float, *, spare: Callable[[S], bool] | None = None) -> None:
        """Stop listening; sessions get so many seconds to end by themselves.

        Args:
            seconds: until the sessions that still run are cut.
            spare: tells which sessions get that time; the others are cut at once.
        """
        deadline = time.monotonic() + seconds
        self.stopping.set()
        if self._socket is not None:
            # Closing alone would not wake the thread that waits in accept.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
        if self._acceptor is not None:
            self._acceptor.join(seconds)
        running = self.running()
        for session in running:
            if spare is not None and not spare(session):
                session.cut()
        for thread in running.values():
            thread.join(max(0.0, deadline - time.monotonic()))
        late = self.running()
        for session in late:
            session.cut()
        for thread in late.values():
            thread.join(_CUT_SECONDS)
        _logger.info("door-closed", door=self._name, cut=len(late))

    def running(self) -> dict[S, threading.Thread]:
        """Return the sessions that run, the oldest first, each with its thread."""
        with self._lock:
            return dict(self._running)

    def end(self, session: S) -> None:
        """Cut a session and wait until it has gone."""
        thread = self.running().get(session)
        session.cut()
        if thread is not None:
            thread.join(_CUT_SECONDS)

    def _accept_all(self, listener: socket.socket) -> None:
        while not self.stopping.is_set():
            try:
                connection, peer = listener.accept()
            except OSError as error:
                if self.stopping.is_set():
                    return
                _logger.warning(
                    "accept-failed",
                    door=self._name,
                    error=errno.errorcode.get(error.errno or 0),
                )
                self.stopping.wait(_PAUSE_SECONDS)
                continue
            try:
                self._serve(connection, str(peer[0]))
            except (OSError, RuntimeError) as error:
                # The peer is gone already, or the system gives no more threads.
                _logger.warning("connection-dropped", door=self._name, error=type(error).__name__)
                connection.close()

    def _serve(self, connection: socket.socket, address: str) -> None:
        session = self._begin(connection, address)
        if session is None:
            connection.close()
            return
        thread = threading.Thread(
            target=self._run, args=(session,), name=f"{self._name}-session", daemon=True
        )
        with self._lock:
            self._running[session] = thread
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                del self._running[session]
            raise

    def _run(self, session: S) -> None:
        try:
            session.run()
        finally:
            with self._lock:
                del self._running[session]
