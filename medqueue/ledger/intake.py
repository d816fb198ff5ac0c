"""Intake of instances: the record without which a door may not say 'success'."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, literal, select, union_all, update

from medqueue.ledger import audit, bell, planning
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import instances, series, studies
from schemas.identifiers import new_id
from schemas.study import Disposition, InstanceHeader, StoredInstance, StudyState

# Built once: to build them anew for each object took more time than the database does.
_STUDY = (
    select(studies.c.id, studies.c.priority, studies.c.state)
    .where(studies.c.study_instance_uid == bindparam("study_instance_uid"))
    .with_for_update()
)
_PLACE = union_all(
    select(literal("series").label("kind"), series.c.id.label("value")).where(
        series.c.study_id == bindparam("study_id"),
        series.c.series_instance_uid == bindparam("series_instance_uid"),
    ),
    select(literal("digest"), instances.c.sha256).where(
        instances.c.sop_instance_uid == bindparam("sop_instance_uid")
    ),
)
"""After the lock, not with it: only then PostgreSQL shows what the last holder has written."""

_INSERT = insert(instances)
_OPEN = (
    update(studies)
    .where(studies.c.id == bindparam("study_id"))
    .values(state=StudyState.RECEIVING, last_instance_at=bindparam("now"), due_at=None)
)
_COUNT_DUPLICATE = (
    update(studies)
    .where(studies.c.id == bindparam("study_id"))
    .values(duplicates=studies.c.duplicates + 1)
)


def record_instance(
    connection: Connection,
    header: InstanceHeader,
    stored: StoredInstance,
    *,
    calling_ae: str,
    now: datetime,
) -> Disposition | None:
    """Record an instance whose bytes are durable, and open or reopen its study.

    Returns:
        What became of it, or None if the very same instance is there already: then nothing
        changes, and the stored bytes are a second copy that the caller may drop.
    """
    study_id, was_open = _open_study(connection, header, calling_ae, now)
    found = connection.execute(
        _PLACE,
        {
            "study_id": study_id,
            "series_instance_uid": header.series_instance_uid,
            "sop_instance_uid": header.sop_instance_uid,
        },
    ).all()
    known = {row.value for row in found if row.kind == "digest"}
    if stored.sha256 in known:
        connection.execute(_COUNT_DUPLICATE, {"study_id": study_id})
        return None
    disposition = Disposition.CONFLICT if known else Disposition.KEPT
    series_id = next((row.value for row in found if row.kind == "series"), None)
    connection.execute(
        _INSERT,
        {
            "id": new_id(),
            "series_id": series_id or _open_series(connection, study_id, header, now),
            "sop_instance_uid": header.sop_instance_uid,
            "sop_class_uid": header.sop_class_uid,
            "transfer_syntax_uid": header.transfer_syntax_uid,
            "sha256": stored.sha256,
            "size": stored.size,
            "path": stored.path,
            "disposition": disposition,
            "body_part": header.body_part,
            "view_position": header.view_position,
            "instance_number": header.instance_number,
            "received_at": now,
        },
    )
    connection.execute(_OPEN, {"study_id": study_id, "now": now})
    if disposition is Disposition.CONFLICT:
        audit.record(
            connection,
            now=now,
            actor=calling_ae,
            action="instance-conflict",
            subject_id=study_id,
            detail="other content came under a SOP Instance UID that is taken; kept and flagged",
        )
    if not was_open:
        # For an open study the bell has rung; every further ring only prolongs its quiet time,
        # and on PostgreSQL a NOTIFY makes all commits wait for each other.
        bell.ring(connection)
    return disposition


def recorded_paths(connection: Connection, paths: Sequence[str]) -> set[str]:
    """Return those of some paths in the instance store that a record points to."""
    found = connection.execute(select(instances.c.path).where(instances.c.path.in_(paths)))
    return set(found.scalars())


def _open_study(
    connection: Connection, header: InstanceHeader, calling_ae: str, now: datetime
) -> tuple[str, bool]:
    """Return the study's id, and whether it was open before; make it if it is new.

    Its row is held until the transaction ends.

    The lock keeps two associations of one study, and the closing of it, in a row.
    """
    wanted = {"study_instance_uid": header.study_instance_uid}
    found = connection.execute(_STUDY, wanted).one_or_none()
    was_open = found is not None and found.state == StudyState.RECEIVING
    if found is None:
        row = {
            "id": new_id(),
            "study_instance_uid": header.study_instance_uid,
            "patient_id": header.patient_id,
            "accession_number": header.accession_number,
            "calling_ae": calling_ae,
            "state": StudyState.RECEIVING,
            "priority": header.priority,
            "received_at": now,
            "last_instance_at": now,
        }
        connection.execute(insert_if_new(connection, studies, row))
        found = connection.execute(_STUDY, wanted).one()
    if header.priority > found.priority:
        connection.execute(
            update(studies).where(studies.c.id == found.id).values(priority=header.priority)
        )
        planning.raise_work(connection, found.id, priority=header.priority)
    return str(found.id), was_open


def _open_series(
    connection: Connection, study_id: str, header: InstanceHeader, now: datetime
) -> str:
    series_id = new_id()
    connection.execute(
        insert(series).values(
            id=series_id,
            study_id=study_id,
            series_instance_uid=header.series_instance_uid,
            modality=header.modality,
            received_at=now,
        )
    )
    return series_id
