"""The overview: how many inputs, pieces of work and results there are, by state."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from medqueue.ledger import deliveries
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, reports, results, studies, work
from schemas.delivery import DeliveryState
from schemas.result import ResultKind, ResultStatus
from schemas.study import StudyState
from schemas.work import SHADOW_STAGES, Stage, WorkState


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts at one moment. Every state stands in them, with 0 where nothing is in it."""

    studies: dict[StudyState, int]
    reports: int
    work: dict[tuple[Stage, WorkState], int]
    results: dict[tuple[ResultKind, ResultStatus], int]
    refusals: dict[str, int]
    """What doors refused, by error code."""
    deliveries: dict[tuple[str, DeliveryState], int]
    """By destination."""
    waiting_seconds: dict[Stage, float]
    """For each stage, how long the longest-waiting due work has waited."""

    def work_in(self, state: WorkState) -> int:
        """Return how many pieces of work are in one state, those of shadows apart."""
        return sum(
            count
            for (stage, found), count in self.work.items()
            if found is state and stage not in SHADOW_STAGES
        )

    def longest_wait(self) -> float:
        """Return for how many seconds the longest-waiting due work has waited, shadows apart."""
        return max(
            seconds for stage, seconds in self.waiting_seconds.items() if stage not in SHADOW_STAGES
        )

    def results_with(self, status: ResultStatus) -> int:
        """Return how many results of both kinds have one status."""
        return sum(count for (_, found), count in self.results.items() if found is status)


def take_overview(ledger: Ledger, *, now: datetime) -> Overview:
    """Count everything, in one look at the ledger."""
    with ledger.read() as connection:
        work_counts = {(stage, state): 0 for stage in Stage for state in WorkState}
        for stage, state, count in _count(connection, work.c.stage, work.c.state):
            work_counts[Stage(stage), WorkState(state)] = count
        result_counts = {(kind, status): 0 for kind in ResultKind for status in ResultStatus}
        for kind, status, count in _count(connection, results.c.kind, results.c.status):
            result_counts[ResultKind(kind), ResultStatus(status)] = count
        study_counts = dict.fromkeys(StudyState, 0)
        for state, count in _count(connection, studies.c.state):
            study_counts[StudyState(state)] = count
        return Overview(
            studies=study_counts,
            reports=connection.execute(select(func.count()).select_from(reports)).scalar_one(),
            work=work_counts,
            results=result_counts,
            refusals=_refusals(connection),
            deliveries=deliveries.count_by_state(connection),
            waiting_seconds=_waiting_seconds(connection, now),
        )


def _count(connection: Connection, *columns: ColumnElement[str]) -> list[Any]:
    return list(connection.execute(select(*columns, func.count()).group_by(*columns)))


def _refusals(connection: Connection) -> dict[str, int]:
    refused = audit_events.c.action == "refused"
    found = connection.execute(
        select(audit_events.c.code, func.count()).where(refused).group_by(audit_events.c.code)
    )
    return {code or "refused": count for code, count in found}


def _waiting_seconds(connection: Connection, now: datetime) -> dict[Stage, float]:
    found = connection.execute(
        select(work.c.stage, func.min(work.c.next_try_at))
        .where(work.c.state == WorkState.PENDING, work.c.next_try_at <= now)
        .group_by(work.c.stage)
    )
    waiting = dict.fromkeys(Stage, 0.0)
    for stage, since in found:
        waiting[Stage(stage)] = (now - since).total_seconds()
    return waiting
