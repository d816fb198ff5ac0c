"""The monitor: how often reports agreed with each version of an image model."""

from typing import Any

from sqlalchemy import insert

from builders import a_comparison, after, register
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import results
from medqueue.results.agreement import Agreement, agreement_with_reports

MONTH = 30 * 24 * 3600


def compared(
    ledger: Ledger,
    *verdicts: str,
    report: str = "r1",
    version: str = "1.0.0",
    at: float = 0,
    digest: str = "d",
) -> None:
    """Write the result of a comparison, as a worker does."""
    findings = [
        {
            "label": f"{verdict}: x",
            "code": {"system": "urn:medqueue:cross-check", "code": verdict, "display": ""},
            "probability": None if verdict == "flipped-side" else 0.5,
        }
        for verdict in verdicts
    ]
    names = [
        {"kind": "image", "name": "chest", "version": version},
        {"kind": "text", "name": "rules", "version": "9.0.0"},
    ]
    row: dict[str, Any] = {
        "id": f"{report}{digest}{version}".ljust(32, "0"),
        "kind": "text",
        "status": "final",
        "subject_id": report,
        "input_digest": digest,
        "round": 0,
        "sop_instance_uids": [],
        "model_name": "cross-check",
        "model_version": "1.0.0",
        "model": {"compared": names},
        "findings": findings,
        "received_at": after(at),
        "completed_at": after(at),
    }
    with ledger.write() as connection:
        connection.execute(insert(results).values(row))


def agreement(ledger: Ledger, model: str = "chest") -> list[Agreement]:
    register(ledger, a_comparison())
    with ledger.read() as connection:
        return agreement_with_reports(connection, model, since=after(-1))


def test_decided_findings_are_counted_by_month_and_version(ledger: Ledger) -> None:
    compared(ledger, "agreement", "missed-in-image", report="r1")
    compared(ledger, "agreement", "undecided", "flipped-side", report="r2")
    compared(ledger, "not-in-text", report="r3", version="2.0.0")
    compared(ledger, "agreement", report="r4", at=MONTH + 5 * 24 * 3600)

    assert agreement(ledger) == [
        Agreement("2026-03", "1.0.0", 2, 3),
        Agreement("2026-03", "2.0.0", 0, 1),
        Agreement("2026-04", "1.0.0", 1, 1),
    ]


def test_of_a_report_that_was_compared_again_the_newest_counts(ledger: Ledger) -> None:
    compared(ledger, "missed-in-image", digest="before")
    compared(ledger, "agreement", digest="after")

    assert agreement(ledger) == [Agreement("2026-03", "1.0.0", 1, 1)]


def test_other_models_and_older_times_are_left_out(ledger: Ledger) -> None:
    compared(ledger, "agreement", at=-10)

    assert agreement(ledger) == []
    compared(ledger, "agreement", digest="new")
    assert agreement(ledger, "rules") == []
