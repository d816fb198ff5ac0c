"""Studies as readers see them: state, contents, work and results."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row, func, select

from medqueue.errors import NotFoundError
from medqueue.ledger import completeness, deliveries, linking
from medqueue.ledger.engine import Ledger
from medqueue.ledger.linking import LinkConflict, LinkedBy
from medqueue.ledger.tables import instances, series, studies, work
from medqueue.results.balance import Balance, take_balance
from medqueue.results.feed import results_of_reports, results_of_studies
from medqueue.results.history import Progress, WorkRecord, progress_of, work_records
from schemas.completeness import ClosedBy, Evidence, EvidenceKind
from schemas.delivery import Delivery
from schemas.identifiers import is_uid
from schemas.report import ReportStatus
from schemas.result import Result, ResultKind
from schemas.study import Disposition, StudyState
from schemas.work import SHADOW_STAGES, Priority


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InstanceCounts(_Value):
    """How many objects came, by what became of them."""

    kept: int = Field(description="Objects that count for the diagnosis.")
    conflict: int = Field(
        description="Objects with other content under a SOP Instance UID that was taken: "
        "stored, never diagnosed."
    )


class StudySummary(_Value):
    """One study, without its history."""

    id: str
    study_instance_uid: str
    patient_id: str | None
    patient_id_issuer: str | None
    accession_number: str | None
    calling_ae: str | None = Field(description="Application Entity that sent the first object.")
    urgent: bool
    state: StudyState
    progress: Progress
    received_at: datetime
    last_instance_at: datetime
    completed_at: datetime | None = Field(
        description="When it was closed; null while the study is receiving."
    )
    instances: InstanceCounts
    duplicates: int = Field(description="How often an object came again, bit by bit the same.")


class EvidenceRecord(_Value):
    """What one source has said last about how much of the study there is."""

    kind: EvidenceKind
    source: str = Field(description="AE title, name of a token, or address of an archive.")
    at: datetime
    times: int = Field(description="How often it has said something of this kind.")
    series_instance_uid: str | None = Field(description="Null: about the whole study.")
    instances: int | None
    series: int | None


class Completeness(_Value):
    """What closed the study, and what speaks for and against its being whole."""

    closed_by: ClosedBy | None = Field(description="Null while it is receiving.")
    is_proven: bool = Field(
        description="False where only time went by: it was closed without proof."
    )
    evidence: tuple[EvidenceRecord, ...]


class SeriesHistory(_Value):
    """One series of a study and the work on it."""

    series_instance_uid: str
    modality: str | None
    received_at: datetime
    instances: InstanceCounts
    work: tuple[WorkRecord, ...]


class LinkedReport(_Value):
    """A report that belongs to this study, or may belong to it."""

    id: str
    report_id: str | None
    version: int
    status: ReportStatus | None
    is_superseded: bool = Field(description="Whether a later version of it has come.")
    linked_by: LinkedBy | None = Field(description="Null where it is not joined, for a conflict.")
    conflict: LinkConflict | None = Field(description="Why a person should look at the two.")


class StudyHistory(StudySummary):
    """One study with everything that has happened to it."""

    completeness: Completeness
    balance: Balance
    series: tuple[SeriesHistory, ...]
    reports: tuple[LinkedReport, ...] = Field(
        description="The reports that are joined to it, and those in conflict with it."
    )
    results: tuple[Result, ...] = Field(
        description="As in the feed, oldest first: on its images and on the reports joined to it."
    )
    deliveries: tuple[Delivery, ...] = Field(
        description="Where its results were sent, oldest first."
    )


def find_study(ledger: Ledger, study_instance_uid: str) -> StudyHistory:
    """Return one study with its history.

    Raises:
        NotFoundError: no object of such a study was accepted.
    """
    found = None
    with ledger.read() as connection:
        if is_uid(study_instance_uid):
            found = connection.execute(
                select(studies).where(studies.c.study_instance_uid == study_instance_uid)
            ).one_or_none()
        if found is None:
            raise NotFoundError("no study is known under this Study Instance UID")
        summary = _summarise(connection, [found])[0]
        linked = tuple(
            LinkedReport.model_validate(dict(report._mapping))  # noqa: SLF001 - its public name
            for report in linking.reports_of_study(connection, found.id)
        )
        results = _results_of(connection, study_instance_uid, linked)
        known = completeness.open_study(connection, found)
        return StudyHistory(
            **dict(summary),
            completeness=_completeness_of(found, known.evidence),
            balance=take_balance(connection, found, known, _on_images(results)),
            series=_series_of(connection, found.id),
            reports=linked,
            results=results,
            deliveries=tuple(deliveries.of_study(connection, study_instance_uid)),
        )


def list_studies(
    ledger: Ledger, *, state: StudyState | None = None, after: str | None = None, limit: int
) -> tuple[list[StudySummary], str | None]:
    """Return studies, the newest first, and the cursor of the next page, None on the last."""
    statement = select(studies).order_by(studies.c.id.desc()).limit(limit + 1)
    if state is not None:
        statement = statement.where(studies.c.state == state)
    if after is not None:
        statement = statement.where(studies.c.id < after)
    with ledger.read() as connection:
        rows = connection.execute(statement).all()
        page = _summarise(connection, rows[:limit])
    return page, page[-1].id if len(rows) > limit else None


def _summarise(connection: Connection, rows: Sequence[Row[Any]]) -> list[StudySummary]:
    ids = [row.id for row in rows]
    counts = connection.execute(
        select(series.c.study_id, instances.c.disposition, func.count())
        .join(instances, instances.c.series_id == series.c.id)
        .where(series.c.study_id.in_(ids))
        .group_by(series.c.study_id, instances.c.disposition)
    ).all()
    states = connection.execute(
        select(series.c.study_id, work.c.state)
        .join(work, work.c.subject_id == series.c.id)
        .where(series.c.study_id.in_(ids), work.c.stage.not_in(SHADOW_STAGES))
        .distinct()
    ).all()
    return [
        StudySummary(
            id=row.id,
            study_instance_uid=row.study_instance_uid,
            patient_id=row.patient_id,
            patient_id_issuer=row.patient_id_issuer,
            accession_number=row.accession_number,
            calling_ae=row.calling_ae,
            urgent=row.priority == Priority.URGENT,
            state=row.state,
            progress=Progress.RECEIVING
            if row.state == StudyState.RECEIVING
            else progress_of(state for study_id, state in states if study_id == row.id),
            received_at=row.received_at,
            last_instance_at=row.last_instance_at,
            completed_at=row.completed_at if row.state == StudyState.COMPLETE else None,
            instances=_count({kind: n for study_id, kind, n in counts if study_id == row.id}),
            duplicates=row.duplicates,
        )
        for row in rows
    ]


def _results_of(
    connection: Connection, study_instance_uid: str, linked: Sequence[LinkedReport]
) -> tuple[Result, ...]:
    """Return the results on a study, also on reports that came before it and named no study."""
    joined = [report.id for report in linked if report.linked_by is not None]
    found = results_of_studies(connection, [study_instance_uid])[study_instance_uid]
    for results in results_of_reports(connection, joined).values():
        found += results
    return tuple({result.seq: result for result in sorted(found, key=_seq)}.values())


def _completeness_of(row: Row[Any], evidence: Sequence[Evidence]) -> Completeness:
    is_closed = row.state == StudyState.COMPLETE and row.closed_by is not None
    closed_by = ClosedBy(row.closed_by) if is_closed else None
    return Completeness(
        closed_by=closed_by,
        is_proven=closed_by is not None and closed_by.is_proof,
        evidence=tuple(
            EvidenceRecord(
                kind=one.kind,
                source=one.source,
                at=one.at,
                times=one.times,
                series_instance_uid=one.series_instance_uid,
                instances=one.instances,
                series=one.series,
            )
            for one in evidence
        ),
    )


def _on_images(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.kind is ResultKind.IMAGE]


def _seq(result: Result) -> int:
    return result.seq


def _series_of(connection: Connection, study_id: str) -> tuple[SeriesHistory, ...]:
    rows = connection.execute(
        select(series).where(series.c.study_id == study_id).order_by(series.c.id)
    ).all()
    counts = connection.execute(
        select(instances.c.series_id, instances.c.disposition, func.count())
        .join(series, series.c.id == instances.c.series_id)
        .where(series.c.study_id == study_id)
        .group_by(instances.c.series_id, instances.c.disposition)
    ).all()
    work_on = work_records(connection, [row.id for row in rows])
    return tuple(
        SeriesHistory(
            series_instance_uid=row.series_instance_uid,
            modality=row.modality,
            received_at=row.received_at,
            instances=_count({kind: n for series_id, kind, n in counts if series_id == row.id}),
            work=work_on[row.id],
        )
        for row in rows
    )


def _count(by_disposition: dict[str, int]) -> InstanceCounts:
    return InstanceCounts(
        kept=by_disposition.get(Disposition.KEPT, 0),
        conflict=by_disposition.get(Disposition.CONFLICT, 0),
    )
