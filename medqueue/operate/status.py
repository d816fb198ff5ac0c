"""How the system is now: counts by state, queues, workers, doors, and what is stuck."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import Celery
from redis.exceptions import RedisError
from sqlalchemy import func, select

from medqueue.broker.routing import QUEUES, STAGES
from medqueue.ledger import completeness
from medqueue.ledger.engine import Ledger
from medqueue.ledger.patience import read_patience
from medqueue.ledger.tables import work
from medqueue.operate import data_folder, ports
from medqueue.operate.redis_client import connect
from medqueue.operate.workers_alive import alive
from medqueue.results.drift import drift_now
from medqueue.results.overview import Overview, take_overview
from medqueue.settings import Settings
from schemas.work import SHADOW_STAGES, Priority, Stage, WorkState

STUCK_SECONDS = 60.0
"""What should happen within a second or two and has not for so long needs a person."""


@dataclass(frozen=True, slots=True)
class WorkCount:
    """How much work there is of one stage, state and priority."""

    stage: Stage
    state: WorkState
    urgent: bool
    count: int


@dataclass(frozen=True, slots=True)
class Stuck:
    """Something that does not go on by itself."""

    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class Status:
    """The system at one moment."""

    overview: Overview
    work: tuple[WorkCount, ...]
    queues: dict[str, int] | None
    """Messages that wait in each queue; None where the broker does not answer."""
    workers: tuple[str, ...]
    runs_here: bool
    """Whether a `medqueue up` runs on the data folder."""
    doors: dict[str, bool]
    """Whether somebody listens on the port of each setting."""
    stuck: tuple[Stuck, ...]
    drifting: tuple[str, ...]
    """Models whose inputs of this week are unlike those they were validated on, and in what."""


@dataclass(frozen=True, slots=True)
class _Overdue:
    """What the ledger says should have happened before now."""

    stages: dict[Stage, float]
    """Stages with due work of which none was begun for long, and the longest wait in seconds."""
    leases: int
    studies: int


def take_status(settings: Settings, ledger: Ledger, app: Celery, *, now: datetime) -> Status:
    """Look at the ledger, the broker, the workers and the doors."""
    queues = _queue_depths(settings)
    workers = tuple(alive(app)) if queues is not None else ()
    doors = {
        name: ports.accepts_connections(settings, getattr(settings, name))
        for name in ports.PORT_SETTINGS
    }
    runs_here = data_folder.is_held(settings)
    overdue = _overdue(ledger, settings, now)
    reasons = [
        *(_closed_doors(settings, doors) if runs_here else ()),
        *_waiting_work(overdue, workers, broker_answers=queues is not None),
        *_silent_relay(overdue),
    ]
    return Status(
        overview=take_overview(ledger, now=now),
        work=_count_work(ledger),
        queues=queues,
        workers=workers,
        runs_here=runs_here,
        doors=doors,
        stuck=tuple(reasons),
        drifting=tuple(
            f"{manifest.name} {manifest.version}: {one.figure} ({one.psi:.2f})"
            for manifest, one in drift_now(ledger, now=now)
            if one.is_alarm
        ),
    )


def _queue_depths(settings: Settings) -> dict[str, int] | None:
    try:
        with connect(settings) as client:
            return {name: int(client.llen(name)) for name in QUEUES}
    except (RedisError, OSError):
        return None


def _count_work(ledger: Ledger) -> tuple[WorkCount, ...]:
    statement = (
        select(work.c.stage, work.c.state, work.c.priority, func.count())
        .group_by(work.c.stage, work.c.state, work.c.priority)
        .order_by(work.c.stage, work.c.state, work.c.priority.desc())
    )
    with ledger.read() as connection:
        return tuple(
            WorkCount(Stage(stage), WorkState(state), priority == Priority.URGENT, count)
            for stage, state, priority, count in connection.execute(statement)
        )


def _overdue(ledger: Ledger, settings: Settings, now: datetime) -> _Overdue:
    limit = now - timedelta(seconds=STUCK_SECONDS)
    waiting = (
        select(work.c.stage, func.min(work.c.next_try_at))
        .where(
            work.c.state == WorkState.PENDING,
            work.c.next_try_at < limit,
            work.c.stage.not_in(SHADOW_STAGES),  # they wait as long as others have work
        )
        .group_by(work.c.stage)
    )
    # A long queue whose workers keep taking from it is busy, not stuck.
    begun = select(work.c.stage).where(work.c.started_at >= limit).distinct()
    leases = select(func.count()).where(
        work.c.state == WorkState.RUNNING, work.c.lease_until < limit
    )
    patience = read_patience(settings)
    with ledger.read() as connection:
        taken = set(connection.execute(begun).scalars())
        return _Overdue(
            stages={
                Stage(stage): (now - since).total_seconds()
                for stage, since in connection.execute(waiting)
                if stage not in taken
            },
            leases=connection.execute(leases).scalar_one(),
            studies=completeness.count_due(connection, patience=patience, now=limit),
        )


def _closed_doors(settings: Settings, doors: dict[str, bool]) -> Iterator[Stuck]:
    logs = data_folder.logs_folder(settings)
    for name, is_open in doors.items():
        if not is_open:
            what = f"nobody answers on {name} {getattr(settings, name)}, though `medqueue up` runs"
            yield Stuck(what, f"it is started again by itself; if that goes on, see {logs}")


def _waiting_work(
    overdue: _Overdue, workers: tuple[str, ...], *, broker_answers: bool
) -> Iterator[Stuck]:
    for stage, seconds in overdue.stages.items():
        role = next(role for role, stages in STAGES.items() if stage in stages)
        what = f"{stage} has waited for {seconds:.0f} s and no worker takes it"
        if not broker_answers:
            yield Stuck(what, "Redis does not answer: start it, or run `medqueue up`")
        elif not any(name.startswith(f"{role}@") for name in workers):
            yield Stuck(
                what,
                f"no {role} worker answers: run `medqueue up`, or medqueue worker --role {role}",
            )
        else:
            yield Stuck(
                what,
                "workers answer but get nothing: see that the relay runs (medqueue serve relay)",
            )


def _silent_relay(overdue: _Overdue) -> Iterator[Stuck]:
    cure = "the relay does not run: run `medqueue up`, or medqueue serve relay"
    if overdue.leases:
        yield Stuck(f"{overdue.leases} pieces of work are held by workers that are gone", cure)
    if overdue.studies:
        yield Stuck(f"{overdue.studies} studies are quiet but not completed", cure)
