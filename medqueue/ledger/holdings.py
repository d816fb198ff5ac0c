"""Holdings: what the ledger says is held under given SOP Instance UIDs."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from medqueue.ledger.tables import instances, series, studies

_AT_ONCE = 500
"""UIDs of one statement; databases bound its parameters."""


class Holding(NamedTuple):
    """One recorded instance."""

    sop_instance_uid: str
    sop_class_uid: str
    path: str
    size: int


def of_uids(connection: Connection, uids: Sequence[str]) -> Iterator[Holding]:
    """Yield every instance that is recorded under some SOP Instance UIDs."""
    for start in range(0, len(uids), _AT_ONCE):
        found = connection.execute(
            select(
                instances.c.sop_instance_uid,
                instances.c.sop_class_uid,
                instances.c.path,
                instances.c.size,
            ).where(instances.c.sop_instance_uid.in_(uids[start : start + _AT_ONCE]))
        )
        yield from (Holding(*row) for row in found)


def count_of_study(connection: Connection, study_instance_uid: str) -> int:
    """Return how many different SOP Instance UIDs have come with a study."""
    return connection.execute(
        select(func.count(instances.c.sop_instance_uid.distinct()))
        .join(series, series.c.id == instances.c.series_id)
        .join(studies, studies.c.id == series.c.study_id)
        .where(studies.c.study_instance_uid == study_instance_uid)
    ).scalar_one()
