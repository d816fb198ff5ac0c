"""The backlog: a full queue turns senders away before they send, and takes them again by itself."""

import pytest

from builders import a_due_report, claim
from medqueue.doors.backlog import Backlog
from medqueue.errors import OutOfResourcesError
from medqueue.ledger.engine import Ledger, open_ledger


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_full_backlog_refuses_until_work_is_taken(ledger: Ledger) -> None:
    clock = Clock()
    backlog = Backlog(ledger, 2, clock=clock)
    first = a_due_report(ledger)
    backlog.require_room()

    a_due_report(ledger)
    clock.now += 1
    with pytest.raises(OutOfResourcesError, match="medqueue status"):
        backlog.require_room()

    claim(ledger, first)
    clock.now += 1
    backlog.require_room()


def test_one_count_serves_for_a_second(ledger: Ledger) -> None:
    clock = Clock()
    backlog = Backlog(ledger, 1, clock=clock)
    backlog.require_room()
    a_due_report(ledger)

    clock.now += 0.9
    backlog.require_room()
    clock.now += 0.1
    with pytest.raises(OutOfResourcesError):
        backlog.require_room()


def test_a_ledger_that_does_not_answer_means_try_again() -> None:
    backlog = Backlog(open_ledger("postgresql://nobody@127.0.0.1:1/none"), 1)

    with pytest.raises(OutOfResourcesError, match="does not answer"):
        backlog.require_room()
