"""Performing: whatever happens inside, the ledger ends with one truth, and without patient data."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from celery import Celery
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from builders import (
    ATTEMPTS,
    a_due_report,
    a_due_series,
    a_final,
    a_follow_up,
    only,
    result_rows,
    work_rows,
)
from endings import Do, conclude, raising
from medqueue.errors import (
    ArtifactLostError,
    ModelError,
    PackageError,
    UndecodableError,
    UnsupportedInputError,
)
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, results, work
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultStatus
from schemas.work import Claim, FollowUp, Stage, WorkState
from waiting import wait_until
from workers.tasks.performing import WorkFailed, perform
from workers.tasks.process import WorkerProcess

PATIENT = "MUSTERMANN^ERIKA"
NO_RETRY = {"max_retries": 1, "interval_start": 0}


def exhaust(process: WorkerProcess, due: str, do: Do, clock: Any) -> None:
    """Perform until no attempt is left; only of the last Celery hears as a failure."""
    while only(work_rows(process.ledger, id=due)).attempts < ATTEMPTS - 1:
        assert perform(process, due, do) is None
        clock.seconds += 1000
    with pytest.raises(WorkFailed):
        perform(process, due, do)


def everything_written(ledger: Ledger) -> str:
    """What stands in every column that a person or an integrator may read."""
    with ledger.read() as connection:
        tables = [connection.execute(select(table)).all() for table in (work, results)]
        events = connection.execute(select(audit_events)).all()
    return repr(tables) + repr(events)


def test_work_that_succeeds_has_one_result(
    ledger: Ledger, process: WorkerProcess, clock: Any
) -> None:
    due = a_due_report(ledger)

    ended = perform(process, due, conclude)

    assert ended is not None
    assert ended.id == due
    row = only(work_rows(ledger))
    assert (row.state, row.worker, row.attempts) == (WorkState.DONE, "host:7", 1)
    assert only(result_rows(ledger)).status == ResultStatus.FINAL


def test_a_second_message_for_done_work_does_nothing(
    ledger: Ledger, process: WorkerProcess
) -> None:
    due = a_due_report(ledger)
    perform(process, due, conclude)

    assert perform(process, due, raising(AssertionError("done twice"))) is None
    assert only(result_rows(ledger)).status == ResultStatus.FINAL


def test_of_two_workers_with_the_same_message_one_works(
    ledger: Ledger, process: WorkerProcess
) -> None:
    due = a_due_report(ledger)
    start, looked = Barrier(4), []

    def look(held: Claim, _manifest: Manifest) -> Outcome:
        looked.append(held.fence)
        return a_final(held)

    def race(_number: int) -> Claim | None:
        start.wait()
        return perform(process, due, look)

    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(race, range(4)))

    assert sum(claim is not None for claim in ended) == 1
    assert looked == [1]
    assert len(result_rows(ledger)) == 1


def test_a_message_for_work_that_nobody_knows_is_no_error(process: WorkerProcess) -> None:
    assert perform(process, "0" * 32, conclude) is None


def test_prepared_work_is_followed_by_its_diagnosis(ledger: Ledger, process: WorkerProcess) -> None:
    due = a_due_series(ledger)

    def prepare(held: Claim, _manifest: Manifest) -> FollowUp:
        return a_follow_up(held)

    with process.app.connection_for_read() as connection:
        queue = connection.SimpleQueue("diagnose-image.routine")
        queue.clear()
        assert perform(process, due, prepare) is not None
        message = queue.get_nowait()
    following = only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE))
    assert (following.artifact, following.publications) == (f"{due}.safetensors", 1)
    assert message.payload[0] == [following.id]
    assert result_rows(ledger) == []


def test_a_next_stage_that_the_broker_did_not_get_is_left_to_the_relay(
    ledger: Ledger, process: WorkerProcess
) -> None:
    due = a_due_series(ledger)
    nobody = Celery("worker", broker="redis://127.0.0.1:1/0", broker_transport_options=NO_RETRY)
    lonely = replace(process, app=nobody)

    assert perform(lonely, due, lambda held, _manifest: a_follow_up(held)) is not None
    assert only(work_rows(ledger, state=WorkState.PENDING)).publications == 0


def test_superseded_work_ends_without_a_result(ledger: Ledger, process: WorkerProcess) -> None:
    due = a_due_series(ledger)

    assert perform(process, due, lambda _held, _manifest: None) is not None
    assert only(work_rows(ledger)).state == WorkState.DONE
    assert result_rows(ledger) == []


@pytest.mark.parametrize("error", [UndecodableError("half an image"), ModelError("no number")])
def test_an_input_at_fault_fails_at_once_and_says_why(
    ledger: Ledger, process: WorkerProcess, error: UndecodableError | ModelError
) -> None:
    due = a_due_series(ledger)

    with pytest.raises(WorkFailed) as told:
        perform(process, due, raising(error))

    row, result = only(work_rows(ledger)), only(result_rows(ledger))
    assert str(told.value) == f"{error.code}; see: medqueue failures show {row.id}"
    assert (row.state, row.attempts, row.error_code) == (WorkState.FAILED, 1, error.code)
    assert (result.status, result.error) == (
        ResultStatus.FAILED,
        {"code": error.code, "detail": error.detail},
    )
    assert result.model["name"] == "chest"


def test_an_input_that_the_model_cannot_take_is_skipped_and_no_failure(
    ledger: Ledger, process: WorkerProcess
) -> None:
    due = a_due_series(ledger)

    assert perform(process, due, raising(UnsupportedInputError("colour"))) is None

    assert only(work_rows(ledger)).state == WorkState.DONE
    result = only(result_rows(ledger))
    assert result.status == ResultStatus.SKIPPED
    assert result.error == {"code": "unsupported-input", "detail": "colour"}


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (PackageError("not on this machine"), ("package", "not on this machine")),
        (ArtifactLostError("gone"), ("artifact-lost", "gone")),
        (OperationalError("SELECT 1", {}, Exception(PATIENT)), ("unavailable", "OperationalError")),
        (MemoryError(PATIENT), ("unavailable", "MemoryError")),
        (KeyError(PATIENT), ("internal", "KeyError")),
    ],
)
def test_what_may_pass_is_tried_again_and_then_fails(
    ledger: Ledger, process: WorkerProcess, clock: Any, error: Exception, left: tuple[str, str]
) -> None:
    code, detail = left
    due = a_due_series(ledger)

    assert perform(process, due, raising(error)) is None
    row = only(work_rows(ledger))
    assert (row.state, row.error_code, row.error_detail) == (WorkState.PENDING, code, detail)
    assert row.next_try_at > clock()
    assert result_rows(ledger) == []

    clock.seconds += 1000
    exhaust(process, due, raising(error), clock)
    assert only(work_rows(ledger)).state == WorkState.FAILED
    assert only(result_rows(ledger)).error == {
        "code": code,
        "detail": f"{ATTEMPTS} attempts failed: {detail}",
    }


def test_work_that_failed_for_a_moment_succeeds_later(
    ledger: Ledger, process: WorkerProcess, clock: Any
) -> None:
    due = a_due_series(ledger)
    perform(process, due, raising(MemoryError()))

    clock.seconds += 1000
    assert perform(process, due, conclude) is not None
    assert only(result_rows(ledger)).status == ResultStatus.FINAL


def test_work_that_rests_is_not_performed_before_its_time(
    ledger: Ledger, process: WorkerProcess
) -> None:
    due = a_due_series(ledger)
    perform(process, due, raising(MemoryError()))

    assert perform(process, due, raising(AssertionError("too early"))) is None
    assert only(work_rows(ledger)).attempts == 1


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, OSError, MemoryError])
def test_an_unknown_error_leaves_nothing_but_its_type(
    ledger: Ledger, process: WorkerProcess, clock: Any, kind: type[Exception]
) -> None:
    due = a_due_report(ledger, text=f"Patient {PATIENT}: no pneumothorax.")

    exhaust(process, due, raising(kind(f"cannot read the file of {PATIENT}")), clock)

    left = f"{ATTEMPTS} attempts failed: {kind.__name__}"
    assert only(work_rows(ledger)).error_detail == left
    assert only(result_rows(ledger)).error["detail"] == left
    assert PATIENT not in everything_written(ledger)


@pytest.mark.parametrize(
    "end",
    [
        conclude,
        raising(UndecodableError("half an image")),
        raising(UnsupportedInputError("colour")),
        raising(PackageError("not here")),
        raising(KeyError(PATIENT)),
    ],
    ids=["with a result", "failed", "skipped", "for another try", "with a fault"],
)
def test_a_ledger_that_refuses_the_end_leaves_the_work_to_the_relay_and_tells_celery_nothing(
    ledger: Ledger, process: WorkerProcess, monkeypatch: pytest.MonkeyPatch, end: Do
) -> None:
    """What Celery is told goes to Redis, Flower and the log; SQL errors quote their parameters."""
    due = a_due_series(ledger)

    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {"patient_id": PATIENT}, Exception("disk full"))

    monkeypatch.setattr("medqueue.ledger.work._change", refuse)
    assert perform(process, due, end) is None

    assert only(work_rows(ledger)).state == WorkState.RUNNING
    assert result_rows(ledger) == []


def test_work_that_goes_on_keeps_its_lease(ledger: Ledger, process: WorkerProcess) -> None:
    due = a_due_series(ledger)
    settings = process.settings.model_copy(update={"lease_seconds": 0.2})

    def look_long(held: Claim, _manifest: Manifest) -> Outcome:
        first = only(work_rows(ledger)).lease_until
        wait_until(lambda: only(work_rows(ledger)).lease_until > first)
        return a_final(held)

    assert perform(replace(process, settings=settings), due, look_long) is not None
    assert only(result_rows(ledger)).status == ResultStatus.FINAL


def test_a_death_that_python_does_not_see_leaves_the_work_to_the_relay(
    ledger: Ledger, process: WorkerProcess
) -> None:
    due = a_due_series(ledger)

    with pytest.raises(SystemExit):
        perform(process, due, raising(SystemExit()))

    assert only(work_rows(ledger)).state == WorkState.RUNNING
    assert result_rows(ledger) == []
