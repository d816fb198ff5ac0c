"""What shadows concluded: kept apart from the results, so that no reader of those meets it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import shadow_results
from schemas.result import Outcome


def append(connection: Connection, row: Row[Any], outcome: Outcome, *, now: datetime) -> None:
    """Keep what a shadow concluded, or why it did not, unless this input has it by this version.

    Takes no lock of the feed, so that no result waits for it.
    """
    connection.execute(
        insert_if_new(connection, shadow_results),
        {
            "subject_id": row.subject_id,
            "input_digest": row.input_digest,
            "model_name": outcome.model.name,
            "model_version": outcome.model.version,
            "round": row.round,
            "status": outcome.status,
            "findings": [finding.model_dump(mode="json") for finding in outcome.findings],
            "error": outcome.error.model_dump(mode="json") if outcome.error else None,
            "completed_at": now,
        },
    )
