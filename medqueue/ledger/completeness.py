"""Completeness: a study is complete when nothing has arrived for the quiet time."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select, update

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


def complete_study(
    ledger: Ledger, study_id: str, *, quiet_seconds: float, max_attempts: int, now: datetime
) -> bool:
    """Complete one study if it is still quiet, and plan the work on its series.

    Returns:
        False if an instance has come in since `quiet_studies`, so that the study stays open.
    """
    with ledger.write() as connection:
        priority = connection.execute(
            update(studies)
            .where(studies.c.id == study_id, _is_quiet(quiet_seconds, now))
            .values(state=StudyState.COMPLETE, completed_at=now)
            .returning(studies.c.priority)
        ).scalar()
        if priority is None:
            return False
        planning.plan_study(
            connection, study_id, priority=priority, max_attempts=max_attempts, now=now
        )
    return True


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


def _is_quiet(quiet_seconds: float, now: datetime) -> ColumnElement[bool]:
    deadline = now - timedelta(seconds=quiet_seconds)
    return and_(studies.c.state == StudyState.RECEIVING, studies.c.last_instance_at <= deadline)
