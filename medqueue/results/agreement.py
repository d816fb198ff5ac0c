"""How often reports agreed with an image model: a monitor that needs no labels."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from medqueue.ledger.tables import models, results
from schemas.manifest import Engine
from schemas.result import ResultKind, ResultStatus

AGREEMENT, UNDECIDED = "agreement", "undecided"


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of the findings of one month that a report was decided about."""

    month: str
    """Such as `2026-11`, in UTC, by when they were compared."""
    version: str
    agreed: int
    decided: int


def agreement_with_reports(
    connection: Connection, image_model: str, *, since: datetime
) -> list[Agreement]:
    """Return the agreement with each version of an image model, month by month.

    Of a report that was compared again, the newest comparison counts. Sides that change within a
    report are no matter of the image model.
    """
    comparisons = select(models.c.name).where(
        models.c.manifest["engine"].as_string() == Engine.COMPARISON
    )
    rows = connection.execute(
        select(results.c.subject_id, results.c.model, results.c.findings, results.c.completed_at)
        .where(
            results.c.model_name.in_(comparisons),
            results.c.kind == ResultKind.TEXT,
            results.c.status.in_([ResultStatus.FINAL, ResultStatus.AMENDED]),
            results.c.completed_at >= since,
        )
        .order_by(results.c.seq)
    )
    newest: dict[str, tuple[str, str, list[str]]] = {}
    for row in rows:
        version = _version_of(row.model, image_model)
        if version is not None:
            newest[row.subject_id] = (f"{row.completed_at:%Y-%m}", version, _verdicts(row.findings))
    agreed: Counter[tuple[str, str]] = Counter()
    decided: Counter[tuple[str, str]] = Counter()
    for month, version, verdicts in newest.values():
        agreed[month, version] += verdicts.count(AGREEMENT)
        decided[month, version] += len(verdicts)
    return [Agreement(*key, agreed[key], decided[key]) for key in sorted(decided) if decided[key]]


def _version_of(model: dict[str, Any], image_model: str) -> str | None:
    for compared in model.get("compared", ()):
        if compared["kind"] == ResultKind.IMAGE and compared["name"] == image_model:
            return str(compared["version"])
    return None


def _verdicts(findings: list[dict[str, Any]]) -> list[str]:
    """Return what was decided about the image model; only its own findings have a probability."""
    return [
        finding["code"]["code"]
        for finding in findings
        if finding["probability"] is not None and finding["code"]["code"] != UNDECIDED
    ]
