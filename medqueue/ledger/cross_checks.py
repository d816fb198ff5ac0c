"""Cross-checks: which results of images and of texts are to be compared, planned once each.

A report and a study that belong together are compared once for each image model and each rules
model that has read them, and again when the content on either side has changed. Networks that
read texts are left out: they cannot tell what a text denies from what it does not mention.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, or_, select

from medqueue.ledger import bell, linking, models, planning
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import reports, results, series, studies, work
from schemas.manifest import Engine, Manifest
from schemas.result import ResultKind, ResultStatus
from schemas.work import Stage, WorkState

_IMAGE_STAGES = (Stage.PREPARE_SERIES, Stage.DIAGNOSE_IMAGE)

# Built once, and asked first: most results have no partner, and every one comes by here. Looser
# than `linking`, which is asked next.
_MAY_BELONG = exists().where(
    or_(
        reports.c.study_instance_uid == studies.c.study_instance_uid,
        reports.c.accession_number == studies.c.accession_number,
    )
)
_REPORT_HAS_STUDY = select(_MAY_BELONG.where(reports.c.id == bindparam("subject")).correlate(None))
_SERIES_HAS_REPORT = select(
    _MAY_BELONG.where(
        studies.c.id == series.c.study_id, series.c.id == bindparam("subject")
    ).correlate(None)
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What one image model says of a study, and one rules model of its report."""

    report_id: str
    images: tuple[Row[Any], ...]
    """The results on the series of the study, one a series."""
    text: Row[Any]

    @property
    def digest(self) -> str:
        """Return what changes when either side does."""
        return planning.digest_of(
            f"{row.model_name} {row.model_version} {row.subject_id} {row.input_digest} {row.round}"
            for row in (*self.images, self.text)
        )


def plan_after(connection: Connection, done: Row[Any], *, now: datetime) -> None:
    """Plan the comparisons that the end of a piece of work makes possible.

    Called after its result was appended, so under the lock of the feed: of two results that end
    together, the second sees the first, and the pair is planned by one of them at least; the key
    of the work sees to it that it is by one at most.
    """
    if done.stage == Stage.CROSS_CHECK:
        return
    of_images = done.stage in _IMAGE_STAGES
    has_partner = _SERIES_HAS_REPORT if of_images else _REPORT_HAS_STUDY
    if not connection.execute(has_partner, {"subject": done.subject_id}).scalar():
        return
    checks = [
        manifest
        for manifest in models.released(connection, ResultKind.TEXT)
        if manifest.engine is Engine.COMPARISON
    ]
    if not checks:
        return
    for pair in _pairs_around(connection, done.subject_id, of_images=of_images):
        for manifest in checks:
            row = planning.work_row(
                Stage.CROSS_CHECK,
                pair.report_id,
                pair.digest,
                manifest,
                priority=done.priority,
                max_attempts=done.max_attempts,
                now=now,
            )
            connection.execute(insert_if_new(connection, work), row)
            bell.ring(connection)


def pairs_of_report(connection: Connection, report_id: str) -> list[Pair]:
    """Return what can be compared of a report now."""
    uids = [
        row.study_instance_uid
        for row in linking.studies_of_report(connection, report_id)
        if row.linked_by is not None and row.conflict is None
    ]
    found = connection.execute(select(studies.c.id).where(studies.c.study_instance_uid.in_(uids)))
    return [
        pair
        for study_id in found.scalars().all()
        for pair in _pairs(connection, report_id, study_id)
    ]


def _pairs_around(connection: Connection, subject_id: str, *, of_images: bool) -> list[Pair]:
    if not of_images:
        return pairs_of_report(connection, subject_id)
    study_id = connection.execute(
        select(series.c.study_id).where(series.c.id == subject_id)
    ).scalar_one()
    return [
        pair
        for row in linking.reports_of_study(connection, study_id)
        if row.linked_by is not None and row.conflict is None and not row.is_superseded
        for pair in _pairs(connection, row.id, study_id)
    ]


def _pairs(connection: Connection, report_id: str, study_id: str) -> Iterator[Pair]:
    texts = [
        row
        for row in _latest(connection, [report_id])
        if _manifest(connection, row).engine is Engine.RULES
    ]
    if not texts:
        return
    of_study = select(series.c.id).where(series.c.study_id == study_id)
    if _is_unfinished(connection, of_study):
        return  # the last series to end plans it, with all of them
    by_model: dict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
    for row in _latest(connection, connection.execute(of_study).scalars().all()):
        by_model[row.model_name, row.model_version].append(row)
    for images in by_model.values():
        for text in texts:
            yield Pair(report_id, tuple(images), text)


def _is_unfinished(connection: Connection, of_study: Any) -> bool:
    unfinished = exists().where(
        work.c.subject_id.in_(of_study),
        work.c.stage.in_(_IMAGE_STAGES),
        work.c.state.in_([WorkState.PENDING, WorkState.RUNNING]),
    )
    return bool(connection.execute(select(unfinished)).scalar())


def _latest(connection: Connection, subject_ids: Sequence[str]) -> list[Row[Any]]:
    """Return the newest diagnosis of each subject by each model, comparisons apart."""
    newest: dict[tuple[str, str], Row[Any]] = {}
    rows = connection.execute(
        select(results)
        .where(
            results.c.subject_id.in_(subject_ids),
            results.c.status.in_([ResultStatus.FINAL, ResultStatus.AMENDED]),
        )
        .order_by(results.c.seq)
    )
    for row in rows:
        newest[row.subject_id, row.model_name] = row
    return list(newest.values())


def _manifest(connection: Connection, row: Row[Any]) -> Manifest:
    return models.find(connection, row.model_name, row.model_version)
