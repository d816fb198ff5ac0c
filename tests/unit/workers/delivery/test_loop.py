"""The loop of one destination: what it does when the destination is well, away, or refuses."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from builders import NOW, a_due_report, claim, finish
from medqueue.errors import DeliveryRefusedError, UnavailableError
from medqueue.ledger import deliveries
from medqueue.ledger.engine import Ledger
from schemas.delivery import Delivery, DeliveryState
from schemas.destination import parse_destinations
from workers.delivery.loop import DeliveryLoop

(HOOK,) = parse_destinations("hook=webhook+http://nowhere/")


class Receiver:
    """A destination whose mood a test sets."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.error: Exception | None = None

    def __call__(self, result_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.got.append(result_id)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = NOW + timedelta(seconds=100)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def step(sqlite_ledger: Ledger, receiver: Receiver, clock: Clock) -> Callable[[], bool]:
    """One step of a loop that is owed one result."""
    loop = DeliveryLoop(sqlite_ledger, HOOK, receiver, clock=clock)
    assert not loop.step()
    finish(sqlite_ledger, claim(sqlite_ledger, a_due_report(sqlite_ledger)))
    return loop.step


def the_delivery(ledger: Ledger) -> Delivery:
    with ledger.read() as connection:
        (found,) = deliveries.list_deliveries(connection, limit=10)
    return found


def test_a_result_is_delivered_once(
    sqlite_ledger: Ledger, step: Callable[[], bool], receiver: Receiver
) -> None:
    assert step()
    assert not step()
    assert len(receiver.got) == 1
    assert the_delivery(sqlite_ledger).state == DeliveryState.DELIVERED


def test_a_destination_that_is_away_gets_it_when_it_is_back(
    sqlite_ledger: Ledger, step: Callable[[], bool], receiver: Receiver, clock: Clock
) -> None:
    receiver.error = UnavailableError("no route")
    assert step()
    waiting = the_delivery(sqlite_ledger)
    assert (waiting.state, waiting.error_detail) == (DeliveryState.PENDING, "no route")

    receiver.error = None
    assert not step(), "not before its time"
    clock.advance(2)
    assert step()
    assert len(receiver.got) == 1
    assert the_delivery(sqlite_ledger).error_code is None


def test_the_pauses_grow_and_end_in_a_failure_that_a_person_sees(
    sqlite_ledger: Ledger, step: Callable[[], bool], receiver: Receiver, clock: Clock
) -> None:
    receiver.error = UnavailableError("no route")
    pauses = []
    while (found := _after_a_try(sqlite_ledger, step)).state is DeliveryState.PENDING:
        pauses.append((found.next_try_at - clock.now).total_seconds())
        clock.advance(pauses[-1])
    assert pauses[:4] == [2, 4, 8, 16]
    assert max(pauses) == 300
    assert found.state == DeliveryState.FAILED
    assert timedelta(days=3) < clock.now - found.created_at < timedelta(days=3, minutes=6)


def _after_a_try(ledger: Ledger, step: Callable[[], bool]) -> Delivery:
    assert step()
    return the_delivery(ledger)


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (DeliveryRefusedError("0xA900"), "delivery-refused", "0xA900"),
        (ValueError("Name^Of^A^Patient"), "internal", "ValueError"),
    ],
)
def test_what_will_never_arrive_fails_at_once_and_costs_the_others_nothing(  # noqa: PLR0917 - fixtures and cases
    sqlite_ledger: Ledger,
    step: Callable[[], bool],
    receiver: Receiver,
    error: Exception,
    code: str,
    detail: str,
) -> None:
    receiver.error = error
    assert step()
    failed = the_delivery(sqlite_ledger)
    assert (failed.state, failed.error_code) == (DeliveryState.FAILED, code)
    assert failed.error_detail == detail

    receiver.error = None
    finish(sqlite_ledger, claim(sqlite_ledger, _another_report(sqlite_ledger)))
    assert step()
    assert len(receiver.got) == 1


def _another_report(ledger: Ledger) -> str:
    return a_due_report(ledger, text="No effusion.")
