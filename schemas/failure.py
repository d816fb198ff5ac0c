"""Failed work as an administrator sees it: what, where, why and when, without patient data."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from schemas.work import Stage, WorkState


class Failure(BaseModel):
    """One piece of work that a person may requeue or discard."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    id: str
    stage: Stage
    state: WorkState
    subject_id: str
    """Our id of the series or the report."""
    model_name: str
    model_version: str
    error_code: str | None
    error_detail: str | None
    attempts: int
    max_attempts: int
    round: int
    """How often a person has requeued it."""
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
