"""Completeness: a study is complete when nothing has arrived for the quiet time."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from medqueue.ledger import planning
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import studies
from schemas.study import StudyState


def quiet_studies(ledger: Ledger, *, quiet_seconds: float, now: datetime) -> list[str]:
    """Return the ids of open studies that have been quiet long enough, the first hundred.

    Urgent ones come first: after a pause of the relay hundreds may be quiet at once.
    """
    statement = (
        select(studies.c.id)
        .where(_is_quiet(quiet_seconds, now))
        .order_by(studies.c.priority.desc(), studies.c.last_instance_at)
        .limit(100)
    )
    with ledger.read() as connection:
        return list(connection.execute(statement).scalars())


def complete_studies(
    ledger: Ledger, ids: Sequence[str], *, quiet_seconds: float, max_attempts: int, now: datetime
) -> list[str]:
    """Complete the studies that are still quiet, and plan the work on their series.

    On SQLite in one transaction, so that the disk is asked once. On PostgreSQL, which syncs for
    many at once by itself, in one each: there two relays could wait for each other's studies.

    Returns:
        Those that are complete now; the others stay open, since an instance has come in.
    """
    groups = [list(ids)] if ledger.is_sqlite else [[study_id] for study_id in ids]
    completed = []
    for group in groups:
        with ledger.write() as connection:
            completed += [
                study_id
                for study_id in group
                if _complete(connection, study_id, quiet_seconds, max_attempts, now)
            ]
    return completed


def seconds_until_next(ledger: Ledger, *, quiet_seconds: float, now: datetime) -> float | None:
    """Return how long until the next open study may be complete, or None if none is open."""
    with ledger.read() as connection:
        oldest: datetime | None = connection.execute(
            select(func.min(studies.c.last_instance_at)).where(
                studies.c.state == StudyState.RECEIVING
            )
        ).scalar()
    if oldest is None:
        return None
    return max(0.0, (oldest + timedelta(seconds=quiet_seconds) - now).total_seconds())


def _complete(
    connection: Connection, study_id: str, quiet_seconds: float, max_attempts: int, now: datetime
) -> bool:
    priority = connection.execute(
        update(studies)
        .where(studies.c.id == study_id, _is_quiet(quiet_seconds, now))
        .values(state=StudyState.COMPLETE, completed_at=now)
        .returning(studies.c.priority)
    ).scalar()
    if priority is None:
        return False
    planning.plan_study(connection, study_id, priority=priority, max_attempts=max_attempts, now=now)
    return True


def _is_quiet(quiet_seconds: float, now: datetime) -> ColumnElement[bool]:
    deadline = now - timedelta(seconds=quiet_seconds)
    return and_(studies.c.state == StudyState.RECEIVING, studies.c.last_instance_at <= deadline)
