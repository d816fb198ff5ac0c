"""Writing results: one row for each input and model version, numbered in order of commit."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, false, func, null, select, text

from medqueue.ledger import linking
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import reports, results, series, studies
from schemas.identifiers import new_id
from schemas.result import Outcome, ResultKind, ResultStatus

_FEED_LOCK = 0x6D65_6471
"""Key of the advisory lock that PostgreSQL's writers of results share ('medq')."""

# Built once: to build a statement anew for each result takes as long as to run it.
_LOCK_FEED = text(f"SELECT pg_advisory_xact_lock({_FEED_LOCK})")
_EARLIER_MODELS = select(results.c.model).where(
    results.c.subject_id == bindparam("subject"),
    results.c.model_name == bindparam("model"),
    results.c.input_digest != bindparam("digest"),
    results.c.status.in_([ResultStatus.FINAL, ResultStatus.AMENDED]),
)
_HAS_EARLIER = _EARLIER_MODELS.exists().label("has_earlier")
_REPORT = select(
    linking.study_uid_of_report().label("study_instance_uid"),
    null().label("series_instance_uid"),
    reports.c.accession_number,
    reports.c.patient_id,
    func.coalesce(reports.c.report_id, reports.c.id).label("report_id"),
    reports.c.received_at,
    (reports.c.version > 1).label("is_correction"),
    _HAS_EARLIER,
).where(reports.c.id == bindparam("subject"))
_SERIES = (
    select(
        studies.c.study_instance_uid,
        series.c.series_instance_uid,
        studies.c.accession_number,
        studies.c.patient_id,
        null().label("report_id"),
        series.c.received_at,
        false().label("is_correction"),
        _HAS_EARLIER,
    )
    .join(studies, studies.c.id == series.c.study_id)
    .where(series.c.id == bindparam("subject"))
)


def append(
    connection: Connection,
    kind: ResultKind,
    subject_id: str,
    input_digest: str,
    outcome: Outcome,
    *,
    now: datetime,
    round_: int = 0,
) -> None:
    """Append a result to the feed, unless this input has one by this model version.

    Must come last in its transaction: on PostgreSQL it holds, until the commit, the lock that
    makes `seq` follow the order of commits. Without it a reader that has seen number 8 would
    never see a number 7 whose transaction commits later.

    Args:
        connection: the transaction that also ends the work.
        kind: what was diagnosed.
        subject_id: id of the series or the report.
        input_digest: digest of the content that was diagnosed.
        outcome: what the worker concluded.
        now: time of completion.
        round_: how often the work was requeued by a person; a new round may give a new result.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_FEED)
    identity = _identify(connection, kind, subject_id, input_digest, outcome)
    row = {
        "id": new_id(),
        "kind": kind,
        "status": _status(connection, subject_id, input_digest, outcome, identity),
        "subject_id": subject_id,
        "input_digest": input_digest,
        "round": round_,
        "study_instance_uid": identity.study_instance_uid,
        "series_instance_uid": identity.series_instance_uid,
        "sop_instance_uids": list(outcome.sop_instance_uids),
        "accession_number": identity.accession_number,
        "patient_id": identity.patient_id,
        "report_id": identity.report_id,
        "model_name": outcome.model.name,
        "model_version": outcome.model.version,
        "model": outcome.model.model_dump(mode="json"),
        "findings": [finding.model_dump(mode="json") for finding in outcome.findings],
        "cautions": [caution.model_dump(mode="json") for caution in outcome.cautions],
        "error": outcome.error.model_dump(mode="json") if outcome.error else None,
        "received_at": identity.received_at,
        "completed_at": now,
        "receipt": outcome.receipt.model_dump(mode="json") if outcome.receipt else None,
    }
    connection.execute(insert_if_new(connection, results), row)


def _identify(
    connection: Connection,
    kind: ResultKind,
    subject_id: str,
    input_digest: str,
    outcome: Outcome,
) -> Row[Any]:
    """Return what readers know the input by, and whether it is corrected."""
    return connection.execute(
        _REPORT if kind is ResultKind.TEXT else _SERIES,
        {"subject": subject_id, "model": outcome.model.name, "digest": input_digest},
    ).one()


def _status(
    connection: Connection,
    subject_id: str,
    input_digest: str,
    outcome: Outcome,
    identity: Row[Any],
) -> ResultStatus:
    """Return `amended` instead of `final` where other content was diagnosed before."""
    if outcome.status is not ResultStatus.FINAL:
        return outcome.status
    has_earlier = identity.has_earlier
    if has_earlier and outcome.model.compared:
        # A cross-check of the same report with another model's images amends nothing.
        others = connection.execute(
            _EARLIER_MODELS,
            {"subject": subject_id, "model": outcome.model.name, "digest": input_digest},
        ).scalars()
        ours = [compared.name for compared in outcome.model.compared]
        has_earlier = any(
            [compared["name"] for compared in other.get("compared", ())] == ours for other in others
        )
    return ResultStatus.AMENDED if has_earlier or identity.is_correction else ResultStatus.FINAL
