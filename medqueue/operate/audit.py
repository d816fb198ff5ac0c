"""The audit: does the ledger hold a result, or open work, for everything that was accepted?

It looks at what is there, not at how it came: so it tells the truth about any installation, also
after faults that nobody thought of.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import instances, made_series, reports, results, series, studies, work
from schemas.study import StudyState
from schemas.work import SHADOW_STAGES, WorkState

_CHUNK = 1024 * 1024
_PREFIX = 132
"""Preamble and `DICM` (PS3.10 section 7.1)."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was accepted and what became of it. Ids are our own."""

    studies: int
    series: int
    instances: int
    reports: int
    results: int
    open_inputs: int
    """Series and reports that are still being received, wait, or are in work."""
    lost: tuple[str, ...]
    """Series and reports without a result and without open work."""
    doubled: tuple[str, ...]
    """Series and reports with two results for one content, model version and round."""
    missing_files: tuple[str, ...]
    """Instances whose file is gone, or has not the content that was accepted."""

    @property
    def passed(self) -> bool:
        """Whether nothing is lost, doubled or missing."""
        return not (self.lost or self.doubled or self.missing_files)


def audit(ledger: Ledger, instances_dir: Path) -> Audit:
    """Compare what was accepted with what there is; reads every stored file once."""
    with ledger.read() as connection:
        open_series, lost_series = _inputs(connection, series.c.id, studies_open=True)
        open_reports, lost_reports = _inputs(connection, reports.c.id, studies_open=False)
        doubled = connection.execute(
            select(results.c.subject_id)
            .group_by(
                results.c.subject_id,
                results.c.input_digest,
                results.c.model_name,
                results.c.model_version,
                results.c.round,
            )
            .having(func.count() > 1)
        ).scalars()
        stored = connection.execute(
            select(instances.c.id, instances.c.path, instances.c.sha256)
        ).all()
        return Audit(
            studies=_count(connection, studies.c.id),
            series=_count(connection, series.c.id),
            instances=len(stored),
            reports=_count(connection, reports.c.id),
            results=_count(connection, results.c.seq),
            open_inputs=open_series + open_reports,
            lost=tuple(lost_series + lost_reports),
            doubled=tuple(doubled),
            missing_files=tuple(
                row.id for row in stored if _digest(instances_dir / row.path) != row.sha256
            ),
        )


def _inputs(
    connection: Connection, subject: ColumnElement[str], *, studies_open: bool
) -> tuple[int, list[str]]:
    """Return how many subjects are open, and which have neither result nor open work."""
    in_work = exists().where(
        work.c.subject_id == subject,
        work.c.state.in_([WorkState.PENDING, WorkState.RUNNING]),
        work.c.stage.not_in(SHADOW_STAGES),  # what only a shadow will conclude on is lost
    )
    is_open: ColumnElement[bool] = in_work
    if studies_open:
        receiving = exists().where(
            and_(studies.c.id == series.c.study_id, studies.c.state == StudyState.RECEIVING)
        )
        is_open = or_(in_work, receiving)
    is_settled: ColumnElement[bool] = exists().where(results.c.subject_id == subject)
    if studies_open:
        # What we have sent to an archive, and it has sent back, is no input.
        came_back = made_series.c.series_instance_uid == series.c.series_instance_uid
        is_settled = or_(is_settled, exists().where(came_back))
    open_count = connection.execute(select(func.count()).where(is_open).select_from(subject.table))
    lost = connection.execute(select(subject).where(~is_open, ~is_settled)).scalars()
    return open_count.scalar_one(), list(lost)


def _count(connection: Connection, column: ColumnElement[object]) -> int:
    return connection.execute(select(func.count(column))).scalar_one()


def _digest(path: Path) -> str | None:
    """Return the digest of a Part 10 file's data set, which is what the ledger has."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            file.seek(_PREFIX)
            # The first element, of 12 bytes, says how long the rest of the group is (section 7.1).
            head = file.read(12)
            file.seek(int.from_bytes(head[8:12], "little"), 1)
            while piece := file.read(_CHUNK):
                digest.update(piece)
    except OSError:
        return None
    return digest.hexdigest()
