"""Queued trainings: rows with a state and a fenced lease, as work has, but without a result.

A training whose worker died is taken up by another; it goes on from its own checkpoint.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update

from medqueue.errors import ConfigurationError, LeaseLostError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import trainings
from schemas.training import QueuedTraining, TrainingClaim
from schemas.work import WorkState

MAX_ATTEMPTS = 3
"""A training that took its worker with it so often, by its memory say, would do so again."""
_PUBLISH_AGAIN_SECONDS = 30.0
"""A message that is lost is sent again after so long; one too many does no harm."""
_OPEN = (WorkState.PENDING, WorkState.RUNNING)


def add(ledger: Ledger, id_: str, *, folder: str, started_in: str, now: datetime) -> None:
    """Queue a training.

    Raises:
        ConfigurationError: one into the same folder waits or runs.
    """
    same = select(trainings.c.id).where(trainings.c.folder == folder, trainings.c.state.in_(_OPEN))
    with ledger.write() as connection:
        found = connection.execute(same).scalar()
        if found is not None:
            raise ConfigurationError(f"{folder}: training {found} into it waits or runs already")
        connection.execute(
            insert(trainings).values(
                id=id_,
                folder=folder,
                started_in=started_in,
                state=WorkState.PENDING,
                created_at=now,
            )
        )


def claim(
    ledger: Ledger, id_: str, *, worker: str, lease_seconds: float, now: datetime
) -> TrainingClaim | None:
    """Take a waiting training, or return None: it has ended, or somebody has it."""
    statement = (
        update(trainings)
        .where(trainings.c.id == id_, trainings.c.state == WorkState.PENDING)
        .values(
            state=WorkState.RUNNING,
            fence=trainings.c.fence + 1,
            attempts=trainings.c.attempts + 1,
            lease_until=now + timedelta(seconds=lease_seconds),
            worker=worker,
            started_at=now,
        )
        .returning(trainings.c.folder, trainings.c.started_in, trainings.c.fence)
    )
    with ledger.write() as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return TrainingClaim(id_, row.folder, row.started_in, row.fence, lease_seconds)


def renew(ledger: Ledger, claim: TrainingClaim, *, now: datetime) -> None:
    """Prolong the lease.

    Raises:
        LeaseLostError: the training belongs to someone else by now.
    """
    _change(ledger, claim, lease_until=now + timedelta(seconds=claim.lease_seconds))


def finish(ledger: Ledger, claim: TrainingClaim, *, now: datetime) -> None:
    """End the training: its package is written."""
    _change(ledger, claim, state=WorkState.DONE, finished_at=now, lease_until=None)


def fail(ledger: Ledger, claim: TrainingClaim, *, code: str, detail: str, now: datetime) -> None:
    """End the training without a package."""
    _change(
        ledger,
        claim,
        state=WorkState.FAILED,
        finished_at=now,
        lease_until=None,
        error_code=code,
        error_detail=detail,
    )


def take_due(ledger: Ledger, *, now: datetime) -> list[str]:
    """Mark trainings that wait without a fresh message as published, and return their ids.

    A training whose lease ran out waits again, or has failed after so many attempts.
    """
    with ledger.statement() as connection:
        is_open = trainings.c.state.in_(_OPEN)
        if not connection.execute(select(exists().where(is_open))).scalar():
            return []
    silent = trainings.c.published_at.is_(None) | (
        trainings.c.published_at < now - timedelta(seconds=_PUBLISH_AGAIN_SECONDS)
    )
    due = (
        update(trainings)
        .where(trainings.c.state == WorkState.PENDING, silent)
        .values(published_at=now)
        .returning(trainings.c.id)
    )
    with ledger.write() as connection:
        _end_expired_leases(connection, now)
        return list(connection.execute(due).scalars())


def _end_expired_leases(connection: Connection, now: datetime) -> None:
    expired = update(trainings).where(
        trainings.c.state == WorkState.RUNNING, trainings.c.lease_until < now
    )
    connection.execute(
        expired.where(trainings.c.attempts >= MAX_ATTEMPTS).values(
            state=WorkState.FAILED,
            error_code="worker-lost",
            error_detail="every worker that tried it died: see its log, and its memory",
            finished_at=now,
            lease_until=None,
        )
    )
    connection.execute(expired.values(state=WorkState.PENDING, lease_until=None, published_at=None))


def everything(ledger: Ledger) -> list[QueuedTraining]:
    """Return all queued trainings, the newest first."""
    columns = [trainings.c[name] for name in QueuedTraining.__dataclass_fields__]
    with ledger.read() as connection:
        rows = connection.execute(select(*columns).order_by(trainings.c.created_at.desc())).all()
    return [QueuedTraining(**{**row._mapping, "state": WorkState(row.state)}) for row in rows]  # noqa: SLF001 - SQLAlchemy's own public name for it


def _change(ledger: Ledger, claim: TrainingClaim, **values: Any) -> None:
    held = update(trainings).where(
        trainings.c.id == claim.id,
        trainings.c.state == WorkState.RUNNING,
        trainings.c.fence == claim.fence,
    )
    with ledger.write() as connection:
        if connection.execute(held.values(**values)).rowcount != 1:
            raise LeaseLostError(f"training {claim.id} is in other hands by now")
