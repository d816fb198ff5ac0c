"""Which transactions wait for the disk: those that somebody outside was told of."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from builders import (
    a_due_report,
    a_due_series,
    after,
    claim,
    fail,
    finish,
    hand_on,
    lose_worker,
    receive,
    submit,
    try_to_claim,
)
from medqueue.ledger import dispatch, schema, work
from medqueue.ledger.engine import Ledger, open_ledger

FULL, NORMAL = 2, 1


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger on SQLite as it is in use: it waits for the disk."""
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    schema.upgrade(opened)
    yield opened
    opened.close()


@pytest.fixture
def waits(ledger: Ledger) -> list[int]:
    """How each writing transaction waits for the disk."""
    seen: list[int] = []

    def note(connection: Any) -> None:
        raw: sqlite3.Connection = connection.connection.dbapi_connection
        seen.extend(raw.execute("PRAGMA synchronous").fetchone())

    @event.listens_for(ledger.engine, "commit")
    def note_commit(connection: Any) -> None:
        if connection.get_execution_options().get("medqueue_write"):
            note(connection)

    @event.listens_for(ledger.engine, "after_cursor_execute")
    def note_statement(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        if connection.get_execution_options().get("medqueue_single") and "UPDATE" in statement:
            note(connection)

    return seen


def test_what_a_door_accepts_waits_for_the_disk(ledger: Ledger, waits: list[int]) -> None:
    receive(ledger)
    submit(ledger)
    assert waits == [FULL, FULL]


def test_a_claim_and_a_heartbeat_do_not_wait_and_the_result_does(
    ledger: Ledger, waits: list[int]
) -> None:
    work_id = a_due_report(ledger)
    waits.clear()
    held = claim(ledger, work_id)
    work.renew(ledger, held, now=after(11))
    finish(ledger, held)
    assert waits == [NORMAL, NORMAL, FULL]


def test_the_next_stage_does_not_wait(ledger: Ledger, waits: list[int]) -> None:
    held = claim(ledger, a_due_series(ledger))
    waits.clear()
    hand_on(ledger, held)
    assert waits == [NORMAL]


def test_a_failure_is_a_result_too(ledger: Ledger, waits: list[int]) -> None:
    held = claim(ledger, a_due_report(ledger))
    waits.clear()
    fail(ledger, held)
    assert waits == [FULL]


def test_the_failure_of_work_that_every_worker_died_of_waits(
    ledger: Ledger, waits: list[int]
) -> None:
    work_id, at = a_due_report(ledger), 10.0
    for _ in range(2):
        at = lose_worker(ledger, work_id, at=at)
    assert try_to_claim(ledger, work_id, at=at) is not None
    waits.clear()
    assert dispatch.end_expired_leases(ledger, now=after(at + 100)) == 1
    assert waits == [FULL]


def test_publishing_does_not_wait(ledger: Ledger, waits: list[int]) -> None:
    a_due_report(ledger)
    waits.clear()
    assert len(dispatch.take_unpublished(ledger, limit=10, now=after(10))) == 1
    assert waits == [NORMAL]
