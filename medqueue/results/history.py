"""The history of one input: its pieces of work, and where it stands because of them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row, select

from medqueue.ledger.tables import work
from schemas.result import ResultError
from schemas.work import SHADOW_STAGES, Priority, Stage, WorkState


class Progress(StrEnum):
    """Where an input stands, all of its work together."""

    RECEIVING = "receiving"
    """More may arrive; nothing is planned yet."""
    WAITING = "waiting"
    """At least one piece of work waits for a worker, and none runs."""
    RUNNING = "running"
    """A worker has it."""
    FAILED = "failed"
    """All work has ended, some of it without a diagnosis."""
    DONE = "done"
    """All work has ended well, or no model applies."""


class ModelVersion(BaseModel):
    """Which version of which model the work is for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str


class WorkRecord(BaseModel):
    """One piece of work on an input, as the ledger has it now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(description="What `medqueue failures show` takes.")
    stage: Stage
    state: WorkState
    model: ModelVersion
    urgent: bool
    attempts: int = Field(description="How often a worker has begun it.")
    max_attempts: int
    created_at: datetime
    next_try_at: datetime | None = Field(description="When it is due; null once it has ended.")
    started_at: datetime | None = Field(description="Start of the last attempt.")
    finished_at: datetime | None
    error: ResultError | None = Field(description="Why the last attempt did not succeed.")


def work_records(
    connection: Connection, subject_ids: Sequence[str]
) -> dict[str, tuple[WorkRecord, ...]]:
    """Return the work on each of some series or reports, oldest first; of shadows none."""
    rows = connection.execute(
        select(work)
        .where(work.c.subject_id.in_(subject_ids), work.c.stage.not_in(SHADOW_STAGES))
        .order_by(work.c.created_at, work.c.id)
    ).all()
    return {
        subject: tuple(_to_record(row) for row in rows if row.subject_id == subject)
        for subject in subject_ids
    }


def _to_record(row: Row[Any]) -> WorkRecord:
    """Return what readers may see of a row of work."""
    error = None
    if row.error_code is not None and row.state != WorkState.DONE:
        error = ResultError(code=row.error_code, detail=row.error_detail or "")
    return WorkRecord(
        id=row.id,
        stage=row.stage,
        state=row.state,
        model=ModelVersion(name=row.model_name, version=row.model_version),
        urgent=row.priority == Priority.URGENT,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        created_at=row.created_at,
        next_try_at=row.next_try_at if row.state == WorkState.PENDING else None,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=error,
    )


def progress_of(states: Iterable[str]) -> Progress:
    """Return where an input stands whose work is in these states."""
    seen = {WorkState(state) for state in states}
    if WorkState.RUNNING in seen:
        return Progress.RUNNING
    if WorkState.PENDING in seen:
        return Progress.WAITING
    if WorkState.FAILED in seen:
        return Progress.FAILED
    return Progress.DONE
