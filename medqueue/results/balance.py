"""The balance of a study: what came, what was expected, what became of each object, and why.

It adds up: received = processed + waiting + failed + excluded + duplicate + conflicting.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row, func, select

from medqueue.errors import NotFoundError
from medqueue.ledger import deliveries, models, planning
from medqueue.ledger.closing import OpenStudy, expectation
from medqueue.ledger.tables import instances, series, work
from schemas.manifest import Manifest
from schemas.result import Result, ResultStatus
from schemas.study import Disposition, StudyState
from schemas.work import SHADOW_STAGES, WorkState

_OPEN = frozenset({WorkState.PENDING, WorkState.RUNNING})


class Fate(StrEnum):
    """What became of an object that counts. Of several models the first of these holds."""

    PROCESSED = "processed"
    """A model's result stands on it."""
    WAITING = "waiting"
    """The study is still open, or work on it is."""
    FAILED = "failed"
    """Work on it has failed."""
    EXCLUDED = "excluded"
    """No model takes it."""


class SetAside(BaseModel):
    """Objects without a diagnosis that share a reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fate: Fate
    code: str
    detail: str
    instances: int


class Balance(BaseModel):
    """received = processed + waiting + failed + excluded + duplicate + conflicting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    received: int = Field(description="Objects that a door has accepted, repetitions too.")
    expected: int | None = Field(
        description="Different objects that there are, as far as somebody has said; "
        "null where nobody has."
    )
    missing: int | None = Field(description="How many of the expected ones have not come.")
    processed: int
    waiting: int
    failed: int
    excluded: int
    duplicate: int = Field(description="The very same object again.")
    conflicting: int = Field(
        description="Other content under a SOP Instance UID that was taken: kept, not diagnosed."
    )
    reasons: tuple[SetAside, ...] = Field(description="Why objects failed or were excluded.")


def take_balance(
    connection: Connection, study: Row[Any], known: OpenStudy, results: Sequence[Result]
) -> Balance:
    """Count what became of the objects of a row of `studies`.

    Args:
        connection: the transaction that read all the rest.
        study: the row.
        known: what is known about its completeness.
        results: those on its images, oldest first.
    """
    fates: Counter[Fate] = Counter()
    reasons: Counter[tuple[Fate, str, str]] = Counter()
    is_open = study.state == StudyState.RECEIVING
    for one in connection.execute(select(series).where(series.c.study_id == study.id)):
        made_here = deliveries.is_made(connection, one.series_instance_uid)
        of_series = [r for r in results if r.series_instance_uid == one.series_instance_uid]
        judge = _SeriesJudge(connection, one.id, of_series, is_open=is_open)
        for row in planning.kept_instances(connection, one.id):
            fate, code, detail = _MADE_HERE if made_here else judge.fate_of(row)
            fates[fate] += 1
            if fate in {Fate.FAILED, Fate.EXCLUDED}:
                reasons[fate, code, detail] += 1
    conflicting = _count_conflicts(connection, study.id)
    expected = expectation(known)
    return Balance(
        received=fates.total() + conflicting + study.duplicates,
        expected=None if expected is None else known.received + expected.missing,
        missing=None if expected is None else expected.missing,
        processed=fates[Fate.PROCESSED],
        waiting=fates[Fate.WAITING],
        failed=fates[Fate.FAILED],
        excluded=fates[Fate.EXCLUDED],
        duplicate=study.duplicates,
        conflicting=conflicting,
        reasons=tuple(
            SetAside(fate=fate, code=code, detail=detail, instances=count)
            for (fate, code, detail), count in sorted(reasons.items())
        ),
    )


_MADE_HERE = (
    Fate.EXCLUDED,
    "made-here",
    "medqueue made it of a result and sent it to an archive, which has sent it back",
)


class _SeriesJudge:
    """Says what became of each object of one series, from its work and results."""

    def __init__(
        self, connection: Connection, series_id: str, results: Sequence[Result], *, is_open: bool
    ) -> None:
        self._is_open = is_open
        self._newest: Mapping[tuple[str, str], Result] = {
            (result.model.name, result.model.version): result for result in results
        }
        self._used = {
            model: frozenset(result.sop_instance_uids)
            for model, result in self._newest.items()
            if result.error is None
        }
        self._newest_of_all = results[-1] if results else None
        self._manifests: list[Manifest] = []
        found = connection.execute(
            select(work.c.model_name, work.c.model_version, work.c.state).where(
                work.c.subject_id == series_id, work.c.stage.not_in(SHADOW_STAGES)
            )
        ).all()
        for name, version in sorted({(name, version) for name, version, _ in found}):
            try:
                self._manifests.append(models.find(connection, name, version))
            except NotFoundError:
                continue  # a model that was taken off this ledger by hand
        self._busy = {(name, version) for name, version, state in found if state in _OPEN}

    def fate_of(self, row: Row[Any]) -> tuple[Fate, str, str]:
        """Return what became of an object, with the code and detail of the reason."""
        fates = [self._fate_by(manifest, row) for manifest in self._manifests]
        if not fates and self._newest_of_all is not None and self._newest_of_all.error is not None:
            error = self._newest_of_all.error
            fates = [(Fate.EXCLUDED, error.code, error.detail)]
        order = list(Fate)
        best = min(fates, key=lambda fate: order.index(fate[0]), default=(Fate.WAITING, "", ""))
        still_comes = self._is_open and best[0] is Fate.EXCLUDED
        return (Fate.WAITING, "", "") if still_comes else best

    def _fate_by(self, manifest: Manifest, row: Row[Any]) -> tuple[Fate, str, str]:
        name = f"{manifest.name} {manifest.version}"
        _, refusal = planning.fitting_instances(manifest, [row])
        if refusal is not None:
            return Fate.EXCLUDED, refusal.code, f"{name}: {refusal.detail}"
        model = (manifest.name, manifest.version)
        result = self._newest.get(model)
        if row.sop_instance_uid in self._used.get(model, ()):
            return Fate.PROCESSED, "", ""
        if result is None or self._is_open or model in self._busy:
            return Fate.WAITING, "", ""
        if result.error is None:
            return Fate.EXCLUDED, "left-out", f"{name}: its result does not use this object"
        fate = Fate.FAILED if result.status is ResultStatus.FAILED else Fate.EXCLUDED
        return fate, result.error.code, f"{name}: {result.error.detail}"


def _count_conflicts(connection: Connection, study_id: str) -> int:
    return connection.execute(
        select(func.count())
        .select_from(instances.join(series, series.c.id == instances.c.series_id))
        .where(series.c.study_id == study_id, instances.c.disposition == Disposition.CONFLICT)
    ).scalar_one()
