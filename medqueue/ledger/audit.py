"""Audit events: what was refused, flagged, requeued or changed, and by whom."""

from datetime import datetime

from sqlalchemy import Connection, insert

from medqueue.ledger.tables import audit_events


def record(
    connection: Connection,
    *,
    now: datetime,
    actor: str,
    action: str,
    subject_id: str | None = None,
    code: str | None = None,
    detail: str | None = None,
) -> None:
    """Add one event; `detail` holds no patient data."""
    connection.execute(
        insert(audit_events).values(
            at=now,
            actor=actor,
            action=action,
            subject_id=subject_id,
            code=code,
            detail=detail,
        )
    )
