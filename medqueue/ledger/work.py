"""Work in a worker's hands: claim, heartbeat, finish, fail, give back. Each is fenced.

A claim hands out the row's next fencing number; every later statement asks for that number, so
that a worker whose lease ran out, and whose work another has taken, changes nothing.
"""

import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, update
from sqlalchemy.sql.dml import ReturningUpdate

from medqueue.errors import LeaseLostError
from medqueue.ledger import (
    bell,
    cross_checks,
    explanations,
    input_figures,
    results,
    shadow_results,
)
from medqueue.ledger import follow_up as next_stage
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import work
from schemas.result import Outcome, ResultKind
from schemas.work import SHADOW_STAGES, Claim, FollowUp, Stage, WorkState, WorkToPublish

_FIRST_RETRY_SECONDS = 1.0
"""Doubled at every attempt: long enough for a restart, short enough for a person who waits."""
_LONGEST_RETRY_SECONDS = 300.0
"""Twenty attempts may be set; doubled without end, the last would be tried after six days."""
_MAX_DOUBLINGS = 10
_JITTER = 0.25
LONGEST_PAUSE_SECONDS = _LONGEST_RETRY_SECONDS * (1 + _JITTER)
"""No work rests longer than that before its next try."""

KINDS: dict[Stage, ResultKind] = {
    Stage.PREPARE_SERIES: ResultKind.IMAGE,
    Stage.DIAGNOSE_IMAGE: ResultKind.IMAGE,
    Stage.DIAGNOSE_REPORT: ResultKind.TEXT,
    Stage.CROSS_CHECK: ResultKind.TEXT,
}


# Built once: to build a statement anew for each piece of work takes as long as to run it.
_CLAIM = (
    update(work)
    .where(
        work.c.id == bindparam("work_id"),
        work.c.state == WorkState.PENDING,
        work.c.next_try_at <= bindparam("now"),
    )
    .values(
        state=WorkState.RUNNING,
        fence=work.c.fence + 1,
        attempts=work.c.attempts + 1,
        lease_until=bindparam("until"),
        worker=bindparam("by"),
        started_at=bindparam("now"),
    )
    .returning(
        work.c.id,
        work.c.stage,
        work.c.subject_id,
        work.c.input_digest,
        work.c.model_name,
        work.c.model_version,
        work.c.artifact,
        work.c.fence,
        work.c.attempts,
        work.c.max_attempts,
    )
)
_HELD = (
    update(work)
    .where(
        work.c.id == bindparam("work_id"),
        work.c.state == WorkState.RUNNING,
        work.c.fence == bindparam("held_fence"),
    )
    .returning(
        work.c.stage,
        work.c.subject_id,
        work.c.input_digest,
        work.c.priority,
        work.c.max_attempts,
        work.c.round,
    )
)
"""The fence: matches nothing once another worker has the work."""
_RENEW = _HELD.values(lease_until=bindparam("until"))
_FINISH = _HELD.values(state=WorkState.DONE, finished_at=bindparam("now"), lease_until=None)
_FAIL = _HELD.values(
    state=WorkState.FAILED,
    finished_at=bindparam("now"),
    lease_until=None,
    error_code=bindparam("code"),
    error_detail=bindparam("detail"),
)
_GIVE_BACK = _HELD.values(
    state=WorkState.PENDING,
    lease_until=None,
    publications=0,
    next_try_at=bindparam("until"),
    error_code=bindparam("code"),
    error_detail=bindparam("detail"),
)


def claim(
    ledger: Ledger, work_id: str, *, worker: str, lease_seconds: float, now: datetime
) -> Claim | None:
    """Take a piece of due work, or return None: it is done, owned, or not yet due."""
    until = now + timedelta(seconds=lease_seconds)
    with ledger.statement() as connection:
        row = connection.execute(
            _CLAIM, {"work_id": work_id, "now": now, "until": until, "by": worker}
        ).one_or_none()
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
    with ledger.statement() as connection:
        _change(connection, claim, _RENEW, until=until)


def finish(
    ledger: Ledger,
    claim: Claim,
    *,
    outcome: Outcome | None = None,
    follow_up: FollowUp | None = None,
    now: datetime,
) -> WorkToPublish | None:
    """End the work with its result or its next stage, in one transaction.

    Returns:
        The next stage, for which the caller is to send a message.

    Raises:
        LeaseLostError: the work belongs to someone else by now; nothing was written.
    """
    # A result has readers, and must last; what a power cut undoes of the rest is done again.
    with ledger.write(lasting=outcome is not None) as connection:
        row = _change(connection, claim, _FINISH, now=now)
        following = None
        if follow_up is not None:
            following = next_stage.add(connection, row, follow_up, now=now)
        if outcome is not None:
            append_result(connection, row, outcome, now=now)
    return following


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
            _FAIL,
            now=now,
            code=error.code if error else None,
            detail=error.detail if error else None,
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
    pause *= random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    with ledger.write(lasting=False) as connection:
        _change(
            connection,
            claim,
            _GIVE_BACK,
            until=now + timedelta(seconds=pause),
            code=error_code,
            detail=error_detail,
        )
        bell.ring(connection)


def append_result(
    connection: Connection, row: Row[Any], outcome: Outcome, *, now: datetime
) -> None:
    """Append the result of a piece of work, and plan what it can be compared with.

    The end of its transaction, since it holds the lock of the feed. Of a shadow nothing is seen.
    """
    if row.stage in SHADOW_STAGES:
        shadow_results.append(connection, row, outcome, now=now)
        return
    for picture in outcome.pictures:
        explanations.keep(connection, picture, now=now)
    if outcome.figures is not None:
        model = outcome.model
        input_figures.record(connection, model.name, model.version, outcome.figures, now=now)
    results.append(
        connection,
        KINDS[Stage(row.stage)],
        row.subject_id,
        row.input_digest,
        outcome,
        now=now,
        round_=row.round,
    )
    cross_checks.plan_after(connection, row, now=now)


def _change(
    connection: Connection, claim: Claim, change: ReturningUpdate[Any], **values: Any
) -> Row[Any]:
    row = connection.execute(
        change, {"work_id": claim.id, "held_fence": claim.fence, **values}
    ).one_or_none()
    if row is None:
        raise LeaseLostError(
            f"work {claim.id}: the lease ran out and another worker has it; nothing was written"
        )
    return row
