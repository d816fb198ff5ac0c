"""Failures: work that ended without a diagnosis, for a person to requeue or to put away."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, exists, select, update

from medqueue.errors import NotFoundError, TransitionError
from medqueue.ledger import audit, bell
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import work
from schemas.failure import Failure
from schemas.work import TRANSITIONS, Stage, WorkState

_COLUMNS = [work.c[name] for name in Failure.model_fields]

_OPENED = work.alias("opened")

_IS_OPEN_FAILURE = and_(
    work.c.state == WorkState.FAILED,
    # A diagnosis whose series is being prepared again has been requeued; it stays as it is
    # until the new preparation opens it.
    ~exists().where(
        _OPENED.c.subject_id == work.c.subject_id,
        _OPENED.c.stage == Stage.PREPARE_SERIES,
        _OPENED.c.input_digest == work.c.input_digest,
        _OPENED.c.model_name == work.c.model_name,
        _OPENED.c.model_version == work.c.model_version,
        _OPENED.c.round > work.c.round,
    ),
)


def list_failures(ledger: Ledger, limit: int) -> list[Failure]:
    """Return the failures that wait for a decision, the newest first."""
    statement = (
        select(*_COLUMNS)
        .where(_IS_OPEN_FAILURE)
        .order_by(work.c.finished_at.desc(), work.c.id)
        .limit(limit)
    )
    with ledger.read() as connection:
        rows = connection.execute(statement).mappings().all()
    return [Failure.model_validate(dict(row)) for row in rows]


def show_failure(ledger: Ledger, failure_id: str) -> Failure:
    """Return one piece of work, in whatever state it is by now.

    Raises:
        NotFoundError: there is no such work.
    """
    with ledger.read() as connection:
        statement = select(*_COLUMNS).where(work.c.id == failure_id)
        row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise _not_found(failure_id)
    return Failure.model_validate(dict(row))


def requeue(ledger: Ledger, ids: Sequence[str] | None, *, actor: str, now: datetime) -> list[str]:
    """Open failed or discarded work for a new round: all of it, or none if one cannot be.

    A diagnosis starts again from the preparation of its series, since the file between the two
    may be gone.

    Args:
        ledger: where the work is.
        ids: which work; None is every failure that `list_failures` knows.
        actor: who wants it.
        now: when.

    Returns:
        The ids of the work that is open now.

    Raises:
        NotFoundError: there is no such work.
        TransitionError: it is neither failed nor discarded, or on its way again already.
    """
    with ledger.write() as connection:
        wanted = _IS_OPEN_FAILURE if ids is None else work.c.id.in_(ids)
        # In one order, so that two people who requeue at once do not wait for each other.
        statement = select(work).where(wanted).order_by(work.c.id).with_for_update()
        rows = connection.execute(statement).all()
        missing = set(ids or ()) - {row.id for row in rows}
        if missing:
            raise _not_found(min(missing))
        opened = []
        for row in rows:
            first = _first_stage(connection, row)
            _require(first, WorkState.PENDING)
            _open(connection, first, round_=max(first.round, row.round) + 1, now=now)
            audit.record(
                connection,
                now=now,
                actor=actor,
                action="requeue",
                subject_id=first.id,
                code=row.error_code,
            )
            opened.append(str(first.id))
        if opened:
            bell.ring(connection)
    return opened


def discard(ledger: Ledger, failure_id: str, *, actor: str, now: datetime) -> None:
    """Put a failure away; its `failed` result stays.

    Raises:
        NotFoundError: there is no such work.
        TransitionError: it has not failed.
    """
    with ledger.write() as connection:
        row = connection.execute(
            select(work).where(work.c.id == failure_id).with_for_update()
        ).one_or_none()
        if row is None:
            raise _not_found(failure_id)
        _require(row, WorkState.DISCARDED)
        connection.execute(
            update(work).where(work.c.id == failure_id).values(state=WorkState.DISCARDED)
        )
        audit.record(
            connection,
            now=now,
            actor=actor,
            action="discard",
            subject_id=failure_id,
            code=row.error_code,
        )


def _first_stage(connection: Connection, row: Row[Any]) -> Row[Any]:
    """Return the work that must run first for this work to be done again, locked.

    Raises:
        TransitionError: the row itself has not failed.
    """
    if row.state not in {WorkState.FAILED, WorkState.DISCARDED}:
        raise _wrong_state(row)
    if row.stage != Stage.DIAGNOSE_IMAGE:
        return row
    statement = (
        select(work)
        .where(
            work.c.subject_id == row.subject_id,
            work.c.stage == Stage.PREPARE_SERIES,
            work.c.input_digest == row.input_digest,
            work.c.model_name == row.model_name,
            work.c.model_version == row.model_version,
        )
        .with_for_update()
    )
    return connection.execute(statement).one_or_none() or row


def _open(connection: Connection, row: Row[Any], *, round_: int, now: datetime) -> None:
    connection.execute(
        update(work)
        .where(work.c.id == row.id)
        .values(
            state=WorkState.PENDING,
            round=round_,
            attempts=0,
            publications=0,
            next_try_at=now,
            finished_at=None,
            error_code=None,
            error_detail=None,
        )
    )


def _require(row: Row[Any], target: WorkState) -> None:
    if target not in TRANSITIONS[WorkState(row.state)] or row.state == WorkState.RUNNING:
        raise _wrong_state(row)


def _wrong_state(row: Row[Any]) -> TransitionError:
    return TransitionError(
        f"work {row.id} is {row.state}; only what has failed can be requeued or discarded, "
        "see: medqueue failures list"
    )


def _not_found(failure_id: str) -> NotFoundError:
    return NotFoundError(f"there is no work {failure_id}; see: medqueue failures list")
