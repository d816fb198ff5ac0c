"""The bell: tells the relay at once that work is due, so that it need not wait for its next look.

PostgreSQL carries it with NOTIFY; beside SQLite lies a named pipe. A lost ring costs time, never
work: the relay looks by itself too.
"""

import contextlib
import os
import select
import stat
import time
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import Connection, text

CHANNEL = "medqueue_work"
_RING = "medqueue_ring"


class Ear(Protocol):
    """What the relay listens with."""

    def wait(self, seconds: float) -> bool:
        """Block until the bell rings or the time is over; tell whether it rang."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


def ring(connection: Connection) -> None:
    """Ring when this transaction commits."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))
    else:
        connection.info[_RING] = True


def take_ring(connection: Connection) -> bool:
    """Tell whether the transaction that just ended on this connection was to ring."""
    return bool(connection.info.pop(_RING, False))


def ring_pipe(path: Path) -> None:
    """Ring through the named pipe; when nobody listens, nothing happens."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(descriptor, b"!")
        finally:
            os.close(descriptor)


class PipeEar:
    """Listens on a named pipe. A pipe, not a socket: the path of a socket may have 107 bytes."""

    def __init__(self, path: Path) -> None:
        if path.exists() and not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink()
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        # Open for writing too, or select would report end-of-file whenever no writer is there.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self, seconds: float) -> bool:
        """Block until the bell rings or the time is over; tell whether it rang."""
        readable, _, _ = select.select([self._descriptor], [], [], seconds)
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._descriptor, 65_536)
        return bool(readable)

    def close(self) -> None:
        """Stop listening."""
        os.close(self._descriptor)


class PostgresEar:
    """Listens for NOTIFY on a connection of its own, and connects again when that is lost."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: psycopg.Connection | None = None

    def wait(self, seconds: float) -> bool:
        """Block until the bell rings or the time is over; tell whether it rang."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._conninfo, autocommit=True)
                self._connection.execute(f"LISTEN {CHANNEL}")
                return True  # what rang before we listened must not wait
            return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error:
            self.close()
            time.sleep(seconds)
            return False

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
