"""The bell: rings when work is committed, and only then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import (
    NOW,
    a_due_report,
    a_due_series,
    a_header,
    after,
    claim,
    complete,
    only,
    receive,
    work_rows,
)
from medqueue.ledger import audit, bell, work
from medqueue.ledger.bell import Ear, PipeEar, PostgresEar
from medqueue.ledger.engine import Ledger

SOON = 0.05


@pytest.fixture
def ear(ledger: Ledger) -> Iterator[Ear]:
    """An ear that listens already and hears nothing yet."""
    listening = ledger.listen()
    while listening.wait(SOON):
        pass
    yield listening
    listening.close()


def test_a_ring_reaches_the_ear_after_the_commit(ledger: Ledger, ear: Ear) -> None:
    with ledger.write() as connection:
        bell.ring(connection)
        assert not ear.wait(SOON)

    assert ear.wait(5)
    assert not ear.wait(SOON)


def test_what_is_rolled_back_does_not_ring_even_later(ledger: Ledger, ear: Ear) -> None:
    def fail_after_ringing() -> None:
        with ledger.write() as connection:
            bell.ring(connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_ringing()
    with ledger.write() as connection:
        audit.record(connection, now=NOW, actor="anna", action="quiet")

    assert not ear.wait(SOON)


def test_many_rings_are_heard_as_one_or_few(ledger: Ledger, ear: Ear) -> None:
    for _ in range(20):
        with ledger.write() as connection:
            bell.ring(connection)

    heard = 0
    while ear.wait(SOON):
        heard += 1
    assert 1 <= heard <= 20


def test_a_ring_without_an_ear_does_no_harm(ledger: Ledger) -> None:
    with ledger.write() as connection:
        bell.ring(connection)


def test_new_work_rings(ledger: Ledger, ear: Ear) -> None:
    due = a_due_report(ledger)
    assert ear.wait(5)

    held = claim(ledger, due)
    work.give_back(ledger, held, error_code="unavailable", error_detail="-", now=after(11))
    assert ear.wait(5)


def test_a_study_rings_when_it_opens_and_not_for_each_instance(ledger: Ledger, ear: Ear) -> None:
    """Its quiet time only grows; on PostgreSQL a NOTIFY would put all commits in one line."""
    receive(ledger)
    assert ear.wait(5)
    receive(ledger, a_header(instance=2), at=1)
    assert not ear.wait(SOON)

    complete(ledger)
    while ear.wait(SOON):
        pass
    receive(ledger, a_header(instance=3), at=20)
    assert ear.wait(5)


def test_a_raised_study_rings_for_its_waiting_work(ledger: Ledger, ear: Ear) -> None:
    a_due_series(ledger)
    while ear.wait(SOON):
        pass
    receive(ledger, a_header(priority=1))
    assert ear.wait(5)
    assert only(work_rows(ledger)).priority == 1


def test_an_ear_may_begin_before_the_database_is_there() -> None:
    ear = PostgresEar("postgresql://nobody@127.0.0.1:1/none")

    assert not ear.wait(0.01)
    ear.close()


def test_a_postgresql_ear_outlives_the_loss_of_its_connection(postgresql_ledger: Ledger) -> None:
    ear = postgresql_ledger.listen()
    assert ear.wait(5)
    with postgresql_ledger.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert not ear.wait(0.01)

    assert ear.wait(5), "a new connection says that something may have rung meanwhile"
    with postgresql_ledger.write() as connection:
        bell.ring(connection)
    assert ear.wait(5)
    ear.close()


def test_whatever_lies_where_the_pipe_belongs_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3.bell"
    path.write_text("left by a copy of the folder")

    ear = PipeEar(path)
    bell.ring_pipe(path)

    assert ear.wait(5)
    assert path.stat().st_mode & 0o077 == 0
    ear.close()
