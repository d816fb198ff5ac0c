"""Intake of report texts: the record without which a door may not say 'accepted'."""

import hashlib
from datetime import datetime

from sqlalchemy import Connection, insert, select

from medqueue.errors import IdempotencyConflictError
from medqueue.ledger import planning
from medqueue.ledger.tables import reports
from schemas.identifiers import new_id
from schemas.report import ReportSubmission, guess_language
from schemas.work import Priority


def record_report(
    connection: Connection,
    submission: ReportSubmission,
    *,
    source: str,
    idempotency_key: str | None,
    max_attempts: int,
    now: datetime,
) -> str:
    """Record a report text and the work on it; return its id.

    The same report id or idempotency key with the same content is the same report: its id comes
    back and nothing changes. A report id with other content is a correction, the next version.

    Raises:
        IdempotencyConflictError: the idempotency key came before with other content, or the
            report id on another patient's order.
    """
    digest = hashlib.sha256(submission.model_dump_json().encode()).hexdigest()
    if idempotency_key is not None:
        same_key = connection.execute(
            select(reports.c.id, reports.c.sha256).where(
                reports.c.idempotency_key == idempotency_key
            )
        ).one_or_none()
        if same_key is not None:
            if same_key.sha256 != digest:
                raise IdempotencyConflictError(
                    "this Idempotency-Key came before with other content; use a new key"
                )
            return str(same_key.id)
    version = 1
    if submission.report_id is not None:
        latest = connection.execute(
            select(
                reports.c.id,
                reports.c.sha256,
                reports.c.version,
                reports.c.patient_id,
                reports.c.accession_number,
            )
            .where(reports.c.report_id == submission.report_id)
            .order_by(reports.c.version.desc())
            .limit(1)
        ).one_or_none()
        if latest is not None:
            if latest.sha256 == digest:
                return str(latest.id)
            _require_same_report(
                (submission.patient_id, latest.patient_id),
                (submission.accession_number, latest.accession_number),
            )
            version = latest.version + 1
    row = {
        "id": new_id(),
        "report_id": submission.report_id,
        "version": version,
        "accession_number": submission.accession_number,
        "study_instance_uid": submission.study_instance_uid,
        "patient_id": submission.patient_id,
        "language": submission.language or guess_language(submission.text),
        "text": submission.text,
        "sha256": digest,
        "source": source,
        "priority": Priority.URGENT if submission.urgent else Priority.ROUTINE,
        "idempotency_key": idempotency_key,
        "received_at": now,
    }
    connection.execute(insert(reports).values(row))
    planning.plan_report(connection, row, max_attempts=max_attempts, now=now)
    return str(row["id"])


def _require_same_report(*pairs: tuple[str | None, str | None]) -> None:
    """Refuse what is no correction, since two systems give out the same report ids.

    A correction may name the patient or the order anew, but not both.
    """
    if all(one is not None and other is not None and one != other for one, other in pairs):
        raise IdempotencyConflictError(
            "this report id came before on another patient and order; "
            "give the reports of different systems different ids"
        )
