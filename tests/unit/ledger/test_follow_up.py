"""The next stage of a piece of work: opened once, and published without the relay or by it."""

import pytest

from builders import (
    a_due_series,
    a_follow_up,
    after,
    claim,
    finish,
    hand_on,
    only,
    result_rows,
    work_rows,
)
from medqueue.errors import LeaseLostError
from medqueue.ledger import dispatch, work
from medqueue.ledger.engine import Ledger
from schemas.work import Stage, WorkState


def test_the_end_of_one_stage_opens_the_next(ledger: Ledger) -> None:
    due = a_due_series(ledger)
    hand_on(ledger, claim(ledger, due), at=11)

    done, opened = work_rows(ledger)
    assert (done.id, done.state) == (due, WorkState.DONE)
    assert (opened.stage, opened.state) == (Stage.DIAGNOSE_IMAGE, WorkState.PENDING)
    assert (opened.subject_id, opened.input_digest) == (done.subject_id, done.input_digest)
    assert (opened.artifact, opened.next_try_at) == (f"{due}.safetensors", after(11))
    assert result_rows(ledger) == []

    finish(ledger, claim(ledger, opened.id, at=11), at=12)
    result = only(result_rows(ledger))
    assert (result.kind, result.series_instance_uid) == ("image", "1.2.3.1")


def test_the_next_stage_is_published_by_who_ended_the_first_and_else_again(ledger: Ledger) -> None:
    held = claim(ledger, a_due_series(ledger))
    following = work.finish(ledger, held, follow_up=a_follow_up(held), now=after(11))

    assert following is not None
    assert dispatch.take_unpublished(ledger, limit=9, now=after(12)) == []
    silent = dispatch.take_silent(
        ledger, stage=following.stage, priority=following.priority, limit=9, now=after(17)
    )
    assert silent == [following]


def test_a_stale_worker_opens_no_next_stage(ledger: Ledger) -> None:
    due = a_due_series(ledger)
    late = claim(ledger, due)
    lost = dispatch.end_expired_leases(ledger, now=after(30))
    claim(ledger, due, at=30)

    with pytest.raises(LeaseLostError):
        hand_on(ledger, late, at=31)

    assert lost == len(work_rows(ledger)) == 1
