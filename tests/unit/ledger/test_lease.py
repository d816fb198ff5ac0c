"""The heartbeat: keeps the lease of long work, and lets go of what is lost."""

import threading
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy.exc import OperationalError

from builders import a_due_report, after, claim, finish, only, result_rows, work_rows
from medqueue.ledger import dispatch, lease, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.lease import Heartbeat
from schemas.work import Claim

FAST = 0.03
"""Seconds: the lease of these tests, so that it beats every ten milliseconds."""


class Beats:
    """Stands for the clock, and tells how often it was asked: once a beat."""

    def __init__(self) -> None:
        self._counted = threading.Semaphore(0)

    def __call__(self) -> datetime:
        self._counted.release()
        return after(100)

    def wait(self, beats: int) -> bool:
        return all(self._counted.acquire(timeout=10) for _ in range(beats))


def held_briefly(ledger: Ledger) -> Claim:
    return replace(claim(ledger, a_due_report(ledger)), lease_seconds=FAST)


def test_work_that_takes_longer_than_its_lease_keeps_it(ledger: Ledger) -> None:
    held, beats = held_briefly(ledger), Beats()

    with Heartbeat(ledger, held, clock=beats):
        assert beats.wait(3)

    assert only(work_rows(ledger)).lease_until == after(100 + FAST)
    finish(ledger, held, at=101)


def test_a_heart_stops_with_the_block_even_if_that_raises(ledger: Ledger) -> None:
    held, beats = held_briefly(ledger), Beats()

    with pytest.raises(ZeroDivisionError), Heartbeat(ledger, held, clock=beats):
        raise ZeroDivisionError

    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_the_heart_of_work_that_another_has_taken_stops_and_harms_nothing(ledger: Ledger) -> None:
    held, beats = held_briefly(ledger), Beats()
    dispatch.end_expired_leases(ledger, now=after(50))
    second = claim(ledger, held.id, at=50)

    heart = Heartbeat(ledger, held, clock=beats)
    with heart:
        assert beats.wait(1)
        heart._thread.join(10)
        assert not heart._thread.is_alive()

    finish(ledger, second, at=51)
    assert only(result_rows(ledger)).completed_at == after(51)


def test_a_heart_outlives_a_database_that_is_away_for_a_moment(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, beats, renew = held_briefly(ledger), Beats(), work.renew
    errors = [OperationalError("", {}, Exception("away"))] * 2

    def flaky(*arguments: object, now: datetime) -> None:
        if errors:
            raise errors.pop()
        renew(*arguments, now=now)

    monkeypatch.setattr(lease.work, "renew", flaky)
    with Heartbeat(ledger, held, clock=beats):
        assert beats.wait(4)

    assert only(work_rows(ledger)).lease_until == after(100 + FAST)
