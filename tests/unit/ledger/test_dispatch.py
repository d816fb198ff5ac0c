"""Dispatch: what the relay takes to publish, in which order, and how often."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Connection, insert, text, update

from builders import (
    a_due_report,
    a_text_model,
    after,
    claim,
    count,
    finish,
    only,
    register,
    submit,
    work_rows,
)
from medqueue.ledger import dispatch
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import work as work_table
from schemas.work import TASK_NAMES, Priority, Stage, WorkState, WorkToPublish

ROUTINE = (Stage.DIAGNOSE_REPORT, Priority.ROUTINE)


def take(ledger: Ledger, *, at: float = 10, limit: int = 100) -> list[WorkToPublish]:
    return dispatch.take_unpublished(ledger, limit=limit, now=after(at))


def take_silent(ledger: Ledger, *, at: float) -> list[WorkToPublish]:
    return dispatch.take_silent(
        ledger, stage=ROUTINE[0], priority=ROUTINE[1], limit=100, now=after(at)
    )


def test_due_work_is_taken_once(ledger: Ledger) -> None:
    due = a_due_report(ledger)

    assert take(ledger) == [WorkToPublish(due, *ROUTINE)]
    assert take(ledger) == []


def test_urgent_work_is_taken_first_and_then_the_oldest(ledger: Ledger) -> None:
    old = a_due_report(ledger, at=1)
    young = a_due_report(ledger, at=3)
    middle = a_due_report(ledger, at=2)
    urgent = a_due_report(ledger, at=4, urgent=True)

    assert [taken.id for taken in take(ledger, limit=2)] == [urgent, old]
    assert [taken.id for taken in take(ledger, limit=2)] == [middle, young]


def test_work_that_rests_or_runs_is_not_taken(ledger: Ledger) -> None:
    a_due_report(ledger, at=11)
    claim(ledger, a_due_report(ledger))

    assert take(ledger, at=10) == []
    assert len(take(ledger, at=11)) == 1


def test_two_relays_at_once_take_each_piece_of_work_once(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    for _ in range(40):
        submit(ledger)
    start = Barrier(2)

    def relay(_: int) -> list[str]:
        start.wait()
        taken = []
        while batch := take(ledger, limit=7):
            taken += [due.id for due in batch]
        return taken

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(relay, range(2))

    assert len(first + second) + len(take(ledger)) == 40
    assert len(set(first + second)) == len(first + second)


def test_work_nobody_claims_is_published_again_with_growing_pauses(ledger: Ledger) -> None:
    a_due_report(ledger)
    take(ledger, at=0)
    at = 0.0
    pauses = []
    for _ in range(8):
        waited = 0.0
        while not take_silent(ledger, at=at + waited):
            waited += 2.5
        pauses.append(waited)
        at += waited

    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


def test_work_that_waits_for_weeks_is_still_published_again(ledger: Ledger) -> None:
    a_due_report(ledger)
    take(ledger)
    with ledger.write() as connection:
        connection.execute(update(work_table).values(publications=2000))

    assert len(take_silent(ledger, at=1_000_000)) == 1


def test_only_the_silent_work_of_the_queue_in_question_is_taken(ledger: Ledger) -> None:
    routine = a_due_report(ledger)
    a_due_report(ledger, urgent=True)
    claim(ledger, a_due_report(ledger))
    take(ledger)

    assert [taken.id for taken in take_silent(ledger, at=100)] == [routine]


def test_what_did_not_reach_the_broker_can_be_taken_again(ledger: Ledger) -> None:
    a_due_report(ledger)
    taken = take(ledger)

    dispatch.unpublish(ledger, [only(taken).id])

    assert take(ledger) == taken


def test_unpublishing_leaves_work_alone_that_was_claimed_meanwhile(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    take(ledger)
    held = claim(ledger, due)

    dispatch.unpublish(ledger, [due])

    finish(ledger, held)
    assert only(work_rows(ledger)).publications == 1


def test_work_that_was_freed_or_given_back_is_published_at_once(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    take(ledger)
    claim(ledger, due)
    dispatch.end_expired_leases(ledger, now=after(60))

    assert only(take(ledger, at=60)).id == due


def test_the_work_said_to_wait_in_the_broker_is_counted_by_queue(ledger: Ledger) -> None:
    for urgent in (True, False, False):
        a_due_report(ledger, urgent=urgent)
    take(ledger)
    a_due_report(ledger)
    claim(ledger, work_rows(ledger, priority=Priority.ROUTINE, publications=1)[0].id)

    assert dispatch.waiting(ledger, now=after(10)) == {
        (Stage.DIAGNOSE_REPORT, Priority.URGENT): 1,
        ROUTINE: 1,
    }


def test_taking_new_work_does_not_read_through_the_backlog(ledger: Ledger) -> None:
    """Otherwise each study makes the next dearer while the workers are behind."""
    fill_backlog(ledger, 3000)
    a_due_report(ledger)
    with ledger.read() as connection:
        plan = explain(connection, "publications = 0 ORDER BY priority DESC, created_at LIMIT 500")

    assert "ix_work_unpublished" in plan
    assert "Seq Scan" not in plan


def test_a_sweep_looks_at_running_work_alone(ledger: Ledger) -> None:
    fill_backlog(ledger, 3000)
    with ledger.read() as connection:
        plan = explain(connection, "lease_until < :now", state=WorkState.RUNNING)

    assert "ix_work_" in plan
    assert "Seq Scan" not in plan


def fill_backlog(ledger: Ledger, rows: int) -> None:
    """Add published work that waits for a worker."""
    moment = after(0)
    with ledger.write() as connection:
        connection.execute(
            insert(work_table),
            [
                {
                    "id": f"{number:032x}",
                    "stage": Stage.DIAGNOSE_REPORT,
                    "subject_id": f"{number:032x}",
                    "input_digest": "",
                    "model_name": "report",
                    "model_version": "1.0.0",
                    "state": WorkState.PENDING,
                    "priority": Priority.ROUTINE,
                    "publications": 1,
                    "max_attempts": 3,
                    "next_try_at": moment + timedelta(milliseconds=number),
                    "created_at": moment + timedelta(milliseconds=number),
                }
                for number in range(rows)
            ],
        )
        if not ledger.is_sqlite:  # there nothing ever does, here autovacuum would
            connection.execute(text("ANALYZE work"))
    assert count(ledger, work_table) == rows


def explain(connection: Connection, rest: str, state: WorkState = WorkState.PENDING) -> str:
    """Return how the database would read work."""
    command = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rest = rest.replace(":now", "'2026-03-01T12:00:00.000000Z'")
    statement = f"{command} SELECT id FROM work WHERE state = '{state}' AND {rest}"  # noqa: S608
    rows = connection.execute(text(statement)).all()
    return "\n".join(str(value) for row in rows for value in row)


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_a_name_on_the_wire(stage: Stage) -> None:
    assert TASK_NAMES[stage].startswith("medqueue.")


def hasten(ledger: Ledger, *, at: float) -> int:
    return dispatch.hasten_oldest(ledger, older_than_seconds=900, now=after(at))


def test_after_a_lost_broker_all_waiting_work_is_taken_again(ledger: Ledger) -> None:
    waiting = a_due_report(ledger)
    running = a_due_report(ledger)
    take(ledger)
    claim(ledger, running)

    assert dispatch.forget_publications(ledger) == 1

    assert [again.id for again in take(ledger)] == [waiting]


def test_routine_work_that_waits_too_long_becomes_urgent_one_at_a_time(ledger: Ledger) -> None:
    oldest = a_due_report(ledger, at=1)
    second = a_due_report(ledger, at=2)
    take(ledger, at=3)

    assert hasten(ledger, at=900) == 0
    assert [hasten(ledger, at=1000), hasten(ledger, at=1001)] == [1, 0]
    assert take(ledger, at=1001) == [WorkToPublish(oldest, Stage.DIAGNOSE_REPORT, Priority.URGENT)]

    claim(ledger, oldest, at=1002)
    assert hasten(ledger, at=1003) == 1
    assert [taken.id for taken in take(ledger, at=1003)] == [second]
