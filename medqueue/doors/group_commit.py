"""One commit for all inputs that wait for one: the ledger's disk is asked once, not once each."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sqlalchemy import Connection

from medqueue.ledger.engine import Ledger

T = TypeVar("T")


class GroupCommit:
    """Runs intake transactions; threads may share one.

    SQLite has one writer at a time, and the others poll for their turn. Here they queue: who
    comes first writes for all who wait, and all return after the one commit; should one fail,
    all are written anew, each in a savepoint of its own. PostgreSQL does the same by itself, and
    there each runs for itself.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._waiting: list[_Entry] = []

    def run(self, record: Callable[[Connection], T]) -> T:
        """Run one transaction; what it wrote is durable when this returns.

        Raises whatever `record` raises, which undoes it alone, or what the commit raises.
        """
        if not self._ledger.is_sqlite:
            with self._ledger.write() as connection:
                return record(connection)
        entry = _Entry(record)
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
            if len(group) == 1 or not self._write_plainly(group):
                self._write_apart(group)
        except Exception as error:  # noqa: BLE001 - each of the group is to hear of it
            for entry in group:
                entry.error = error
        finally:
            for entry in group:
                entry.is_done = True

    def _write_plainly(self, group: list["_Entry"]) -> bool:
        """Write as if nothing could fail; return False, with nothing written, if something did.

        Spares the savepoints, which nearly no group needs.
        """
        with self._ledger.write() as connection:
            nested = connection.begin_nested()
            try:
                for entry in group:
                    entry.run(connection)
            except Exception:  # noqa: BLE001 - it comes again, and is told, when run apart
                nested.rollback()
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
    """One transaction that waits, and what became of it."""

    def __init__(self, record: Callable[[Connection], Any]) -> None:
        self._record = record
        self._value: Any = None
        self.error: Exception | None = None
        self.is_done = False

    def run(self, connection: Connection) -> None:
        self._value = self._record(connection)

    def run_in_savepoint(self, connection: Connection) -> None:
        try:
            with connection.begin_nested():
                self.run(connection)
        except Exception as error:  # noqa: BLE001 - it is raised where the transaction came from
            self.error = error

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self._value
