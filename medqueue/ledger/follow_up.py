"""The next stage of a piece of work, recorded in the transaction that ends the present one."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, update

from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.silence import publish_again_after
from medqueue.ledger.tables import work
from schemas.identifiers import new_id
from schemas.work import FollowUp, Priority, WorkState, WorkToPublish

CAN_REOPEN = [WorkState.FAILED, WorkState.DISCARDED]
"""Work that a person has requeued may be opened again from these; never what is in hand."""

_REOPEN = (
    update(work)
    .where(
        work.c.subject_id == bindparam("of_subject"),
        work.c.stage == bindparam("of_stage"),
        work.c.input_digest == bindparam("of_digest"),
        work.c.model_name == bindparam("of_model"),
        work.c.model_version == bindparam("of_version"),
        work.c.state.in_(CAN_REOPEN),
    )
    .returning(work.c.id)
)


def add(
    connection: Connection, ended: Row[Any], follow_up: FollowUp, *, now: datetime
) -> WorkToPublish | None:
    """Add the next stage, as published: the worker that ended this one sends its message.

    Should it die before it has, the work is silent, and the relay publishes it again. After a
    requeue the row of the next stage exists: then it is opened for a new round.

    Args:
        connection: the transaction that ends the present stage.
        ended: the row of the present stage.
        follow_up: the next stage.
        now: the present time.

    Returns:
        What to publish once the transaction is over; None if the next stage is in hand or done.
    """
    fresh = {
        "artifact": follow_up.artifact,
        "state": WorkState.PENDING,
        "priority": ended.priority,
        "round": ended.round,
        "attempts": 0,
        "publications": 1,
        "publish_after": publish_again_after(0, now=now),
        "next_try_at": now,
        "finished_at": None,
        "error_code": None,
        "error_detail": None,
    }
    row = {
        "id": new_id(),
        "stage": follow_up.stage,
        "subject_id": ended.subject_id,
        "input_digest": ended.input_digest,
        "model_name": follow_up.model_name,
        "model_version": follow_up.model_version,
        "max_attempts": ended.max_attempts,
        "created_at": now,
        **fresh,
    }
    if connection.execute(insert_if_new(connection, work), row).rowcount == 1:
        return WorkToPublish(row["id"], follow_up.stage, Priority(ended.priority))
    key = {
        "of_subject": ended.subject_id,
        "of_stage": follow_up.stage,
        "of_digest": ended.input_digest,
        "of_model": follow_up.model_name,
        "of_version": follow_up.model_version,
    }
    reopened = connection.execute(_REOPEN.values(fresh), key).scalar()
    if reopened is None:
        return None
    return WorkToPublish(reopened, follow_up.stage, Priority(ended.priority))
