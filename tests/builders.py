"""Builders: small made-up inputs and steps, so that a test arranges only what it is about."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select

from medqueue.ledger import completeness, dispatch, intake, models, report_intake, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.patience import Patience
from medqueue.ledger.report_intake import ReceivedReport
from medqueue.ledger.tables import results, studies
from medqueue.ledger.tables import work as work_table
from schemas.manifest import Accepts, Engine, ImagePreparation, Manifest
from schemas.report import Enclosure, ReportSubmission
from schemas.result import Outcome, ResultError, ResultKind, ResultStatus
from schemas.study import Disposition, InstanceHeader, StoredInstance
from schemas.work import Claim, FollowUp, Priority, Stage

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUIET = 5.0
PATIENCE = Patience(quiet_seconds=QUIET, longest_wait_seconds=30.0)
ATTEMPTS = 3
LEASE = 15.0

CR_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_VR = "1.2.840.10008.1.2.1"


def after(seconds: float) -> datetime:
    """The moment so many seconds after the start of the test."""
    return NOW + timedelta(seconds=seconds)


def an_image_model(name: str = "chest", version: str = "1.0.0", **changes: Any) -> Manifest:
    """A model for CR chest images."""
    return Manifest(
        **{
            "name": name,
            "version": version,
            "kind": ResultKind.IMAGE,
            "engine": Engine.TORCH,
            "architecture": "small-cnn",
            "weights": "weights.safetensors",
            "sha256": sha256(f"{name} {version}"),
            "accepts": Accepts(modalities=("CR", "DX")),
            "preparation": ImagePreparation(size=(28, 28), mean=0.5, std=0.25),
            "intended_use": "Tests.",
            "licence": "Apache-2.0",
            "data_provenance": "none",
            "released": date(2026, 1, 1),
            **changes,
        }
    )


def a_text_model(name: str = "report", version: str = "1.0.0", **changes: Any) -> Manifest:
    """A model for English report texts."""
    as_text = {
        "kind": ResultKind.TEXT,
        "engine": Engine.RULES,
        "accepts": Accepts(languages=("en",)),
        "preparation": None,
    }
    return an_image_model(name, version, **{**as_text, **changes})


def a_comparison(name: str = "cross-check", version: str = "1.0.0", **changes: Any) -> Manifest:
    """A model that compares the results of others."""
    return a_text_model(name, version, **{"engine": Engine.COMPARISON, **changes})


def register(ledger: Ledger, *manifests: Manifest) -> None:
    """Make models known; the first version of each name is released."""
    with ledger.write() as connection:
        for manifest in manifests:
            models.register(connection, manifest, now=NOW)


def a_header(
    study: str = "1.2.3", series: int = 1, instance: int = 1, **changes: Any
) -> InstanceHeader:
    """The header of a routine CR chest image."""
    header = InstanceHeader(
        study_instance_uid=study,
        series_instance_uid=f"{study}.{series}",
        sop_instance_uid=f"{study}.{series}.{instance}",
        sop_class_uid=CR_STORAGE,
        transfer_syntax_uid=EXPLICIT_VR,
        patient_id="P-1",
        accession_number="A-1",
        modality="CR",
        body_part="CHEST",
        view_position="PA",
        instance_number=instance,
        priority=Priority.ROUTINE,
    )
    return replace(header, **changes)


def receive(
    ledger: Ledger,
    header: InstanceHeader | None = None,
    *,
    content: str | None = None,
    at: float = 0,
) -> Disposition | None:
    """Record an instance; by default each SOP Instance UID has content of its own."""
    header = header or a_header()
    digest = sha256(content or header.sop_instance_uid)
    stored = StoredInstance(path=f"00/{digest[:8]}.dcm", sha256=digest, size=1000)
    with ledger.write() as connection:
        return intake.record_instance(connection, header, stored, calling_ae="PACS", now=after(at))


def complete(ledger: Ledger, *, at: float = 10) -> int:
    """Judge every study that is due; return how many are complete by it."""
    completed = completeness.complete_studies(
        ledger, patience=PATIENCE, max_attempts=ATTEMPTS, limit=1000, now=after(at)
    )
    return len(completed)


def submit(
    ledger: Ledger,
    text: str = "No pneumothorax.",
    *,
    key: str | None = None,
    documents: tuple[Enclosure, ...] = (),
    at: float = 0,
    **fields: Any,
) -> str:
    """Record a report text and return its id."""
    with ledger.write() as connection:
        received = ReceivedReport(ReportSubmission(text=text, **fields), "http", key, documents)
        return report_intake.record_reports(
            connection, [received], max_attempts=ATTEMPTS, now=after(at)
        )[0]


def a_due_report(ledger: Ledger, **fields: Any) -> str:
    """Record a report that a model reads, and return the id of the work on it."""
    register(ledger, a_text_model())
    report = submit(ledger, **fields)
    return str(only(row for row in work_rows(ledger) if row.subject_id == report).id)


def a_due_series(ledger: Ledger) -> str:
    """Receive and complete a study of one image, and return the id of the work on it."""
    register(ledger, an_image_model())
    receive(ledger)
    complete(ledger)
    return str(only(work_rows(ledger)).id)


def claim(ledger: Ledger, work_id: str, *, worker: str = "w1", at: float = 10) -> Claim:
    """Claim work that can be claimed."""
    taken = try_to_claim(ledger, work_id, worker=worker, at=at)
    assert taken is not None
    return taken


def try_to_claim(
    ledger: Ledger, work_id: str, *, worker: str = "w1", at: float = 10
) -> Claim | None:
    """Claim work, or return None."""
    return work.claim(ledger, work_id, worker=worker, lease_seconds=LEASE, now=after(at))


def finish(ledger: Ledger, held: Claim, *, at: float = 11) -> None:
    """Finish with a `final` result."""
    work.finish(ledger, held, outcome=a_final(held), now=after(at))


def hand_on(ledger: Ledger, held: Claim, *, at: float = 11) -> None:
    """Finish the preparation of a series with the diagnosis as follow-up."""
    work.finish(ledger, held, follow_up=a_follow_up(held), now=after(at))


def fail(ledger: Ledger, held: Claim, *, at: float = 11) -> None:
    """End as failed, for good."""
    work.fail(ledger, held, a_failure(held), now=after(at))


def lose_worker(ledger: Ledger, work_id: str, *, at: float = 10) -> float:
    """Claim the work, let its lease run out, and return a time at which it is free again."""
    claim(ledger, work_id, at=at)
    assert dispatch.end_expired_leases(ledger, now=after(at + LEASE + 1)) == 1
    return at + LEASE + 1


def an_outcome(held: Claim, status: ResultStatus, error: ResultError | None = None) -> Outcome:
    """What a worker concludes with the model that the work is for."""
    manifest = an_image_model(held.model_name, held.model_version)
    return Outcome(status=status, model=manifest.reference(), error=error)


def a_final(held: Claim) -> Outcome:
    """A `final` result."""
    return an_outcome(held, ResultStatus.FINAL)


def a_failure(held: Claim) -> Outcome:
    """A `failed` result."""
    return an_outcome(held, ResultStatus.FAILED, ResultError(code="undecodable", detail="broken"))


def a_follow_up(held: Claim) -> FollowUp:
    """The diagnosis of a prepared series."""
    return FollowUp(
        Stage.DIAGNOSE_IMAGE, held.model_name, held.model_version, f"{held.id}.safetensors"
    )


def work_rows(ledger: Ledger, **equal: Any) -> list[Row[Any]]:
    """Every row of work with these values, oldest first."""
    return _rows(ledger, work_table, work_table.c.created_at, equal)


def result_rows(ledger: Ledger, **equal: Any) -> list[Row[Any]]:
    """Every result with these values, in the order of the feed."""
    return _rows(ledger, results, results.c.seq, equal)


def study_row(ledger: Ledger, study: str = "1.2.3") -> Row[Any]:
    """The row of one study."""
    return only(_rows(ledger, studies, studies.c.id, {"study_instance_uid": study}))


def count(ledger: Ledger, table: Any) -> int:
    """How many rows a table has."""
    with ledger.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def only(rows: Any) -> Any:
    """The one element there is."""
    found = list(rows)
    assert len(found) == 1, f"expected one, got {len(found)}"
    return found[0]


def sha256(content: str) -> str:
    """The digest of made-up content."""
    return hashlib.sha256(content.encode()).hexdigest()


def _rows(ledger: Ledger, table: Any, order: Any, equal: dict[str, Any]) -> list[Row[Any]]:
    conditions = [table.c[name] == value for name, value in equal.items()]
    with ledger.read() as connection:
        statement = select(table).where(*conditions).order_by(order)
        return list(connection.execute(statement).all())
