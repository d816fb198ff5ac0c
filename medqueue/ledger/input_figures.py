"""Figures of what the models have seen: kept beside the results, and read again for drift."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from medqueue.ledger.tables import input_figures
from schemas.identifiers import new_id
from schemas.result import InputFigures

_INSERT = insert(input_figures)


def record(
    connection: Connection, name: str, version: str, figures: InputFigures, *, now: datetime
) -> None:
    """Keep the figures of one input of a model version, in the transaction of its result."""
    connection.execute(
        _INSERT,
        {
            "id": new_id(),
            "model_name": name,
            "model_version": version,
            "at": now,
            **figures.model_dump(),
        },
    )


def since(
    connection: Connection, name: str, version: str, start: datetime, *, limit: int
) -> Sequence[Row[Any]]:
    """Return the newest figures of a model version since a moment, the newest first."""
    return connection.execute(
        select(input_figures)
        .where(
            input_figures.c.model_name == name,
            input_figures.c.model_version == version,
            input_figures.c.at >= start,
        )
        .order_by(input_figures.c.at.desc())
        .limit(limit)
    ).all()
