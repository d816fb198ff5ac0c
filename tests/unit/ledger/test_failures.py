"""Failures: a person requeues them or puts them away."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from builders import (
    a_due_report,
    a_due_series,
    after,
    claim,
    fail,
    finish,
    hand_on,
    only,
    result_rows,
    work_rows,
)
from medqueue.errors import NotFoundError, TransitionError
from medqueue.ledger import dispatch, failures, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events
from schemas.work import Stage, WorkState


def a_failed_report(ledger: Ledger, *, at: float = 11) -> str:
    due = a_due_report(ledger)
    fail(ledger, claim(ledger, due, worker="host:7"), at=at)
    return due


def a_failed_diagnosis(ledger: Ledger) -> tuple[str, str]:
    """Prepare a series, fail its diagnosis; return the ids of both."""
    prepare = a_due_series(ledger)
    hand_on(ledger, claim(ledger, prepare))
    diagnose = str(only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)).id)
    fail(ledger, claim(ledger, diagnose, at=12), at=12)
    return prepare, diagnose


def requeue(ledger: Ledger, *ids: str, at: float = 20) -> list[str]:
    return failures.requeue(ledger, ids or None, actor="anna", now=after(at))


def discard(ledger: Ledger, failed: str) -> None:
    failures.discard(ledger, failed, actor="anna", now=after(20))


def listed(ledger: Ledger) -> list[str]:
    return [failure.id for failure in failures.list_failures(ledger, 100)]


def test_failures_are_listed_the_newest_first(ledger: Ledger) -> None:
    first = a_failed_report(ledger, at=11)
    second = a_failed_report(ledger, at=12)
    a_due_report(ledger)

    assert listed(ledger) == [second, first]
    assert only(failures.list_failures(ledger, 1)).id == second


def test_a_failure_says_what_where_why_and_when(ledger: Ledger) -> None:
    failed = a_failed_report(ledger)

    shown = failures.show_failure(ledger, failed)

    assert shown == only(failures.list_failures(ledger, 100))
    assert (shown.stage, shown.state) == (Stage.DIAGNOSE_REPORT, WorkState.FAILED)
    assert (shown.error_code, shown.error_detail) == ("undecodable", "broken")
    assert (shown.attempts, shown.max_attempts, shown.worker) == (1, 3, "host:7")
    assert (shown.model_name, shown.model_version) == ("report", "1.0.0")
    assert (shown.created_at, shown.started_at, shown.finished_at) == (
        after(0),
        after(10),
        after(11),
    )


def test_requeued_work_is_as_good_as_new_and_adds_a_result(ledger: Ledger) -> None:
    failed = a_failed_report(ledger)

    assert requeue(ledger, failed) == [failed]

    shown = failures.show_failure(ledger, failed)
    assert (shown.state, shown.attempts, shown.round) == (WorkState.PENDING, 0, 1)
    assert (shown.error_code, shown.error_detail) == (None, None)
    assert listed(ledger) == []
    assert only(dispatch.take_unpublished(ledger, limit=9, now=after(20))).id == failed
    finish(ledger, claim(ledger, failed, at=20), at=21)
    assert [(row.status, row.round) for row in result_rows(ledger)] == [("failed", 0), ("final", 1)]


def test_a_requeue_rings_the_bell(ledger: Ledger) -> None:
    failed = a_failed_report(ledger)
    ear = ledger.listen()
    while ear.wait(0.05):
        pass
    requeue(ledger, failed)
    assert ear.wait(5)
    ear.close()


def test_a_failed_diagnosis_starts_again_from_the_preparation(ledger: Ledger) -> None:
    prepare, diagnose = a_failed_diagnosis(ledger)

    assert requeue(ledger, diagnose) == [prepare]

    assert listed(ledger) == [], "what is on its way again waits for no decision"
    held = claim(ledger, prepare, at=20)
    hand_on(ledger, held, at=21)
    opened = failures.show_failure(ledger, diagnose)
    assert (opened.state, opened.round, opened.error_code) == (WorkState.PENDING, 1, None)
    finish(ledger, claim(ledger, diagnose, at=21), at=22)
    assert [(row.status, row.round) for row in result_rows(ledger)] == [("failed", 0), ("final", 1)]
    assert len(work_rows(ledger)) == 2


def test_a_diagnosis_may_fail_and_be_requeued_over_and_over(ledger: Ledger) -> None:
    prepare, diagnose = a_failed_diagnosis(ledger)
    for at in (20, 40, 60):
        assert requeue(ledger, diagnose, at=at) == [prepare]
        hand_on(ledger, claim(ledger, prepare, at=at), at=at)
        fail(ledger, claim(ledger, diagnose, at=at), at=at)
        assert listed(ledger) == [diagnose]

    assert [row.round for row in result_rows(ledger)] == [0, 1, 2, 3]


def test_if_the_new_preparation_fails_that_is_the_failure(ledger: Ledger) -> None:
    prepare, diagnose = a_failed_diagnosis(ledger)
    requeue(ledger, diagnose)
    fail(ledger, claim(ledger, prepare, at=20), at=21)

    assert listed(ledger) == [prepare]
    assert requeue(ledger, at=30) == [prepare]
    hand_on(ledger, claim(ledger, prepare, at=30), at=30)
    finish(ledger, claim(ledger, diagnose, at=30), at=31)
    assert [(row.status, row.round) for row in result_rows(ledger)] == [
        ("failed", 0),
        ("failed", 1),
        ("final", 2),
    ]


def test_a_diagnosis_that_is_prepared_again_cannot_be_requeued_twice(ledger: Ledger) -> None:
    _, diagnose = a_failed_diagnosis(ledger)
    requeue(ledger, diagnose)

    with pytest.raises(TransitionError):
        requeue(ledger, diagnose)


def test_of_two_who_requeue_at_once_one_succeeds(ledger: Ledger) -> None:
    failed = a_failed_report(ledger)
    start = threading.Barrier(2)

    def race(_: int) -> bool:
        start.wait()
        try:
            requeue(ledger, failed)
        except TransitionError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(race, range(2))) == [False, True]
    assert failures.show_failure(ledger, failed).round == 1


def test_everything_that_failed_can_be_requeued_but_not_what_was_discarded(ledger: Ledger) -> None:
    first, second, discarded = (a_failed_report(ledger) for _ in range(3))
    discard(ledger, discarded)

    assert sorted(requeue(ledger)) == sorted([first, second])
    assert requeue(ledger) == []


def test_discarded_work_leaves_the_list_keeps_its_result_and_can_come_back(ledger: Ledger) -> None:
    failed = a_failed_report(ledger)
    discard(ledger, failed)

    assert listed(ledger) == []
    assert only(result_rows(ledger)).status == "failed"
    assert failures.show_failure(ledger, failed).state == WorkState.DISCARDED
    assert requeue(ledger, failed) == [failed]


def test_a_discarded_diagnosis_can_come_back(ledger: Ledger) -> None:
    prepare, diagnose = a_failed_diagnosis(ledger)
    discard(ledger, diagnose)

    assert requeue(ledger, diagnose) == [prepare]
    hand_on(ledger, claim(ledger, prepare, at=20), at=20)
    assert failures.show_failure(ledger, diagnose).state == WorkState.PENDING


def test_what_is_unknown_is_refused(ledger: Ledger) -> None:
    for attempt in (requeue, discard, failures.show_failure):
        with pytest.raises(NotFoundError, match="medqueue failures list"):
            attempt(ledger, "f" * 32)


@pytest.mark.parametrize("state", [WorkState.PENDING, WorkState.RUNNING, WorkState.DONE])
def test_what_has_not_failed_can_be_neither_requeued_nor_discarded(
    ledger: Ledger, state: WorkState
) -> None:
    due = a_due_report(ledger)
    if state is not WorkState.PENDING:
        held = claim(ledger, due)
        if state is WorkState.DONE:
            finish(ledger, held)
    before = work_rows(ledger)

    for attempt in (requeue, discard):
        with pytest.raises(TransitionError, match=state):
            attempt(ledger, due)
    assert work_rows(ledger) == before


def test_one_wrong_id_among_many_requeues_none(ledger: Ledger) -> None:
    failed, waiting = a_failed_report(ledger), a_due_report(ledger)

    with pytest.raises(TransitionError):
        requeue(ledger, failed, waiting)
    with pytest.raises(NotFoundError):
        requeue(ledger, failed, "f" * 32)

    assert listed(ledger) == [failed]


def test_who_requeued_and_discarded_what_is_on_record(ledger: Ledger) -> None:
    failed = a_failed_report(ledger)
    discard(ledger, failed)
    requeue(ledger, failed)

    with ledger.read() as connection:
        statement = select(audit_events).where(audit_events.c.action != "release")
        events = connection.execute(statement.order_by(audit_events.c.seq)).all()
    assert [(row.actor, row.action, row.subject_id, row.code) for row in events] == [
        ("anna", "discard", failed, "undecodable"),
        ("anna", "requeue", failed, "undecodable"),
    ]


def test_a_late_worker_of_an_earlier_round_writes_nothing(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    frozen = claim(ledger, due)
    dispatch.end_expired_leases(ledger, now=after(30))
    fail(ledger, claim(ledger, due, at=30), at=31)
    requeue(ledger, due, at=40)
    claim(ledger, due, at=40)

    with pytest.raises(work.LeaseLostError):
        finish(ledger, frozen, at=41)
