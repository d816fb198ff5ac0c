"""Report texts as readers see them: state, versions, work and results."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row, Select, select

from medqueue.errors import NotFoundError
from medqueue.ledger import linking
from medqueue.ledger.engine import Ledger
from medqueue.ledger.linking import LinkConflict, LinkedBy
from medqueue.ledger.tables import reports, work
from medqueue.results.documents import KeptDocument, documents_of_report
from medqueue.results.feed import results_of_reports
from medqueue.results.history import Progress, WorkRecord, progress_of, work_records
from schemas.report import ReportStatus
from schemas.result import Result
from schemas.work import SHADOW_STAGES, Priority

# Not the text: who lists or polls reports should not carry it about.
_COLUMNS = [
    column for column in reports.c if column.name not in {"text", "sha256", "study_instance_uid"}
]
_SELECTION: Select[Any] = select(
    *_COLUMNS, linking.study_uid_of_report().label("study_instance_uid")
)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReportSummary(_Value):
    """One version of a report, without its text and history."""

    id: str = Field(description="Ours, as `POST /reports` answered.")
    report_id: str | None = Field(description="The sender's, if it gave one.")
    version: int = Field(description="Above 1 for a correction under the same `report_id`.")
    language: str | None
    source: str = Field(description="The door it came through.")
    study_instance_uid: str | None = Field(
        description="As the sender gave it, or of the one study that the report is joined to."
    )
    patient_id: str | None
    patient_id_issuer: str | None
    accession_number: str | None
    status: ReportStatus | None = Field(
        description="What its author says of this version: `preliminary`, `final`, `corrected`."
    )
    urgent: bool
    state: Progress
    received_at: datetime


class ReportVersion(_Value):
    """Another version of the same report."""

    id: str
    version: int
    status: ReportStatus | None
    received_at: datetime


class LinkedStudy(_Value):
    """A study that this report belongs to, or may belong to."""

    study_instance_uid: str
    linked_by: LinkedBy | None = Field(description="Null where it is not joined, for a conflict.")
    conflict: LinkConflict | None = Field(description="Why a person should look at the two.")


class ReportHistory(ReportSummary):
    """One version of a report with everything that has happened to it."""

    versions: tuple[ReportVersion, ...] = Field(description="All of this report, oldest first.")
    studies: tuple[LinkedStudy, ...] = Field(
        description="The studies that it is joined to, and those in conflict with it."
    )
    documents: tuple[KeptDocument, ...] = Field(
        description="What came beside the text, at `/reports/{id}/documents/{number}`."
    )
    work: tuple[WorkRecord, ...]
    results: tuple[Result, ...] = Field(description="As in the feed, oldest first.")


def find_report(ledger: Ledger, report_id: str) -> ReportHistory:
    """Return one report with its history, by our id or the sender's, then its newest version.

    Raises:
        NotFoundError: no report was accepted under this id.
    """
    with ledger.read() as connection:
        row = _find(connection, report_id)
        summary = _summarise(connection, [row])[0]
        return ReportHistory(
            **dict(summary),
            versions=_versions_of(connection, row),
            studies=tuple(
                LinkedStudy.model_validate(dict(study._mapping))  # noqa: SLF001 - its public name
                for study in linking.studies_of_report(connection, row.id)
            ),
            documents=tuple(documents_of_report(connection, row.id)),
            work=work_records(connection, [row.id])[row.id],
            results=tuple(results_of_reports(connection, [row.id])[row.id]),
        )


def read_text(ledger: Ledger, id_: str) -> str:
    """Return the text of one report exactly as it was submitted, by our id.

    Raises:
        NotFoundError: no report was accepted under this id.
    """
    with ledger.read() as connection:
        row = _find(connection, id_)
        statement = select(reports.c.text).where(reports.c.id == row.id)
        text: str = connection.execute(statement).scalar_one()
    return text


def list_reports(
    ledger: Ledger, *, after: str | None = None, limit: int
) -> tuple[list[ReportSummary], str | None]:
    """Return reports, the newest first, and the cursor of the next page, None on the last."""
    statement = _SELECTION.order_by(reports.c.id.desc()).limit(limit + 1)
    if after is not None:
        statement = statement.where(reports.c.id < after)
    with ledger.read() as connection:
        rows = connection.execute(statement).all()
        page = _summarise(connection, rows[:limit])
    return page, page[-1].id if len(rows) > limit else None


def _find(connection: Connection, report_id: str) -> Row[Any]:
    # PostgreSQL refuses a NUL in a text; no report can have such an id.
    if "\x00" not in report_id:
        ours = _SELECTION.where(reports.c.id == report_id)
        theirs = (
            _SELECTION.where(reports.c.report_id == report_id)
            .order_by(reports.c.version.desc())
            .limit(1)
        )
        for statement in (ours, theirs):
            found = connection.execute(statement).one_or_none()
            if found is not None:
                return found
    raise NotFoundError("no report is known under this id")


def _summarise(connection: Connection, rows: Sequence[Row[Any]]) -> list[ReportSummary]:
    states = connection.execute(
        select(work.c.subject_id, work.c.state)
        .where(work.c.subject_id.in_([row.id for row in rows]), work.c.stage.not_in(SHADOW_STAGES))
        .distinct()
    ).all()
    return [
        ReportSummary(
            id=row.id,
            report_id=row.report_id,
            version=row.version,
            language=row.language,
            source=row.source,
            study_instance_uid=row.study_instance_uid,
            patient_id=row.patient_id,
            patient_id_issuer=row.patient_id_issuer,
            accession_number=row.accession_number,
            status=row.status,
            urgent=row.priority == Priority.URGENT,
            state=progress_of(state for subject_id, state in states if subject_id == row.id),
            received_at=row.received_at,
        )
        for row in rows
    ]


def _versions_of(connection: Connection, row: Row[Any]) -> tuple[ReportVersion, ...]:
    if row.report_id is None:
        return (_version(row),)
    found = connection.execute(
        select(reports.c.id, reports.c.version, reports.c.status, reports.c.received_at)
        .where(reports.c.report_id == row.report_id)
        .order_by(reports.c.version)
    )
    return tuple(_version(each) for each in found)


def _version(row: Any) -> ReportVersion:
    return ReportVersion(
        id=row.id, version=row.version, status=row.status, received_at=row.received_at
    )
