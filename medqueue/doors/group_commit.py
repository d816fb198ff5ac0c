"""One commit for all inputs that wait for one: the ledger's disk is asked once, not once each."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from medqueue.ledger.engine import Ledger

R = TypeVar("R")
T = TypeVar("T")

Record = Callable[[Connection, Sequence[R]], Sequence[T]]
"""Writes some inputs within one transaction, and returns what became of each, in their order."""


class GroupCommit:
    """Runs intake transactions; threads may share one.

    SQLite has one writer at a time, and the others poll for their turn. Here they queue: who
    comes first writes for all who wait, with one call for all inputs of a kind, and all return
    after the one commit. Should a call fail, all is written anew, each input alone and in a
    savepoint of its own, so that a bad one fails nobody else. PostgreSQL has many writers and
    shares commits by itself; there a group pays where one statement serves many inputs.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._waiting: list[_Entry] = []

    def run(self, record: Record[R, T], received: R, *, in_bulk: bool) -> T:
        """Write one input; it is durable when this returns.

        Raises whatever `record` raises, which undoes this input alone, or what the commit raises.

        Args:
            record: the same function for all inputs that it may be given together.
            received: the input.
            in_bulk: `record` asks the database less often for a group than for each alone.
        """
        if not in_bulk and not self._ledger.is_sqlite:
            with self._ledger.write() as connection:
                return record(connection, [received])[0]
        entry = _Entry(record, received)
        with self._queue_lock:
            self._waiting.append(entry)
        with self._write_lock:
            if not entry.is_done:
                with self._queue_lock:
                    group, self._waiting = self._waiting, []
                self._write(group)
        return cast("T", entry.outcome())

    def _write(self, group: list["_Entry"]) -> None:
        try:
            if len(group) == 1 or not self._write_together(group):
                self._write_apart(group)
        except Exception as error:  # noqa: BLE001 - each of the group is to hear of it
            for entry in group:
                entry.error = error
        finally:
            for entry in group:
                entry.is_done = True

    def _write_together(self, group: list["_Entry"]) -> bool:
        """Write as if nothing could fail; return False, with nothing written, if something did."""
        by_kind: dict[Record[Any, Any], list[_Entry]] = {}
        for entry in group:
            by_kind.setdefault(entry.record, []).append(entry)
        with self._ledger.write() as connection:
            try:
                for record, entries in by_kind.items():
                    values = record(connection, [entry.received for entry in entries])
                    for entry, value in zip(entries, values, strict=True):
                        entry.value = value
            except Exception:  # noqa: BLE001 - it comes again, and is told, when run apart
                connection.rollback()
                return False
        return True

    def _write_apart(self, group: list["_Entry"]) -> None:
        with self._ledger.write() as connection:
            if len(group) == 1:
                group[0].run(connection)
            else:
                for entry in group:
                    entry.run_in_savepoint(connection)


class _Entry:
    """One input that waits, and what became of it."""

    def __init__(self, record: Record[Any, Any], received: Any) -> None:
        self.record = record
        self.received = received
        self.value: Any = None
        self.error: Exception | None = None
        self.is_done = False

    def run(self, connection: Connection) -> None:
        (self.value,) = self.record(connection, [self.received])

    def run_in_savepoint(self, connection: Connection) -> None:
        try:
            with connection.begin_nested():
                self.run(connection)
        except Exception as error:  # noqa: BLE001 - it is raised where the input came from
            self.error = error

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value
