"""What a delivery is made from: a result, the files it speaks of, and the result it amends."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import instances, results
from medqueue.results.feed import FEED, fetch
from schemas.result import Result, ResultStatus
from schemas.study import Disposition


@dataclass(frozen=True, slots=True)
class Deliverable:
    """One result, ready to be written in the form of a destination."""

    result: Result
    files: Mapping[str, str]
    """SOP Instance UID to path in the instance store, of the instances that were diagnosed."""
    amends: str | None
    """Id of the result on the same images by the same model that came before."""


def read_deliverable(ledger: Ledger, result_id: str) -> Deliverable:
    """Read everything that a delivery of a result needs."""
    with ledger.read() as connection:
        (result,) = fetch(connection, select(FEED).where(FEED.c.id == result_id))
        files = connection.execute(
            select(instances.c.sop_instance_uid, instances.c.path).where(
                instances.c.sop_instance_uid.in_(result.sop_instance_uids),
                instances.c.disposition == Disposition.KEPT,
            )
        )
        this = select(results.c.subject_id).where(results.c.id == result_id).scalar_subquery()
        before = connection.execute(
            select(results.c.id)
            .where(
                results.c.subject_id == this,
                results.c.model_name == result.model.name,
                results.c.status.in_([ResultStatus.FINAL, ResultStatus.AMENDED]),
                results.c.seq < result.seq,
            )
            .order_by(results.c.seq.desc())
            .limit(1)
        ).scalar()
        return Deliverable(result, {row.sop_instance_uid: row.path for row in files}, before)
