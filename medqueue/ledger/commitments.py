"""Reports of storage commitment that are owed to a peer: kept until it has heard them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import commitment_reports
from schemas.identifiers import new_id

_table = commitment_reports


@dataclass(frozen=True, slots=True)
class OwedReport:
    """One report, held by whoever delivers it now."""

    id: str
    calling_ae: str
    content: dict[str, Any]
    attempts: int
    """With this one."""
    created_at: datetime


def owe(connection: Connection, calling_ae: str, content: dict[str, Any], *, now: datetime) -> None:
    """Keep a report that is due at once."""
    connection.execute(
        insert(_table).values(
            id=new_id(), calling_ae=calling_ae, content=content, next_try_at=now, created_at=now
        )
    )


def take_due(
    ledger: Ledger, calling_aes: Collection[str], *, lease_seconds: float, now: datetime
) -> OwedReport | None:
    """Take the report that has been due longest; nobody else gets it for the time of the lease."""
    with ledger.write() as connection:
        oldest = (
            select(_table.c.id)
            .where(_is_for(calling_aes), _table.c.next_try_at <= now)
            .order_by(_table.c.next_try_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(oldest).scalar()
        if found is None:
            return None
        row = connection.execute(
            update(_table)
            .where(_table.c.id == found)
            .values(
                attempts=_table.c.attempts + 1,
                next_try_at=now + timedelta(seconds=lease_seconds),
            )
            .returning(_table)
        ).one()
    return OwedReport(row.id, row.calling_ae, row.content, row.attempts, row.created_at)


def postpone(ledger: Ledger, report_id: str, *, until: datetime) -> None:
    """Let a report be tried again, not before then."""
    with ledger.write(lasting=False) as connection:
        connection.execute(update(_table).where(_table.c.id == report_id).values(next_try_at=until))


def settle(ledger: Ledger, report_id: str) -> None:
    """Forget a report: its peer has heard it, or is given up."""
    with ledger.write() as connection:
        connection.execute(delete(_table).where(_table.c.id == report_id))


def next_try_at(ledger: Ledger, calling_aes: Collection[str]) -> datetime | None:
    """Return when the next report to some peers is due, or None if none is owed."""
    with ledger.read() as connection:
        found: datetime | None = connection.execute(
            select(func.min(_table.c.next_try_at)).where(_is_for(calling_aes))
        ).scalar()
    return found


def _is_for(calling_aes: Collection[str]) -> ColumnElement[bool]:
    return _table.c.calling_ae.in_(calling_aes)
