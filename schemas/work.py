"""Work: what the ledger holds to be done, its states, and its names on the wire."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Stage(StrEnum):
    """The kinds of work. The value is what administrators see in queues and tables."""

    PREPARE_SERIES = "prepare-series"
    DIAGNOSE_IMAGE = "diagnose-image"
    DIAGNOSE_REPORT = "diagnose-report"
    CROSS_CHECK = "cross-check"
    SHADOW_IMAGE = "shadow-image"
    SHADOW_REPORT = "shadow-report"


SHADOW_STAGES = (Stage.SHADOW_IMAGE, Stage.SHADOW_REPORT)
"""What a version does beside the released one. Nobody waits for it: it comes after all other work,
and counts in no state, balance or backlog of inputs."""
SEEN_STAGES = tuple(stage for stage in Stage if stage not in SHADOW_STAGES)
"""All others."""


class Priority(IntEnum):
    """Urgent work overtakes any number of waiting routine work."""

    ROUTINE = 0
    URGENT = 1


class WorkState(StrEnum):
    """Where a piece of work stands."""

    PENDING = "pending"
    """Due at `next_try_at`; nobody works on it. A message for it may wait in the broker."""
    RUNNING = "running"
    """Claimed: one worker holds the lease until `lease_until`."""
    DONE = "done"
    """Ended with its result or its follow-up work, or superseded by work on more content."""
    FAILED = "failed"
    """Ended without; a `failed` result says why. It can be requeued or discarded."""
    DISCARDED = "discarded"
    """A failure that a person has put away."""


TRANSITIONS: dict[WorkState, frozenset[WorkState]] = {
    WorkState.PENDING: frozenset({WorkState.RUNNING, WorkState.FAILED}),
    WorkState.RUNNING: frozenset(
        {WorkState.RUNNING, WorkState.PENDING, WorkState.DONE, WorkState.FAILED}
    ),
    WorkState.DONE: frozenset({WorkState.PENDING}),
    WorkState.FAILED: frozenset({WorkState.PENDING, WorkState.DISCARDED}),
    WorkState.DISCARDED: frozenset({WorkState.PENDING}),
}
"""Which state may follow which.

`RUNNING` to `RUNNING` takes over a lease that ran out. `DONE` to `PENDING` opens the preparation
of a series again when a person requeues the diagnosis that came of it.
"""


TASK_NAMES: dict[Stage, str] = {
    Stage.PREPARE_SERIES: "medqueue.prepare_series",
    Stage.DIAGNOSE_IMAGE: "medqueue.diagnose_image",
    Stage.DIAGNOSE_REPORT: "medqueue.diagnose_report",
    Stage.CROSS_CHECK: "medqueue.cross_check",
    Stage.SHADOW_IMAGE: "medqueue.shadow_image",
    Stage.SHADOW_REPORT: "medqueue.shadow_report",
}
"""Celery task names: constants, so that files may move while messages wait."""


@dataclass(frozen=True, slots=True)
class WorkToPublish:
    """What the relay needs to ring the bell for one piece of work."""

    id: str
    stage: Stage
    priority: Priority


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on one piece of work. `fence` must still match when it finishes."""

    id: str
    stage: Stage
    subject_id: str
    input_digest: str
    model_name: str
    model_version: str
    artifact: str | None
    fence: int
    attempt: int
    max_attempts: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Work that a finished piece of work brings about, created in the same transaction."""

    stage: Stage
    model_name: str
    model_version: str
    artifact: str
