"""Owed reports: each in one hand at a time, kept until it is heard."""

from builders import after
from medqueue.ledger import commitments
from medqueue.ledger.commitments import OwedReport
from medqueue.ledger.engine import Ledger

LEASE = 60.0


def owe(ledger: Ledger, ae: str = "CT1", *, at: float = 0) -> None:
    with ledger.write() as connection:
        commitments.owe(connection, ae, {"transaction_uid": f"1.{at}"}, now=after(at))


def take(ledger: Ledger, *aes: str, at: float) -> OwedReport | None:
    return commitments.take_due(ledger, aes or ("CT1",), lease_seconds=LEASE, now=after(at))


def test_a_report_is_in_one_hand_until_its_lease_runs_out(ledger: Ledger) -> None:
    owe(ledger)
    first = take(ledger, at=1)
    assert first is not None
    assert (first.calling_ae, first.content, first.attempts) == (
        "CT1",
        {"transaction_uid": "1.0"},
        1,
    )
    assert take(ledger, at=1 + LEASE - 0.1) is None
    again = take(ledger, at=1 + LEASE)
    assert again is not None
    assert (again.id, again.attempts) == (first.id, 2)


def test_a_report_that_is_heard_is_forgotten(ledger: Ledger) -> None:
    owe(ledger)
    taken = take(ledger, at=1)
    assert taken is not None
    commitments.settle(ledger, taken.id)
    assert take(ledger, at=1000) is None
    assert commitments.next_try_at(ledger, ["CT1"]) is None


def test_a_postponed_report_comes_again_at_its_time_and_the_oldest_first(ledger: Ledger) -> None:
    owe(ledger, at=0)
    owe(ledger, at=1)
    taken = take(ledger, at=2)
    assert taken is not None
    commitments.postpone(ledger, taken.id, until=after(10))
    following = take(ledger, at=2)
    assert following is not None
    assert following.created_at == after(1)
    assert commitments.next_try_at(ledger, ["CT1"]) == after(10)


def test_reports_to_peers_without_an_address_wait(ledger: Ledger) -> None:
    owe(ledger, "GONE")
    assert take(ledger, "CT1", "CT2", at=5) is None
    assert take(ledger, "GONE", at=5) is not None
