"""The results feed: every result once, in the order of commit, from a cursor onwards."""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, column, func, select, table

from medqueue.errors import CursorError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import reports, results
from schemas.result import Result

START = "0"
"""The cursor before the first result."""

# The view, not the table: what integrators read over SQL and what we serve cannot drift apart.
# A raw view knows no types, so each column borrows that of the table.
_TYPES = {**{each.name: each.type for each in results.c}, "report_status": reports.c.status.type}
FEED = table("results_feed", *(column(name, _TYPES[name]) for name in Result.model_fields))

# 18 digits always fit the 64-bit key of both databases.
_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)


def read_feed(ledger: Ledger, *, after: str | None, limit: int) -> tuple[list[Result], str]:
    """Return the results that follow a cursor, and the cursor for the next call.

    Args:
        ledger: where results are.
        after: the cursor of an earlier call; None is the beginning.
        limit: the most results to return.

    Returns:
        The results in the order of the feed, and the next cursor: the same one as `after` when
        there is nothing new.

    Raises:
        CursorError: the feed never hands out such a cursor.
    """
    seq = parse_cursor(after)
    statement = select(FEED).where(FEED.c.seq > seq).order_by(FEED.c.seq).limit(limit)
    with ledger.read() as connection:
        page = fetch(connection, statement)
    return page, str(page[-1].seq if page else seq)


def parse_cursor(after: str | None) -> int:
    """Return the number that a cursor stands for.

    Raises:
        CursorError: the feed never hands out such a cursor.
    """
    if after is None:
        return int(START)
    if not _CURSOR.fullmatch(after):
        raise CursorError(
            "this is no cursor of the results feed: "
            "give the `next` of an earlier answer, or leave `after` out to start from the beginning"
        )
    return int(after)


def newest_seq(ledger: Ledger) -> int:
    """Return the number of the newest result; 0 when there is none. Cheap enough to ask often."""
    with ledger.read() as connection:
        newest: int | None = connection.execute(select(func.max(results.c.seq))).scalar()
    return newest or 0


def results_of_studies(
    connection: Connection, study_instance_uids: Sequence[str]
) -> dict[str, list[Result]]:
    """Return the results on each of some studies, images and texts alike, oldest first."""
    condition = FEED.c.study_instance_uid.in_(study_instance_uids)
    found: dict[str, list[Result]] = {uid: [] for uid in study_instance_uids}
    for result in fetch(connection, select(FEED).where(condition).order_by(FEED.c.seq)):
        found[str(result.study_instance_uid)].append(result)
    return found


def results_of_reports(connection: Connection, ids: Sequence[str]) -> dict[str, list[Result]]:
    """Return the results on each of some reports, by our id, oldest first."""
    pairs = select(results.c.seq, results.c.subject_id).where(results.c.subject_id.in_(ids))
    subject_of = {row.seq: row.subject_id for row in connection.execute(pairs)}
    condition = FEED.c.seq.in_(list(subject_of))
    found: dict[str, list[Result]] = {id_: [] for id_ in ids}
    for result in fetch(connection, select(FEED).where(condition).order_by(FEED.c.seq)):
        found[subject_of[result.seq]].append(result)
    return found


def fetch(connection: Connection, statement: Select[Any]) -> list[Result]:
    """Return the results that a selection from `FEED` finds."""
    rows = connection.execute(statement).mappings()
    return [Result.model_validate(dict(row)) for row in rows]
