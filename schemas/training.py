"""A queued training: what the ledger keeps of it, and its name on the wire."""

from dataclasses import dataclass
from datetime import datetime

from schemas.work import WorkState

TRAINING_TASK = "medqueue.train"
"""Celery task name; its one argument is the opaque id of the training."""


@dataclass(frozen=True, slots=True)
class TrainingClaim:
    """A worker's hold on one training. `fence` must still match when it ends."""

    id: str
    folder: str
    """Of the package."""
    started_in: str
    """Where the training was queued: paths in its configuration are relative to it."""
    fence: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class QueuedTraining:
    """Where a queued training stands."""

    id: str
    state: WorkState
    folder: str
    attempts: int
    worker: str | None
    error_code: str | None
    error_detail: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
