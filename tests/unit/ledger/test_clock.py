"""A clock that jumps while work waits, rests and runs: it costs time, and little of that."""

import pytest

from builders import (
    LEASE,
    QUIET,
    a_due_report,
    a_header,
    after,
    an_image_model,
    claim,
    complete,
    finish,
    only,
    receive,
    register,
    result_rows,
    try_to_claim,
    work_rows,
)
from medqueue.errors import LeaseLostError
from medqueue.ledger import clock, dispatch, work
from medqueue.ledger.engine import Ledger
from schemas.work import WorkState

HOUR = 3600.0


def mend(ledger: Ledger, *, at: float) -> int:
    return clock.mend(ledger, lease_seconds=LEASE, now=after(at))


def test_new_work_is_due_at_once_though_the_clock_was_set_back(ledger: Ledger) -> None:
    work_id = a_due_report(ledger)
    assert dispatch.take_unpublished(ledger, limit=10, now=after(-HOUR)) == []
    assert mend(ledger, at=-HOUR) == 1
    published = dispatch.take_unpublished(ledger, limit=10, now=after(-HOUR))
    assert [one.id for one in published] == [work_id]
    finish(ledger, claim(ledger, work_id, at=-HOUR), at=-HOUR)


def test_a_study_is_complete_after_the_quiet_time_though_the_clock_was_set_back(
    ledger: Ledger,
) -> None:
    register(ledger, an_image_model())
    receive(ledger, a_header())
    assert mend(ledger, at=-HOUR) == 1
    assert complete(ledger, at=-HOUR + QUIET / 2) == 0
    assert complete(ledger, at=-HOUR + QUIET) == 1


def test_the_work_of_a_dead_worker_is_free_after_three_leases_though_the_clock_was_set_back(
    ledger: Ledger,
) -> None:
    claim(ledger, a_due_report(ledger))
    assert mend(ledger, at=-HOUR) == 1
    assert dispatch.end_expired_leases(ledger, now=after(-HOUR + 3 * LEASE)) == 0
    assert dispatch.end_expired_leases(ledger, now=after(-HOUR + 3 * LEASE + 1)) == 1


def test_a_living_worker_keeps_its_work_though_the_clock_was_set_back(ledger: Ledger) -> None:
    held = claim(ledger, a_due_report(ledger))
    mend(ledger, at=-HOUR)
    work.renew(ledger, held, now=after(-HOUR + 5))
    assert dispatch.end_expired_leases(ledger, now=after(-HOUR + 6)) == 0
    finish(ledger, held, at=-HOUR + 7)
    assert len(result_rows(ledger)) == 1


@pytest.mark.parametrize("seconds", [-HOUR, -600])
def test_work_that_rests_does_not_rest_longer_than_the_longest_pause(
    ledger: Ledger, seconds: float
) -> None:
    work_id = a_due_report(ledger)
    held = claim(ledger, work_id, at=0)
    work.give_back(ledger, held, error_code="unavailable", error_detail="x", now=after(0))
    assert mend(ledger, at=seconds) == 1
    assert try_to_claim(ledger, work_id, at=seconds) is not None


def test_a_clock_set_forward_ends_leases_early_and_the_result_is_still_one(ledger: Ledger) -> None:
    work_id = a_due_report(ledger)
    first = claim(ledger, work_id, at=0)
    assert dispatch.end_expired_leases(ledger, now=after(HOUR)) == 1
    second = claim(ledger, work_id, at=HOUR)
    with pytest.raises(LeaseLostError):
        finish(ledger, first, at=HOUR)
    finish(ledger, second, at=HOUR)
    assert len(result_rows(ledger)) == 1


def test_a_clock_that_goes_right_has_nothing_to_mend(ledger: Ledger) -> None:
    work_id = a_due_report(ledger)
    receive(ledger, at=10)
    held = claim(ledger, work_id, at=10)
    assert mend(ledger, at=10) == 0
    work.give_back(ledger, held, error_code="unavailable", error_detail="x", now=after(10))
    assert mend(ledger, at=10) == 0
    row = only(work_rows(ledger, id=work_id))
    assert row.state == WorkState.PENDING
    assert row.next_try_at > after(10)
