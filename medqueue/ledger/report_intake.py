"""Intake of report texts: the record without which a door may not say 'accepted'."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, tuple_

from medqueue.errors import IdempotencyConflictError
from medqueue.ledger import orders, planning
from medqueue.ledger.tables import documents, reports
from schemas.identifiers import new_id
from schemas.report import Enclosure, ReportSubmission, guess_language
from schemas.work import Priority

_SHOWN = (
    reports.c.id,
    reports.c.sha256,
    reports.c.idempotency_key,
    reports.c.report_id,
    reports.c.version,
    reports.c.patient_id,
    reports.c.patient_id_issuer,
    reports.c.accession_number,
)
# Built once: to build them anew for each report took more time than the database does.
_INSERT = insert(reports)
_INSERT_DOCUMENTS = insert(documents)
_BY_KEY = select(*_SHOWN).where(reports.c.idempotency_key.in_(bindparam("keys", expanding=True)))
_LATEST = select(*_SHOWN).where(
    tuple_(reports.c.report_id, reports.c.version).in_(
        select(reports.c.report_id, func.max(reports.c.version))
        .where(reports.c.report_id.in_(bindparam("report_ids", expanding=True)))
        .group_by(reports.c.report_id)
    )
)


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """A report text as a door hands it in."""

    submission: ReportSubmission
    source: str
    """The kind of door."""
    idempotency_key: str | None = None
    """What is the same when the sender sends it again."""
    documents: tuple[Enclosure, ...] = ()
    """What came beside the text."""

    def digest(self) -> str:
        """Return the digest of the content; the same content is the same report."""
        content = hashlib.sha256(self.submission.model_dump_json().encode())
        for document in self.documents:
            content.update(document.sha256.encode())
        return content.hexdigest()


def record_reports(
    connection: Connection,
    received: Sequence[ReceivedReport],
    *,
    max_attempts: int,
    now: datetime,
) -> list[str]:
    """Record report texts and the work on them, in their order; return their ids.

    The same report id or idempotency key with the same content is the same report: its id comes
    back and nothing changes. A report id with other content is a correction, the next version.

    Raises:
        IdempotencyConflictError: an idempotency key came before with other content, or a
            report id on another patient's order. Nothing of any report is kept then.
    """
    known = _Known(connection, received)
    ids, new, beside = [], [], []
    for one in received:
        digest = one.digest()
        row = known.same(one, digest)
        if row is None:
            row = _row(one, digest, version=known.next_version(one.submission), now=now)
            known.add(row)
            new.append(row)
            beside += _document_rows(str(row["id"]), one.documents)
        ids.append(str(row["id"]))
    if new:
        orders.complete_reports(connection, new)
        connection.execute(_INSERT, new)
        if beside:
            connection.execute(_INSERT_DOCUMENTS, beside)
        planning.plan_reports(connection, new, max_attempts=max_attempts, now=now)
    return ids


class _Known:
    """What is there already of some reports: under their keys, and their latest versions."""

    def __init__(self, connection: Connection, received: Sequence[ReceivedReport]) -> None:
        self._by_key: dict[str, Any] = {}
        self._latest: dict[str, Any] = {}
        keys = [key for one in received if (key := one.idempotency_key) is not None]
        report_ids = [id_ for one in received if (id_ := one.submission.report_id) is not None]
        if keys:
            rows = connection.execute(_BY_KEY, {"keys": keys}).mappings()
            self._by_key = {row["idempotency_key"]: row for row in rows}
        if report_ids:
            rows = connection.execute(_LATEST, {"report_ids": report_ids}).mappings()
            self._latest = {row["report_id"]: row for row in rows}

    def add(self, row: dict[str, Any]) -> None:
        """Take in a report that the same transaction writes."""
        if row["idempotency_key"] is not None:
            self._by_key[row["idempotency_key"]] = row
        if row["report_id"] is not None:
            self._latest[row["report_id"]] = row

    def same(self, one: ReceivedReport, digest: str) -> Any | None:
        """Return the row of this very report, if it came before.

        Raises:
            IdempotencyConflictError: its key came before with other content.
        """
        row = self._by_key.get(one.idempotency_key or "")
        if row is not None:
            if row["sha256"] != digest:
                raise IdempotencyConflictError(
                    "this Idempotency-Key came before with other content; use a new key"
                )
            return row
        row = self._latest.get(one.submission.report_id or "")
        return row if row is not None and row["sha256"] == digest else None

    def next_version(self, submission: ReportSubmission) -> int:
        """Return the number of the version that a report is.

        A correction may name the patient or the order anew, but not both: two systems give out
        the same report ids.

        Raises:
            IdempotencyConflictError: the report id came before on another patient's order.
        """
        latest = self._latest.get(submission.report_id or "")
        if latest is None:
            return 1

        def differs(name: str) -> bool:
            said = getattr(submission, name)
            return None not in {said, latest[name]} and said != latest[name]

        if differs("accession_number") and (differs("patient_id") or differs("patient_id_issuer")):
            raise IdempotencyConflictError(
                "this report id came before on another patient and order; "
                "give the reports of different systems different ids"
            )
        return int(latest["version"]) + 1


def _row(one: ReceivedReport, digest: str, *, version: int, now: datetime) -> dict[str, Any]:
    submission = one.submission
    return {
        "id": new_id(),
        "report_id": submission.report_id,
        "version": version,
        "accession_number": submission.accession_number,
        "study_instance_uid": submission.study_instance_uid,
        "patient_id": submission.patient_id,
        "patient_id_issuer": submission.patient_id_issuer,
        "status": submission.status,
        "language": submission.language or guess_language(submission.text),
        "text": submission.text,
        "sha256": digest,
        "source": one.source,
        "priority": Priority.URGENT if submission.urgent else Priority.ROUTINE,
        "idempotency_key": one.idempotency_key,
        "received_at": now,
    }


def _document_rows(id_: str, beside: Sequence[Enclosure]) -> list[dict[str, Any]]:
    return [
        {
            "report_id": id_,
            "number": number,
            "media_type": document.media_type,
            "size": len(document.content),
            "sha256": document.sha256,
            "content": document.content,
        }
        for number, document in enumerate(beside, start=1)
    ]
