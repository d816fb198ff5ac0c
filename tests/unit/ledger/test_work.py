"""Work in a worker's hands: claimed once, fenced, retried, ended exactly once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from builders import (
    ATTEMPTS,
    LEASE,
    a_due_report,
    a_due_series,
    a_failure,
    a_final,
    after,
    an_outcome,
    claim,
    fail,
    finish,
    lose_worker,
    only,
    result_rows,
    try_to_claim,
    work_rows,
)
from medqueue.errors import LeaseLostError
from medqueue.ledger import dispatch, work
from medqueue.ledger.engine import Ledger
from schemas.result import ResultError, ResultStatus
from schemas.work import Claim, Stage, WorkState


def give_back(ledger: Ledger, held: Claim, *, at: float) -> float:
    """Give work back, and return how many seconds it rests."""
    work.give_back(
        ledger, held, error_code="unavailable", error_detail="database away", now=after(at)
    )
    row = only(work_rows(ledger))
    assert row.state == WorkState.PENDING
    return float((row.next_try_at - after(at)).total_seconds())


def test_a_claim_says_what_is_to_be_done(ledger: Ledger) -> None:
    due = a_due_series(ledger)

    held = claim(ledger, due, worker="host:7")

    row = only(work_rows(ledger))
    assert held == Claim(
        id=due,
        stage=Stage.PREPARE_SERIES,
        subject_id=row.subject_id,
        input_digest=row.input_digest,
        model_name="chest",
        model_version="1.0.0",
        artifact=None,
        fence=1,
        attempt=1,
        max_attempts=ATTEMPTS,
        lease_seconds=LEASE,
    )
    assert (row.state, row.worker) == (WorkState.RUNNING, "host:7")
    assert (row.started_at, row.lease_until) == (after(10), after(10 + LEASE))


def test_of_eight_workers_that_race_one_gets_the_work(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    start = Barrier(8)

    def race(number: int) -> Claim | None:
        start.wait()
        return try_to_claim(ledger, due, worker=f"w{number}")

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(race, range(8)))

    assert sum(held is not None for held in taken) == 1
    assert only(work_rows(ledger)).fence == 1


def test_work_is_not_claimed_before_it_is_due(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    pause = give_back(ledger, claim(ledger, due), at=11)

    assert try_to_claim(ledger, due, at=11 + pause - 0.001) is None
    assert try_to_claim(ledger, due, at=11 + pause) is not None


def test_unknown_work_cannot_be_claimed(ledger: Ledger) -> None:
    assert try_to_claim(ledger, "0" * 32) is None


@pytest.mark.parametrize("end", [finish, fail])
def test_ended_work_cannot_be_claimed_again(ledger: Ledger, end: type) -> None:
    due = a_due_report(ledger)
    end(ledger, claim(ledger, due))

    assert try_to_claim(ledger, due, at=100) is None


def test_finishing_writes_the_result_and_the_end_of_the_work(ledger: Ledger) -> None:
    due = a_due_report(ledger, patient_id="P-1", accession_number="A-1", report_id="R-1")
    finish(ledger, claim(ledger, due), at=12)

    row = only(work_rows(ledger))
    assert (row.state, row.finished_at, row.lease_until) == (WorkState.DONE, after(12), None)
    result = only(result_rows(ledger))
    assert (result.kind, result.status, result.error) == ("text", "final", None)
    assert (result.patient_id, result.accession_number, result.report_id) == ("P-1", "A-1", "R-1")
    assert (result.received_at, result.completed_at) == (after(0), after(12))


def test_a_text_without_a_report_id_is_known_by_ours(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    finish(ledger, claim(ledger, due))

    assert only(result_rows(ledger)).report_id == only(work_rows(ledger)).subject_id


def test_a_worker_whose_work_another_has_taken_writes_nothing(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    late = claim(ledger, due, worker="frozen")
    dispatch.end_expired_leases(ledger, now=after(30))
    claim(ledger, due, worker="second", at=30)
    before = work_rows(ledger)

    for write in (
        lambda: finish(ledger, late, at=31),
        lambda: fail(ledger, late, at=31),
        lambda: work.renew(ledger, late, now=after(31)),
        lambda: give_back(ledger, late, at=31),
    ):
        with pytest.raises(LeaseLostError):
            write()

    assert work_rows(ledger) == before
    assert result_rows(ledger) == []


def test_a_worker_whose_work_was_freed_writes_nothing_even_before_it_is_claimed(
    ledger: Ledger,
) -> None:
    late = claim(ledger, a_due_report(ledger))
    dispatch.end_expired_leases(ledger, now=after(30))

    with pytest.raises(LeaseLostError):
        finish(ledger, late, at=31)

    assert only(work_rows(ledger)).state == WorkState.PENDING
    assert result_rows(ledger) == []


def test_work_ends_only_once(ledger: Ledger) -> None:
    held = claim(ledger, a_due_report(ledger))
    finish(ledger, held)

    with pytest.raises(LeaseLostError):
        fail(ledger, held)
    assert only(work_rows(ledger)).state == WorkState.DONE


def test_work_of_a_lost_worker_ends_with_exactly_one_result(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    late = claim(ledger, due, worker="frozen")
    dispatch.end_expired_leases(ledger, now=after(30))
    second = claim(ledger, due, worker="second", at=30)
    finish(ledger, second, at=31)

    with pytest.raises(LeaseLostError):
        finish(ledger, late, at=32)

    assert second.attempt == 2
    assert only(result_rows(ledger)).completed_at == after(31)


def test_a_lease_lasts_until_its_end_and_not_longer(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    claim(ledger, due, at=10)

    assert dispatch.end_expired_leases(ledger, now=after(10 + LEASE)) == 0
    assert dispatch.end_expired_leases(ledger, now=after(10 + LEASE + 0.001)) == 1


def test_a_heartbeat_prolongs_the_lease(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    held = claim(ledger, due, at=10)
    work.renew(ledger, held, now=after(20))

    assert dispatch.end_expired_leases(ledger, now=after(30)) == 0
    assert dispatch.end_expired_leases(ledger, now=after(20 + LEASE + 1)) == 1


def test_a_worker_that_ends_late_but_before_anyone_took_over_is_heard(ledger: Ledger) -> None:
    due = a_due_report(ledger)

    finish(ledger, claim(ledger, due), at=500)

    assert only(result_rows(ledger)).status == "final"


def test_work_that_is_given_back_rests_twice_as_long_each_time(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    at, pauses = 10.0, []
    for _ in range(4):
        pauses.append(give_back(ledger, claim(ledger, due, at=at), at=at))
        at += pauses[-1]

    for expected, pause in zip((1, 2, 4, 8), pauses, strict=True):
        assert 0.75 * expected <= pause <= 1.25 * expected
    row = only(work_rows(ledger))
    assert (row.error_code, row.error_detail) == ("unavailable", "database away")


def test_the_rest_between_attempts_has_an_upper_bound(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    pause, at = 0.0, 10.0
    for _ in range(15):
        pause = give_back(ledger, claim(ledger, due, at=at), at=at)
        at += pause

    assert pause <= 300 * 1.25


def test_work_that_failed_for_good_leaves_a_failed_result(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    fail(ledger, claim(ledger, due), at=12)

    row = only(work_rows(ledger))
    assert (row.state, row.error_code, row.error_detail) == ("failed", "undecodable", "broken")
    result = only(result_rows(ledger))
    assert result.status == "failed"
    assert result.error == {"code": "undecodable", "detail": "broken"}


def test_work_whose_last_attempt_lost_its_worker_fails_as_worker_lost(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    at = 10.0
    for _ in range(ATTEMPTS):
        assert result_rows(ledger) == []
        at = lose_worker(ledger, due, at=at)

    row = only(work_rows(ledger))
    assert (row.state, row.attempts, row.error_code) == ("failed", ATTEMPTS, "worker-lost")
    result = only(result_rows(ledger))
    assert (result.status, result.error["code"]) == ("failed", "worker-lost")
    assert result.model["name"] == "report"


def test_one_poisonous_input_does_not_hold_up_the_others(ledger: Ledger) -> None:
    poison = a_due_report(ledger)
    other = a_due_report(ledger)
    at = 10.0
    for _ in range(ATTEMPTS - 1):
        at = lose_worker(ledger, poison, at=at)
    claim(ledger, poison, at=at)
    claim(ledger, other, at=at)

    assert dispatch.end_expired_leases(ledger, now=after(at + LEASE + 1)) == 2

    states = {row.id: row.state for row in work_rows(ledger)}
    assert states == {poison: WorkState.FAILED, other: WorkState.PENDING}


def test_superseded_work_may_end_without_a_result(ledger: Ledger) -> None:
    due = a_due_series(ledger)

    work.finish(ledger, claim(ledger, due), now=after(11))

    assert only(work_rows(ledger)).state == WorkState.DONE
    assert result_rows(ledger) == []


def test_an_input_has_one_result_for_each_model_version(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    held = claim(ledger, due)
    finish(ledger, held)
    row = only(work_rows(ledger))

    with ledger.write() as connection:
        work.append_result(connection, row, a_failure(held), now=after(50))

    assert only(result_rows(ledger)).status == "final"


def test_skipped_and_failed_results_stay_what_they_are_in_a_corrected_report(
    ledger: Ledger,
) -> None:
    a_due_report(ledger, report_id="R-1")
    due = a_due_report(ledger, text="Corrected.", report_id="R-1", at=1)
    held = claim(ledger, due)
    skipped = an_outcome(
        held, ResultStatus.SKIPPED, ResultError(code="unsupported-input", detail="why")
    )

    work.finish(ledger, held, outcome=skipped, now=after(11))

    assert only(result_rows(ledger)).status == "skipped"


def test_if_the_result_cannot_be_written_the_work_does_not_end(ledger: Ledger) -> None:
    due = a_due_report(ledger)
    held = claim(ledger, due)
    broken = a_final(held).model_copy(update={"findings": (object(),)})

    with pytest.raises(AttributeError):
        work.finish(ledger, held, outcome=broken, now=after(11))

    assert only(work_rows(ledger)).state == WorkState.RUNNING
