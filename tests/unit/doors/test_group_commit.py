"""One commit for many: each keeps its own outcome, and shares that of the commit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, event

from builders import count
from medqueue.doors.group_commit import GroupCommit
from medqueue.ledger import audit
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SENDERS = 12


def record(connection: Connection, number: int) -> int:
    audit.record(connection, now=NOW, actor=str(number), action="test")
    if number % 4 == 3:
        raise ValueError(number)
    return number


def test_each_gets_its_own_value_or_error(ledger: Ledger) -> None:
    commits = GroupCommit(ledger)
    with ThreadPoolExecutor(SENDERS) as pool:
        futures = [
            pool.submit(commits.run, lambda connection, n=n: record(connection, n))
            for n in range(SENDERS)
        ]
    for number, future in enumerate(futures):
        if number % 4 == 3:
            assert isinstance(future.exception(), ValueError)
        else:
            assert future.result() == number
    assert count(ledger, audit_events) == SENDERS * 3 // 4


def test_those_that_wait_share_one_commit(sqlite_ledger: Ledger) -> None:
    commits = GroupCommit(sqlite_ledger)
    committed = []
    event.listen(sqlite_ledger.engine, "commit", committed.append)
    everyone_waits, first_runs = threading.Event(), threading.Event()

    def slow(connection: Connection) -> int:
        first_runs.set()
        assert everyone_waits.wait(10)
        return record(connection, 0)

    with ThreadPoolExecutor(SENDERS) as pool:
        first = pool.submit(commits.run, slow)
        assert first_runs.wait(10)
        others = [
            pool.submit(commits.run, lambda connection: record(connection, 1))
            for _ in range(SENDERS - 1)
        ]
        while len(commits._waiting) < SENDERS - 1:
            assert not first.done()
        everyone_waits.set()
    assert [other.result() for other in others] == [1] * (SENDERS - 1)
    assert len(committed) == 2


def test_a_commit_that_fails_is_told_to_all_of_its_group(sqlite_ledger: Ledger) -> None:
    commits = GroupCommit(sqlite_ledger)

    @event.listens_for(sqlite_ledger.engine, "commit")
    def fail(_connection: Connection) -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        commits.run(lambda connection: record(connection, 1))
    event.remove(sqlite_ledger.engine, "commit", fail)
    assert count(sqlite_ledger, audit_events) == 0
    assert commits.run(lambda connection: record(connection, 2)) == 2
