"""Queued trainings: one worker at a time, taken up again when it dies, and not for ever."""

from datetime import datetime, timedelta

import pytest

from builders import NOW, after
from medqueue.errors import ConfigurationError, LeaseLostError
from medqueue.ledger import trainings
from medqueue.ledger.engine import Ledger
from schemas.training import QueuedTraining, TrainingClaim
from schemas.work import WorkState

LEASE = 10.0


def queue(ledger: Ledger, id_: str = "one", *, folder: str = "/out", now: datetime = NOW) -> None:
    trainings.add(ledger, id_, folder=folder, started_in="/home", now=now)


def take(ledger: Ledger, id_: str = "one", *, at: float = 0) -> TrainingClaim | None:
    return trainings.claim(ledger, id_, worker="w", lease_seconds=LEASE, now=after(at))


def held(ledger: Ledger, *, at: float = 0) -> TrainingClaim:
    claim = take(ledger, at=at)
    assert claim is not None
    return claim


def only(ledger: Ledger) -> QueuedTraining:
    (found,) = trainings.everything(ledger)
    return found


def test_a_queued_training_waits_and_is_published_once(ledger: Ledger) -> None:
    queue(ledger)

    assert trainings.take_due(ledger, now=after(0)) == ["one"]
    assert trainings.take_due(ledger, now=after(1)) == []
    assert only(ledger) == QueuedTraining(
        "one", WorkState.PENDING, "/out", 0, None, None, None, NOW, None, None
    )


def test_a_lost_message_is_sent_again(ledger: Ledger) -> None:
    queue(ledger)
    trainings.take_due(ledger, now=after(0))

    assert trainings.take_due(ledger, now=after(31)) == ["one"]


def test_one_worker_has_it(ledger: Ledger) -> None:
    queue(ledger)

    claim = take(ledger)

    assert claim == TrainingClaim("one", "/out", "/home", 1, LEASE)
    assert take(ledger) is None
    assert trainings.take_due(ledger, now=after(1)) == []


def test_it_ends_with_a_package(ledger: Ledger) -> None:
    queue(ledger)

    trainings.finish(ledger, held(ledger), now=after(5))

    assert (only(ledger).state, only(ledger).finished_at) == (WorkState.DONE, after(5))
    assert take(ledger) is None


def test_it_ends_without_one_and_says_why(ledger: Ledger) -> None:
    queue(ledger)

    trainings.fail(ledger, held(ledger), code="configuration", detail="no data", now=after(5))

    found = only(ledger)
    assert (found.state, found.error_code, found.error_detail) == (
        WorkState.FAILED,
        "configuration",
        "no data",
    )


def test_another_takes_it_up_when_its_worker_has_died(ledger: Ledger) -> None:
    queue(ledger)
    dead = held(ledger)
    trainings.renew(ledger, dead, now=after(5))

    assert trainings.take_due(ledger, now=after(14)) == []
    assert trainings.take_due(ledger, now=after(16)) == ["one"]

    alive = held(ledger, at=17)
    with pytest.raises(LeaseLostError):
        trainings.finish(ledger, dead, now=after(18))
    trainings.finish(ledger, alive, now=after(19))
    assert only(ledger).attempts == 2


def test_a_training_that_kills_its_workers_fails(ledger: Ledger) -> None:
    queue(ledger)
    for attempt in range(trainings.MAX_ATTEMPTS):
        held(ledger, at=attempt * 100)
        due = trainings.take_due(ledger, now=after(attempt * 100 + 50))

    assert due == []
    assert (only(ledger).state, only(ledger).error_code) == (WorkState.FAILED, "worker-lost")


def test_two_trainings_do_not_write_into_one_folder(ledger: Ledger) -> None:
    queue(ledger)

    with pytest.raises(ConfigurationError, match="training one into it"):
        queue(ledger, "two")
    queue(ledger, "three", folder="/other")

    trainings.fail(ledger, held(ledger), code="c", detail="d", now=after(1))
    queue(ledger, "four")  # what failed may be queued again, and goes on from its checkpoint


def test_the_newest_stands_first(ledger: Ledger) -> None:
    queue(ledger, "old", folder="/a")
    queue(ledger, "new", folder="/b", now=NOW + timedelta(hours=1))

    assert [training.id for training in trainings.everything(ledger)] == ["new", "old"]


def test_without_trainings_the_relay_does_not_write(ledger: Ledger) -> None:
    assert trainings.take_due(ledger, now=NOW) == []
