"""Audit events: what happened, when, by whom."""

from sqlalchemy import select

from builders import after, only
from medqueue.ledger import audit
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events


def test_an_event_says_who_did_what_to_what_and_when(ledger: Ledger) -> None:
    with ledger.write() as connection:
        audit.record(
            connection,
            now=after(1),
            actor="anna",
            action="requeue",
            subject_id="f" * 32,
            code="model",
            detail="why",
        )

    with ledger.read() as connection:
        row = only(connection.execute(select(audit_events)).all())
    assert row == (row.seq, after(1), "anna", "requeue", "f" * 32, "model", "why")


def test_events_are_numbered_and_a_number_never_comes_again(ledger: Ledger) -> None:
    def record() -> int:
        with ledger.write() as connection:
            audit.record(connection, now=after(0), actor="anna", action="x")
            statement = select(audit_events.c.seq).order_by(audit_events.c.seq.desc())
            return int(connection.execute(statement).scalars().first() or 0)

    first = record()
    with ledger.write() as connection:
        connection.execute(audit_events.delete())

    assert record() > first
