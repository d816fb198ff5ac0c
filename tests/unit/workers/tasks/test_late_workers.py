"""A worker that ends after its lease: another has the work, so nothing of it may be written."""

from typing import Any

import pytest

from builders import LEASE, a_due_series, a_final, claim, only, result_rows, work_rows
from endings import Do, conclude, raising
from medqueue.errors import PackageError, UndecodableError, UnsupportedInputError
from medqueue.ledger import dispatch
from medqueue.ledger.engine import Ledger
from schemas.manifest import Manifest
from schemas.result import Outcome, ResultStatus
from schemas.work import Claim, WorkState
from workers.tasks.performing import Conclusion, perform
from workers.tasks.process import WorkerProcess


def late(ledger: Ledger, clock: Any, end: Do) -> Do:
    """Work that goes on until its lease is over and another worker has it."""

    def do(held: Claim, manifest: Manifest) -> Conclusion:
        clock.seconds += LEASE + 1
        assert dispatch.end_expired_leases(ledger, now=clock()) == 1
        claim(ledger, held.id, worker="other", at=clock.seconds)
        return end(held, manifest)

    return do


@pytest.mark.parametrize(
    "end",
    [
        conclude,
        raising(UndecodableError("half an image")),
        raising(UnsupportedInputError("colour")),
        raising(PackageError("not here")),
        raising(RuntimeError("a fault")),
    ],
    ids=["with a result", "failed", "skipped", "for another try", "with a fault"],
)
def test_a_worker_that_ends_after_its_lease_writes_nothing(
    ledger: Ledger, process: WorkerProcess, clock: Any, end: Do
) -> None:
    due = a_due_series(ledger)

    assert perform(process, due, late(ledger, clock, end)) is None

    row = only(work_rows(ledger))
    assert (row.state, row.worker, row.fence) == (WorkState.RUNNING, "other", 2)
    assert (row.error_code, row.finished_at) == (dispatch.WORKER_LOST.code, None)
    assert result_rows(ledger) == []


def test_two_workers_that_both_did_the_work_leave_one_result(
    ledger: Ledger, process: WorkerProcess, clock: Any
) -> None:
    due = a_due_series(ledger)

    def overtaken(held: Claim, _manifest: Manifest) -> Outcome:
        clock.seconds += LEASE + 1
        assert dispatch.end_expired_leases(ledger, now=clock()) == 1
        assert perform(process, due, conclude) is not None
        return a_final(held)

    assert perform(process, due, overtaken) is None
    assert only(result_rows(ledger)).status == ResultStatus.FINAL


def test_a_lease_lost_to_nobody_yet_is_lost_all_the_same(
    ledger: Ledger, process: WorkerProcess, clock: Any
) -> None:
    due = a_due_series(ledger)

    def freeze(held: Claim, _manifest: Manifest) -> Outcome:
        clock.seconds += LEASE + 1
        assert dispatch.end_expired_leases(ledger, now=clock()) == 1
        return a_final(held)

    assert perform(process, due, freeze) is None
    assert only(work_rows(ledger)).state == WorkState.PENDING
    assert result_rows(ledger) == []
