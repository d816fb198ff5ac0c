"""Dispatch: what the relay reads and marks - work to publish, leases that ran out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, func, not_, select, update

from medqueue.ledger import models, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.silence import publish_again_after
from medqueue.ledger.tables import work as work_table
from schemas.result import Outcome, ResultError, ResultStatus
from schemas.work import SEEN_STAGES, SHADOW_STAGES, Priority, Stage, WorkState, WorkToPublish

WORKER_LOST = ResultError(
    code="worker-lost",
    detail="every worker that tried this input died or went silent; "
    "requeue it once the cause is mended",
)


def take_unpublished(ledger: Ledger, *, limit: int, now: datetime) -> list[WorkToPublish]:
    """Mark due work that has no message in the broker as published, and return it, urgent first.

    Shadows come last, however old: after the broker was wiped, they may be many.
    """
    return _take(ledger, work_table.c.publications == 0, limit, now)


def take_silent(
    ledger: Ledger, *, stage: Stage, priority: Priority, limit: int, now: datetime
) -> list[WorkToPublish]:
    """Mark published work of one queue that nobody claimed as published again, and return it."""
    silent = and_(
        work_table.c.publications > 0,
        work_table.c.publish_after <= now,
        work_table.c.stage == stage,
        work_table.c.priority == priority,
    )
    return _take(ledger, silent, limit, now)


def unpublish(ledger: Ledger, ids: Sequence[str]) -> None:
    """Take back the mark from work whose message did not reach the broker."""
    with ledger.write(lasting=False) as connection:
        connection.execute(
            update(work_table)
            .where(work_table.c.id.in_(ids), work_table.c.state == WorkState.PENDING)
            .values(publications=0)
        )


def forget_publications(ledger: Ledger) -> int:
    """Mark all waiting work as unpublished: the broker has lost every message.

    Returns:
        How much work is to be published again.
    """
    with ledger.write(lasting=False) as connection:
        return connection.execute(
            update(work_table)
            .where(work_table.c.state == WorkState.PENDING, work_table.c.publications > 0)
            .values(publications=0)
        ).rowcount


def hasten_oldest(ledger: Ledger, *, older_than_seconds: float, now: datetime) -> int:
    """Make the oldest routine work urgent that has waited too long: one piece a stage at a time.

    Without it routine work would starve where urgent work never ends; with more than one at a
    time, an old backlog would stand before urgent work. Shadows may starve.

    Returns:
        How much work was hastened.
    """
    columns = work_table.c
    waits_long = and_(
        _is_due(now), columns.created_at < now - timedelta(seconds=older_than_seconds)
    )
    hastened = 0
    for stage in SEEN_STAGES:
        of_stage = and_(waits_long, columns.stage == stage)
        oldest = (
            select(columns.id, columns.priority)
            .where(of_stage)
            .order_by(columns.priority.desc(), columns.created_at)
            .limit(1)
        )
        with ledger.statement() as connection:
            found = connection.execute(oldest).one_or_none()
        if found is None or found.priority == Priority.URGENT:
            continue
        with ledger.write(lasting=False) as connection:
            hastened += connection.execute(
                update(work_table)
                .where(columns.id == found.id, of_stage)
                .values(priority=Priority.URGENT, publications=0)
            ).rowcount
    return hastened


def waiting(ledger: Ledger, *, now: datetime) -> dict[tuple[Stage, Priority], int]:
    """Count, for each queue, the due work that is said to have a message in the broker."""
    statement = (
        select(work_table.c.stage, work_table.c.priority, func.count())
        .where(_is_due(now), work_table.c.publications > 0)
        .group_by(work_table.c.stage, work_table.c.priority)
    )
    with ledger.statement() as connection:
        rows = connection.execute(statement).all()
    return {(Stage(stage), Priority(priority)): count for stage, priority, count in rows}


def end_expired_leases(ledger: Ledger, *, now: datetime) -> int:
    """Free the work of workers that died or went silent; fail what no attempt is left for.

    Returns:
        How many leases had run out.
    """
    expired = and_(work_table.c.state == WorkState.RUNNING, work_table.c.lease_until < now)
    with ledger.statement() as connection:
        any_expired = connection.execute(select(work_table.c.id).where(expired).limit(1)).first()
    if any_expired is None:
        return 0
    with ledger.write() as connection:
        # Rows that another relay or a door holds are left for the next sweep: two statements
        # that wait for each other's rows would be a deadlock.
        held = select(work_table.c.id).where(expired).with_for_update(skip_locked=True)
        taken = work_table.c.id.in_(connection.execute(held).scalars().all())
        attempts_left = work_table.c.attempts < work_table.c.max_attempts
        freed = connection.execute(
            update(work_table)
            .where(taken, attempts_left)
            .values(
                state=WorkState.PENDING,
                lease_until=None,
                publications=0,
                next_try_at=now,
                error_code=WORKER_LOST.code,
            )
        ).rowcount
        return freed + _fail(connection, and_(taken, not_(attempts_left)), now)


def _fail(connection: Connection, exhausted: ColumnElement[bool], now: datetime) -> int:
    rows = connection.execute(
        update(work_table)
        .where(exhausted)
        .values(
            state=WorkState.FAILED,
            lease_until=None,
            finished_at=now,
            error_code=WORKER_LOST.code,
            error_detail=WORKER_LOST.detail,
        )
        .returning(work_table)
    ).all()
    for row in rows:
        manifest = models.find(connection, row.model_name, row.model_version)
        outcome = Outcome(status=ResultStatus.FAILED, model=manifest.reference(), error=WORKER_LOST)
        work.append_result(connection, row, outcome, now=now)
    return len(rows)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return and_(work_table.c.state == WorkState.PENDING, work_table.c.next_try_at <= now)


def _take(
    ledger: Ledger, condition: ColumnElement[bool], limit: int, now: datetime
) -> list[WorkToPublish]:
    columns = work_table.c
    wanted = (
        select(columns.id, columns.stage, columns.priority, columns.publications)
        .where(_is_due(now), condition)
        .order_by(columns.stage.in_(SHADOW_STAGES), columns.priority.desc(), columns.created_at)
        .limit(limit)
    )
    with ledger.statement() as connection:
        if connection.execute(wanted.limit(1)).first() is None:
            return []
    with ledger.write(lasting=False) as connection:
        # Two relays share the rows out instead of publishing the same ones.
        rows = connection.execute(wanted.with_for_update(skip_locked=True)).all()
        for count in {row.publications for row in rows}:
            connection.execute(
                update(work_table)
                .where(columns.id.in_([row.id for row in rows if row.publications == count]))
                .values(publications=count + 1, publish_after=publish_again_after(count, now=now))
            )
    return [WorkToPublish(row.id, Stage(row.stage), Priority(row.priority)) for row in rows]
