"""Planning: which models an input goes to, as work, or why it goes to no released one."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from medqueue import __version__
from medqueue.ledger import bell, models, results
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import instances, made_series, series, work
from schemas.acceptance import image_refusal, text_refusal
from schemas.identifiers import new_id
from schemas.manifest import Engine, Manifest
from schemas.result import ModelReference, Outcome, ResultError, ResultKind, ResultStatus
from schemas.study import Disposition
from schemas.work import SHADOW_STAGES, Priority, Stage, WorkState

ROUTER = "medqueue-router"
"""Stands as the model in a result that no model gave."""

_INSERT_WORK = insert(work)
_SERIES = (
    select(series.c.id)
    .where(
        series.c.study_id == bindparam("of_study"),
        # What we have sent to a PACS, and it has sent back, is no input.
        series.c.series_instance_uid.not_in(select(made_series.c.series_instance_uid)),
    )
    .order_by(series.c.id)
)
_KEPT = (
    select(instances, series.c.modality)
    .join(series, series.c.id == instances.c.series_id)
    .where(
        instances.c.series_id == bindparam("of_series"),
        instances.c.disposition == Disposition.KEPT,
    )
    .order_by(instances.c.instance_number, instances.c.sop_instance_uid)
)


def plan_studies(
    connection: Connection,
    completed: Mapping[str, Priority],
    *,
    max_attempts: int,
    now: datetime,
) -> None:
    """Create the work on each series of studies, or its `skipped` result when no model takes it.

    Planning again changes nothing unless the content has changed: the digest of the instances
    is part of the key of work and results.

    Results come after all work: appending one takes the lock of the feed, for which a worker may
    wait that has just changed the very row of work that is planned here again.

    Args:
        connection: the transaction that closes the studies.
        completed: their ids, and how urgent each is.
        max_attempts: how often work on them may be tried.
        now: the present time.
    """
    if not completed:
        return
    released, shadows = models.wanted(connection, ResultKind.IMAGE)
    skipped = []
    for study_id, priority in completed.items():
        found = connection.execute(_SERIES, {"of_study": study_id})
        for series_id in found.scalars().all():
            kept = kept_instances(connection, series_id)
            outcome = _plan_series(
                connection,
                series_id,
                kept,
                released,
                shadows,
                priority=priority,
                max_attempts=max_attempts,
                now=now,
            )
            if outcome is not None:
                skipped.append((series_id, digest_of(row.sha256 for row in kept), outcome))
    bell.ring(connection)
    for series_id, digest, outcome in skipped:
        results.append(connection, ResultKind.IMAGE, series_id, digest, outcome, now=now)


def raise_work(connection: Connection, study_id: str, *, priority: int) -> None:
    """Move the waiting work on a study to the queue of a higher priority.

    The message in the old queue stays; whoever comes first claims the work.
    """
    of_study = select(series.c.id).where(series.c.study_id == study_id)
    connection.execute(
        update(work)
        .where(
            work.c.subject_id.in_(of_study),
            work.c.state.in_([WorkState.PENDING, WorkState.RUNNING]),
            work.c.stage.not_in(SHADOW_STAGES),
        )
        .values(priority=priority, publications=0)
    )
    bell.ring(connection)


def _plan_series(
    connection: Connection,
    series_id: str,
    kept: Sequence[Row[Any]],
    released: Sequence[Manifest],
    shadows: Sequence[Manifest],
    *,
    priority: Priority,
    max_attempts: int,
    now: datetime,
) -> Outcome | None:
    """Create the work on one series; return the `skipped` outcome when no model takes it."""
    reasons = []
    planned = set()
    wanted = [
        *((Stage.PREPARE_SERIES, manifest, priority) for manifest in released),
        *((Stage.SHADOW_IMAGE, manifest, Priority.ROUTINE) for manifest in shadows),
    ]
    for stage, manifest, urgency in wanted:
        fitting, refusal = fitting_instances(manifest, kept)
        if fitting:
            digest = digest_of(row.sha256 for row in fitting)
            row = work_row(
                stage,
                series_id,
                digest,
                manifest,
                priority=urgency,
                max_attempts=max_attempts,
                now=now,
            )
            connection.execute(insert_if_new(connection, work), row)
            planned.add(stage)
        elif refusal is not None and stage is Stage.PREPARE_SERIES:
            reasons.append(_reason(manifest, refusal))
    if Stage.PREPARE_SERIES in planned:
        return None
    return Outcome(
        status=ResultStatus.SKIPPED,
        model=_router(released),
        sop_instance_uids=tuple(row.sop_instance_uid for row in kept),
        error=_no_model(reasons) if kept else _NO_KEPT_INSTANCE,
    )


def plan_reports(
    connection: Connection,
    new: Sequence[Mapping[str, Any]],
    *,
    max_attempts: int,
    now: datetime,
) -> None:
    """Create the work on new report texts, and a `skipped` result where no model reads one."""
    all_released, shadows = models.wanted(connection, ResultKind.TEXT)
    released = [m for m in all_released if m.engine is not Engine.COMPARISON]
    rows, skipped = [], []
    for report in new:
        refusals = [
            (manifest, text_refusal(manifest.accepts, language=report["language"]))
            for manifest in released
        ]
        fitting = [manifest for manifest, refusal in refusals if refusal is None]
        readers = [
            *((Stage.DIAGNOSE_REPORT, manifest, report["priority"]) for manifest in fitting),
            *(
                (Stage.SHADOW_REPORT, shadow, Priority.ROUTINE)
                for shadow in shadows
                if text_refusal(shadow.accepts, language=report["language"]) is None
            ),
        ]
        rows += [
            work_row(
                stage,
                report["id"],
                report["sha256"],
                manifest,
                priority=priority,
                max_attempts=max_attempts,
                now=now,
            )
            for stage, manifest, priority in readers
        ]
        if not fitting:
            reasons = [_reason(manifest, why) for manifest, why in refusals if why is not None]
            skipped.append((report, reasons))
    if rows:
        connection.execute(_INSERT_WORK, rows)
        bell.ring(connection)
    for report, reasons in skipped:
        outcome = Outcome(
            status=ResultStatus.SKIPPED, model=_router(released), error=_no_model(reasons)
        )
        results.append(
            connection, ResultKind.TEXT, report["id"], report["sha256"], outcome, now=now
        )


def kept_instances(connection: Connection, series_id: str) -> Sequence[Row[Any]]:
    """Return the instances of a series that count, in the order of the series."""
    return connection.execute(_KEPT, {"of_series": series_id}).all()


def fitting_instances(
    manifest: Manifest, rows: Sequence[Row[Any]]
) -> tuple[list[Row[Any]], ResultError | None]:
    """Return the instances a model was made for, and why the last of the others is not."""
    fitting, last_refusal = [], None
    for row in rows:
        refusal = image_refusal(
            manifest.accepts,
            modality=row.modality,
            sop_class_uid=row.sop_class_uid,
            body_part=row.body_part,
            view_position=row.view_position,
        )
        if refusal is None:
            fitting.append(row)
        else:
            last_refusal = refusal
    return fitting, last_refusal


def digest_of(digests: Iterable[str]) -> str:
    """Return one digest for a set of contents, whatever order they came in."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def work_row(
    stage: Stage,
    subject_id: str,
    digest: str,
    manifest: Manifest,
    *,
    priority: int,
    max_attempts: int,
    now: datetime,
) -> dict[str, Any]:
    """Return a new row of work."""
    return {
        "id": new_id(),
        "stage": stage,
        "subject_id": subject_id,
        "input_digest": digest,
        "model_name": manifest.name,
        "model_version": manifest.version,
        "state": WorkState.PENDING,
        "priority": priority,
        "max_attempts": max_attempts,
        "next_try_at": now,
        "created_at": now,
    }


_NO_KEPT_INSTANCE = ResultError(
    code="only-conflicts",
    detail="every object of this series conflicts with one that came before under the same UID",
)


def _reason(manifest: Manifest, refusal: ResultError) -> str:
    return f"{manifest.name} {manifest.version}: {refusal.detail}"


def _no_model(reasons: Iterable[str]) -> ResultError:
    listed = "; ".join(reasons) or "no model of this kind is released"
    return ResultError(code="no-model-applies", detail=listed)


def _router(considered: Sequence[Manifest]) -> ModelReference:
    names = "\n".join(f"{m.name} {m.version} {m.sha256}" for m in considered)
    return ModelReference(
        name=ROUTER,
        version=__version__,
        sha256=hashlib.sha256(names.encode()).hexdigest(),
        intended_use="Chooses the models for an input by its header; gives no diagnosis.",
    )
