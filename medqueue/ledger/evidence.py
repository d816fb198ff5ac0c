"""Evidence of completeness: what was said about how much of a study there is, and by whom.

Kept under the Study Instance UID, since a count may be known before the first object comes. Of
each kind and source the last word counts, so that a sender of a thousand associations has one row.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from medqueue.ledger import bell
from medqueue.ledger.tables import studies, study_evidence
from schemas.completeness import Evidence, EvidenceKind
from schemas.study import StudyState

_WHOLE_STUDY = ""
"""Stands as the series of what is said about the whole study: a key has no NULL."""

_SAID = (
    select(study_evidence)
    .where(study_evidence.c.study_instance_uid == bindparam("uid"))
    .order_by(study_evidence.c.at, study_evidence.c.kind, study_evidence.c.source)
)
_JUDGE = (
    update(studies)
    .where(
        studies.c.study_instance_uid == bindparam("uid"), studies.c.state == StudyState.RECEIVING
    )
    .values(due_at=bindparam("now"))
)


def record(connection: Connection, said: Sequence[tuple[str, Evidence]]) -> None:
    """Keep what was said about some Study Instance UIDs, and have those open judged anew."""
    connection.execute(
        _upsert(connection.dialect.name), [_row(uid, evidence) for uid, evidence in said]
    )
    # In order, so that two who write about the same studies cannot wait for each other.
    latest = sorted({uid: evidence.at for uid, evidence in said}.items())
    connection.execute(_JUDGE, [{"uid": uid, "now": at} for uid, at in latest])
    bell.ring(connection)


def of_study(connection: Connection, study_instance_uid: str) -> tuple[Evidence, ...]:
    """Return all that was said about a study, the oldest word first."""
    found = connection.execute(_SAID, {"uid": study_instance_uid}).all()
    return tuple(
        Evidence(
            kind=EvidenceKind(row.kind),
            source=row.source,
            at=row.at,
            series_instance_uid=row.series_instance_uid or None,
            instances=row.instances,
            series=row.series,
            is_steady=row.is_steady,
            times=row.times,
        )
        for row in found
    )


def _row(study_instance_uid: str, evidence: Evidence) -> dict[str, Any]:
    return {
        "study_instance_uid": study_instance_uid,
        "kind": evidence.kind,
        "source": evidence.source,
        "series_instance_uid": evidence.series_instance_uid or _WHOLE_STUDY,
        "instances": evidence.instances,
        "series": evidence.series,
        "is_steady": True,
        "times": 1,
        "at": evidence.at,
    }


@cache
def _upsert(dialect: str) -> Insert:
    statement: postgresql.Insert | sqlite.Insert = (
        postgresql.insert(study_evidence)
        if dialect == "postgresql"
        else sqlite.insert(study_evidence)
    )
    said = statement.excluded
    same = and_(
        study_evidence.c.instances.is_not_distinct_from(said.instances),
        study_evidence.c.series.is_not_distinct_from(said.series),
    )
    return statement.on_conflict_do_update(
        index_elements=[column.name for column in study_evidence.primary_key],
        set_={
            "instances": said.instances,
            "series": said.series,
            "is_steady": and_(study_evidence.c.is_steady, same),
            "times": study_evidence.c.times + 1,
            "at": said.at,
        },
    )
