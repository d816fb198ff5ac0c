"""One commit for many: each keeps its own outcome, and shares that of the commit."""

import threading
from collections.abc import Sequence
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


def record(connection: Connection, numbers: Sequence[int]) -> list[int]:
    for number in numbers:
        audit.record(connection, now=NOW, actor=str(number), action="test")
        if number % 4 == 3:
            raise ValueError(number)
    return list(numbers)


@pytest.mark.parametrize("in_bulk", [True, False])
def test_each_gets_its_own_value_or_error(ledger: Ledger, *, in_bulk: bool) -> None:
    commits = GroupCommit(ledger)
    with ThreadPoolExecutor(SENDERS) as pool:
        futures = [pool.submit(commits.run, record, n, in_bulk=in_bulk) for n in range(SENDERS)]
    for number, future in enumerate(futures):
        if number % 4 == 3:
            assert isinstance(future.exception(), ValueError)
        else:
            assert future.result() == number
    assert count(ledger, audit_events) == SENDERS * 3 // 4


class Held:
    """Keeps a commit busy while others queue behind it."""

    def __init__(self, commits: GroupCommit, pool: ThreadPoolExecutor) -> None:
        self._commits = commits
        self._everyone_waits, runs = threading.Event(), threading.Event()

        def slow(connection: Connection, numbers: Sequence[int]) -> list[int]:
            runs.set()
            assert self._everyone_waits.wait(10)
            return record(connection, numbers)

        self._first = pool.submit(commits.run, slow, 0, in_bulk=True)
        assert runs.wait(10)

    def let_go(self, waiting: int) -> None:
        while len(self._commits._waiting) < waiting:
            assert not self._first.done()
        self._everyone_waits.set()
        self._first.result()


def test_those_that_wait_share_one_commit_and_one_call(ledger: Ledger) -> None:
    commits = GroupCommit(ledger)
    committed, calls = [], []
    event.listen(ledger.engine, "commit", committed.append)

    def counted(connection: Connection, numbers: Sequence[int]) -> list[int]:
        calls.append(len(numbers))
        return record(connection, numbers)

    with ThreadPoolExecutor(SENDERS) as pool:
        held = Held(commits, pool)
        others = [
            pool.submit(commits.run, counted, 4 * n, in_bulk=True) for n in range(SENDERS - 1)
        ]
        held.let_go(SENDERS - 1)
    assert [other.result() for other in others] == [4 * n for n in range(SENDERS - 1)]
    assert (len(committed), calls) == (2, [SENDERS - 1])


def test_a_bad_one_fails_nobody_else_of_its_group(ledger: Ledger) -> None:
    commits = GroupCommit(ledger)
    with ThreadPoolExecutor(SENDERS) as pool:
        held = Held(commits, pool)
        futures = [pool.submit(commits.run, record, n, in_bulk=True) for n in (1, 3, 5)]
        held.let_go(3)
    assert [futures[0].result(), futures[2].result()] == [1, 5]
    assert isinstance(futures[1].exception(), ValueError)
    assert count(ledger, audit_events) == 3


def test_a_commit_that_fails_is_told_to_all_of_its_group(sqlite_ledger: Ledger) -> None:
    commits = GroupCommit(sqlite_ledger)

    @event.listens_for(sqlite_ledger.engine, "commit")
    def fail(_connection: Connection) -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        commits.run(record, 1, in_bulk=True)
    event.remove(sqlite_ledger.engine, "commit", fail)
    assert count(sqlite_ledger, audit_events) == 0
    assert commits.run(record, 2, in_bulk=True) == 2
