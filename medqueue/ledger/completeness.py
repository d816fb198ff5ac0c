"""Completeness: finds the open studies that may be complete, and closes those that are."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, exists, func, or_, select, update

from medqueue.ledger import evidence, planning
from medqueue.ledger.closing import OpenStudy, judge
from medqueue.ledger.engine import Ledger
from medqueue.ledger.patience import Patience
from medqueue.ledger.tables import instances, series, studies
from schemas.study import StudyState
from schemas.work import Priority

# Built once: to build them anew for each study takes as long as to run them.
_IS_DUE = and_(
    studies.c.state == StudyState.RECEIVING,
    or_(
        and_(studies.c.due_at.is_(None), studies.c.last_instance_at <= bindparam("quiet_since")),
        studies.c.due_at <= bindparam("now"),
    ),
)
_ANY_DUE = select(exists().where(_IS_DUE))
_TAKE_DUE = (
    select(studies)
    .where(_IS_DUE)
    # Urgent ones first: after a pause of the relay hundreds may be quiet at once.
    .order_by(studies.c.priority.desc(), studies.c.last_instance_at)
    .limit(bindparam("limit"))
    # One that a door or another relay holds comes another time: it must not hold up the others.
    .with_for_update(skip_locked=True)
)
_COUNT_DUE = select(func.count()).select_from(studies).where(_IS_DUE)
_NEXT = select(
    func.min(studies.c.last_instance_at).filter(studies.c.due_at.is_(None)),
    func.min(studies.c.due_at),
).where(studies.c.state == StudyState.RECEIVING)
_COUNT_INSTANCES = (
    select(
        series.c.series_instance_uid,
        series.c.modality,
        func.count(instances.c.sop_instance_uid.distinct()),
    )
    .join(instances, instances.c.series_id == series.c.id)
    .where(series.c.study_id == bindparam("study_id"))
    .group_by(series.c.series_instance_uid, series.c.modality)
)
_THIS = update(studies).where(studies.c.id == bindparam("study_id"))
_WAIT = _THIS.values(due_at=bindparam("look_at"))
_CLOSE = _THIS.values(
    state=StudyState.COMPLETE,
    completed_at=bindparam("now"),
    closed_by=bindparam("by"),
    due_at=None,
)


def count_due(connection: Connection, *, patience: Patience, now: datetime) -> int:
    """Return how many open studies are to be judged."""
    return connection.execute(_COUNT_DUE, _moments(patience, now)).scalar_one()


def complete_studies(
    ledger: Ledger, *, patience: Patience, max_attempts: int, limit: int, now: datetime
) -> list[str]:
    """Judge the studies that are due, complete those that are, and plan the work on them.

    In one transaction, so that the disk is asked once; without one where nothing is due.

    Args:
        ledger: where studies are.
        patience: how long which study is waited for.
        max_attempts: of the work.
        limit: studies to judge; who comes too late for it is judged by the next call.
        now: the present time.

    Returns:
        The ids of those that are complete now; the others stay open.
    """
    moments = _moments(patience, now)
    with ledger.statement() as connection:
        if not connection.execute(_ANY_DUE, moments).scalar():
            return []
    with ledger.write() as connection:
        due = connection.execute(_TAKE_DUE, {"limit": limit, **moments}).all()
        completed = [row for row in due if _is_closed(connection, row, patience, now)]
        planning.plan_studies(
            connection,
            {row.id: Priority(row.priority) for row in completed},
            max_attempts=max_attempts,
            now=now,
        )
    return [row.id for row in completed]


def look_again(ledger: Ledger) -> None:
    """Have every open study judged anew: when a relay starts, its quiet times may be others."""
    with ledger.write() as connection:
        connection.execute(
            update(studies)
            .where(studies.c.state == StudyState.RECEIVING, studies.c.due_at.is_not(None))
            .values(due_at=None)
        )


def seconds_until_next(ledger: Ledger, *, patience: Patience, now: datetime) -> float | None:
    """Return how long until the next open study is to be judged, or None if none is open."""
    shortest = timedelta(seconds=patience.shortest)
    with ledger.statement() as connection:
        oldest, due = connection.execute(_NEXT).one()
    moments = [due] if due is not None else []
    moments += [oldest + shortest] if oldest is not None else []
    return max(0.0, (min(moments) - now).total_seconds()) if moments else None


def open_study(connection: Connection, row: Row[Any]) -> OpenStudy:
    """Return what is known about the completeness of a row of `studies`."""
    found = connection.execute(_COUNT_INSTANCES, {"study_id": row.id})
    return OpenStudy(
        calling_ae=row.calling_ae,
        last_instance_at=row.last_instance_at,
        series={uid: (modality, count) for uid, modality, count in found},
        evidence=evidence.of_study(connection, row.study_instance_uid),
    )


def _is_closed(connection: Connection, row: Row[Any], patience: Patience, now: datetime) -> bool:
    """Close the study if it is complete, else note when to look again."""
    verdict = judge(open_study(connection, row), patience, now)
    if verdict.closed_by is None:
        connection.execute(_WAIT, {"study_id": row.id, "look_at": verdict.look_at})
        return False
    connection.execute(_CLOSE, {"study_id": row.id, "now": now, "by": verdict.closed_by})
    return True


def _moments(patience: Patience, now: datetime) -> dict[str, datetime]:
    return {"now": now, "quiet_since": now - timedelta(seconds=patience.shortest)}
