"""Work in a worker's hands: claim, heartbeat, finish, fail, give back. Each is fenced.

A claim hands out the row's next fencing number; every later statement asks for that number, so
that a worker whose lease ran out, and whose work another has taken, changes nothing.
"""

import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Update, insert, select, update

from medqueue.errors import LeaseLostError
from medqueue.ledger import bell, results
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import work
from schemas.identifiers import new_id
from schemas.result import Outcome, ResultKind
from schemas.work import Claim, FollowUp, Stage, WorkState

_FIRST_RETRY_SECONDS = 1.0
"""Doubled at every attempt: long enough for a restart, short enough for a person who waits."""
_LONGEST_RETRY_SECONDS = 300.0
"""Twenty attempts may be set; doubled without end, the last would be tried after six days."""
_MAX_DOUBLINGS = 10
_JITTER = 0.25
LONGEST_PAUSE_SECONDS = _LONGEST_RETRY_SECONDS * (1 + _JITTER)
"""No work rests longer than that before its next try."""

CAN_REOPEN = [WorkState.FAILED, WorkState.DISCARDED]
"""Work that a person has requeued may be opened again from these; never what is in hand."""

KINDS: dict[Stage, ResultKind] = {
    Stage.PREPARE_SERIES: ResultKind.IMAGE,
    Stage.DIAGNOSE_IMAGE: ResultKind.IMAGE,
    Stage.DIAGNOSE_REPORT: ResultKind.TEXT,
}


def claim(
    ledger: Ledger, work_id: str, *, worker: str, lease_seconds: float, now: datetime
) -> Claim | None:
    """Take a piece of due work, or return None: it is done, owned, or not yet due."""
    statement = (
        update(work)
        .where(
            work.c.id == work_id,
            work.c.state == WorkState.PENDING,
            work.c.next_try_at <= now,
        )
        .values(
            state=WorkState.RUNNING,
            fence=work.c.fence + 1,
            attempts=work.c.attempts + 1,
            lease_until=now + timedelta(seconds=lease_seconds),
            worker=worker,
            started_at=now,
        )
        .returning(work)
    )
    with ledger.write(lasting=False) as connection:
        row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return Claim(
        id=row.id,
        stage=Stage(row.stage),
        subject_id=row.subject_id,
        input_digest=row.input_digest,
        model_name=row.model_name,
        model_version=row.model_version,
        artifact=row.artifact,
        fence=row.fence,
        attempt=row.attempts,
        max_attempts=row.max_attempts,
        lease_seconds=lease_seconds,
    )


def renew(ledger: Ledger, claim: Claim, *, now: datetime) -> None:
    """Prolong the lease.

    Raises:
        LeaseLostError: the work belongs to someone else by now.
    """
    until = now + timedelta(seconds=claim.lease_seconds)
    with ledger.write(lasting=False) as connection:
        _change(connection, claim, update(work).values(lease_until=until))


def finish(
    ledger: Ledger,
    claim: Claim,
    *,
    outcome: Outcome | None = None,
    follow_up: FollowUp | None = None,
    now: datetime,
) -> None:
    """End the work with its result or its follow-up work, in one transaction.

    Raises:
        LeaseLostError: the work belongs to someone else by now; nothing was written.
    """
    # A result has readers, and must last; what a power cut undoes of the rest is done again.
    with ledger.write(lasting=outcome is not None) as connection:
        row = _change(
            connection,
            claim,
            update(work).values(state=WorkState.DONE, finished_at=now, lease_until=None),
        )
        if follow_up is not None:
            _add_follow_up(connection, row, follow_up, now)
        if outcome is not None:
            append_result(connection, row, outcome, now=now)


def fail(ledger: Ledger, claim: Claim, outcome: Outcome, *, now: datetime) -> None:
    """End the work as failed, with a `failed` result that says why.

    Raises:
        LeaseLostError: the work belongs to someone else by now; nothing was written.
    """
    with ledger.write() as connection:
        error = outcome.error
        row = _change(
            connection,
            claim,
            update(work).values(
                state=WorkState.FAILED,
                finished_at=now,
                lease_until=None,
                error_code=error.code if error else None,
                error_detail=error.detail if error else None,
            ),
        )
        append_result(connection, row, outcome, now=now)


def give_back(
    ledger: Ledger, claim: Claim, *, error_code: str, error_detail: str, now: datetime
) -> None:
    """Let the work be tried again after a pause that doubles with every attempt.

    Raises:
        LeaseLostError: the work belongs to someone else by now; nothing was written.
    """
    doublings = min(claim.attempt - 1, _MAX_DOUBLINGS)
    pause = min(_FIRST_RETRY_SECONDS * 2**doublings, _LONGEST_RETRY_SECONDS)
    # Jitter: what failed together must not come back together. Not a secret, so plain random.
    pause *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
    with ledger.write(lasting=False) as connection:
        _change(
            connection,
            claim,
            update(work).values(
                state=WorkState.PENDING,
                lease_until=None,
                publications=0,
                next_try_at=now + timedelta(seconds=pause),
                error_code=error_code,
                error_detail=error_detail,
            ),
        )
        bell.ring(connection)


def append_result(
    connection: Connection, row: Row[Any], outcome: Outcome, *, now: datetime
) -> None:
    """Append the result of a piece of work; the last statement of its transaction."""
    results.append(
        connection,
        KINDS[Stage(row.stage)],
        row.subject_id,
        row.input_digest,
        outcome,
        now=now,
        round_=row.round,
    )


def _change(connection: Connection, claim: Claim, change: Update) -> Row[Any]:
    row = connection.execute(
        change.where(
            work.c.id == claim.id,
            work.c.state == WorkState.RUNNING,
            work.c.fence == claim.fence,
        ).returning(work)
    ).one_or_none()
    if row is None:
        raise LeaseLostError(
            f"work {claim.id}: the lease ran out and another worker has it; nothing was written"
        )
    return row


def _add_follow_up(
    connection: Connection, row: Row[Any], follow_up: FollowUp, now: datetime
) -> None:
    """Add the next stage. After a requeue its row exists: then it is opened for a new round."""
    key = (
        (work.c.subject_id == row.subject_id)
        & (work.c.stage == follow_up.stage)
        & (work.c.input_digest == row.input_digest)
        & (work.c.model_name == follow_up.model_name)
        & (work.c.model_version == follow_up.model_version)
    )
    fresh = {
        "artifact": follow_up.artifact,
        "state": WorkState.PENDING,
        "priority": row.priority,
        "round": row.round,
        "attempts": 0,
        "publications": 0,
        "next_try_at": now,
        "finished_at": None,
        "error_code": None,
        "error_detail": None,
    }
    found = connection.execute(select(work.c.id).where(key)).scalar()
    if found is None:
        connection.execute(
            insert(work).values(
                id=new_id(),
                stage=follow_up.stage,
                subject_id=row.subject_id,
                input_digest=row.input_digest,
                model_name=follow_up.model_name,
                model_version=follow_up.model_version,
                max_attempts=row.max_attempts,
                created_at=now,
                **fresh,
            )
        )
    else:
        connection.execute(update(work).where(key, work.c.state.in_(CAN_REOPEN)).values(fresh))
    bell.ring(connection)
