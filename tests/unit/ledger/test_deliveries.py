"""Deliveries: every destination is owed every result once, and keeps it until it has it."""

import pytest

from builders import (
    a_due_report,
    a_due_series,
    a_header,
    after,
    claim,
    complete,
    fail,
    finish,
    hand_on,
    receive,
    result_rows,
    work_rows,
)
from medqueue.errors import NotFoundError, TransitionError
from medqueue.ledger import deliveries
from medqueue.ledger.deliveries import OwedDelivery
from medqueue.ledger.engine import Ledger
from schemas.delivery import Delivery, DeliveryState
from schemas.result import ResultKind
from schemas.work import Stage, WorkState

LEASE = 60.0


def plan(
    ledger: Ledger, name: str = "pacs", *, at: float = 20, only: ResultKind | None = None
) -> int:
    return deliveries.plan(ledger, name, only=only, now=after(at))


def take(ledger: Ledger, name: str = "pacs", *, at: float = 20) -> OwedDelivery | None:
    return deliveries.take_due(ledger, name, lease_seconds=LEASE, now=after(at))


def taken(ledger: Ledger, *, at: float = 20) -> OwedDelivery:
    found = take(ledger, at=at)
    assert found is not None
    return found


def listed(ledger: Ledger) -> list[Delivery]:
    with ledger.read() as connection:
        return deliveries.list_deliveries(connection, limit=100)


def diagnose_study(ledger: Ledger, study: str = "1.2.3") -> None:
    """Bring an image study to its result."""
    if not work_rows(ledger):
        a_due_series(ledger)
    else:
        receive(ledger, a_header(study=study))
        complete(ledger)
    while waiting := work_rows(ledger, state=WorkState.PENDING):
        for row in waiting:
            step = hand_on if row.stage == Stage.PREPARE_SERIES else finish
            step(ledger, claim(ledger, row.id, at=1000), at=1000)


def a_delivery(ledger: Ledger) -> OwedDelivery:
    plan(ledger)
    diagnose_study(ledger)
    plan(ledger)
    return taken(ledger)


def test_a_new_destination_gets_what_comes_from_now_on(ledger: Ledger) -> None:
    diagnose_study(ledger)
    assert plan(ledger) == 0
    diagnose_study(ledger, "4.5.6")
    assert plan(ledger) == 1
    assert plan(ledger) == 0

    (found,) = listed(ledger)
    assert (found.destination, found.state) == ("pacs", DeliveryState.PENDING)
    assert found.result_id == result_rows(ledger)[-1].id


def test_each_destination_has_a_position_of_its_own(ledger: Ledger) -> None:
    plan(ledger, "pacs")
    diagnose_study(ledger)
    plan(ledger, "vna")
    diagnose_study(ledger, "4.5.6")
    assert (plan(ledger, "pacs"), plan(ledger, "vna")) == (2, 1)


def test_failures_are_not_sent(ledger: Ledger) -> None:
    work_id = a_due_report(ledger)
    plan(ledger)
    fail(ledger, claim(ledger, work_id))
    assert plan(ledger) == 0


def test_a_destination_of_images_is_owed_no_texts(ledger: Ledger) -> None:
    plan(ledger, "pacs", only=ResultKind.IMAGE)
    plan(ledger, "ris")
    finish(ledger, claim(ledger, a_due_report(ledger)))
    assert (plan(ledger, "pacs", only=ResultKind.IMAGE), plan(ledger, "ris")) == (0, 1)


def test_nobody_else_gets_what_is_being_sent_until_its_sender_must_be_dead(ledger: Ledger) -> None:
    first = a_delivery(ledger)
    assert take(ledger, at=20 + LEASE - 1) is None
    again = taken(ledger, at=20 + LEASE)
    assert (again.id, again.attempts) == (first.id, 2)


def test_what_has_arrived_is_not_sent_again(ledger: Ledger) -> None:
    owed = a_delivery(ledger)
    deliveries.settle(ledger, owed.id, now=after(21))

    assert take(ledger, at=10_000) is None
    (found,) = listed(ledger)
    assert (found.state, found.delivered_at) == (DeliveryState.DELIVERED, after(21))


def test_a_late_failure_does_not_undo_an_arrival(ledger: Ledger) -> None:
    owed = a_delivery(ledger)
    deliveries.settle(ledger, owed.id, now=after(21))
    deliveries.give_up(ledger, owed.id, error_code="unavailable", error_detail="late")
    assert listed(ledger)[0].state == DeliveryState.DELIVERED


def test_deliveries_are_taken_in_the_order_of_their_results(ledger: Ledger) -> None:
    plan(ledger)
    for study in ("1.2.3", "4.5.6", "7.8.9"):
        diagnose_study(ledger, study)
    plan(ledger)
    order = [taken(ledger).result_id for _ in range(3)]
    assert order == [row.id for row in result_rows(ledger)]


def test_a_failed_delivery_is_shown_with_its_reason_and_can_be_requeued(ledger: Ledger) -> None:
    owed = a_delivery(ledger)
    deliveries.give_up(ledger, owed.id, error_code="delivery-refused", error_detail="0xA900")
    assert take(ledger, at=10_000) is None
    (failed,) = listed(ledger)
    assert (failed.error_code, failed.error_detail) == ("delivery-refused", "0xA900")

    assert deliveries.requeue(ledger, None, actor="test", now=after(30)) == 1
    assert taken(ledger, at=30).id == owed.id


def test_only_failed_deliveries_are_requeued(ledger: Ledger) -> None:
    owed = a_delivery(ledger)
    with pytest.raises(TransitionError):
        deliveries.requeue(ledger, [owed.id], actor="test", now=after(30))
    with pytest.raises(NotFoundError):
        deliveries.requeue(ledger, ["unknown"], actor="test", now=after(30))


def test_a_series_of_our_own_making_that_comes_back_is_no_input(ledger: Ledger) -> None:
    diagnose_study(ledger)
    deliveries.note_made(ledger, ["1.2.3.9"])
    deliveries.note_made(ledger, ["1.2.3.9"])
    receive(ledger, a_header(series=9, modality="SR"), at=30)
    complete(ledger, at=60)

    assert len(result_rows(ledger)) == 1
    assert not work_rows(ledger, state=WorkState.PENDING)
