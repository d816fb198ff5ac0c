"""Intake of instances: the record without which a door may not say 'success'."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from medqueue.ledger import audit, bell, orders, planning
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.prepared import Prepared
from medqueue.ledger.tables import instances, series, studies
from schemas.identifiers import new_id
from schemas.study import Disposition, InstanceHeader, StoredInstance, StudyState

_FIND = Prepared(
    lambda _: (
        select(studies.c.id, studies.c.priority, studies.c.state, series.c.id)
        .select_from(studies)
        .outerjoin(
            series,
            and_(
                series.c.study_id == studies.c.id,
                series.c.series_instance_uid == bindparam("series_instance_uid"),
            ),
        )
        .where(studies.c.study_instance_uid == bindparam("study_instance_uid"))
        .with_for_update(of=studies)
    )
)
_INSERT = Prepared(
    lambda dialect: (
        (postgresql if dialect.name == "postgresql" else sqlite)
        .insert(instances)
        .on_conflict_do_nothing()
    )
)
_OPEN = Prepared(
    lambda _: (
        update(studies)
        .where(studies.c.id == bindparam("study_id"))
        .values(state=StudyState.RECEIVING.value, last_instance_at=bindparam("now"), due_at=None)
    )
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
    study_id, series_id, was_open = _open_study(connection, header, calling_ae, now)
    disposition = _insert_instance(
        connection,
        header,
        stored,
        series_id=series_id or _open_series(connection, study_id, header, now),
        now=now,
    )
    if disposition is None:
        connection.execute(
            update(studies)
            .where(studies.c.id == study_id)
            .values(duplicates=studies.c.duplicates + 1)
        )
        return None
    _OPEN.run(connection, study_id=study_id, now=now)
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
) -> tuple[str, str | None, bool]:
    """Return the ids of study and series, and whether the study was open; make it if it is new.

    Its row is held until the transaction ends: the lock keeps two associations of one study, and
    the closing of it, in a row.
    """
    found = _find(connection, header)
    was_open = found is not None and found[2] == StudyState.RECEIVING
    if found is None:
        row = {
            "id": new_id(),
            "study_instance_uid": header.study_instance_uid,
            "patient_id": header.patient_id,
            "patient_id_issuer": header.patient_id_issuer,
            "accession_number": header.accession_number,
            "calling_ae": calling_ae,
            "state": StudyState.RECEIVING,
            "priority": max(header.priority, orders.priority_of_study(connection, header)),
            "received_at": now,
            "last_instance_at": now,
        }
        connection.execute(insert_if_new(connection, studies), row)
        found = _find(connection, header)
    elif found[3] is None:
        # On PostgreSQL the study is as its last holder has left it, but not yet the series.
        found = _find(connection, header)
    study_id, priority, _, series_id = found
    if header.priority > priority:
        connection.execute(
            update(studies).where(studies.c.id == study_id).values(priority=header.priority)
        )
        planning.raise_work(connection, study_id, priority=header.priority)
    return study_id, series_id, was_open


def _find(connection: Connection, header: InstanceHeader) -> Any:
    """Return id, priority and state of the study, and the id of the series, if there is one."""
    return _FIND.run(
        connection,
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
    ).fetchone()


def _insert_instance(
    connection: Connection,
    header: InstanceHeader,
    stored: StoredInstance,
    *,
    series_id: str,
    now: datetime,
) -> Disposition | None:
    """Insert it as what the unique keys let it be; None where it is there already."""
    for disposition in (Disposition.KEPT, Disposition.CONFLICT):
        cursor = _INSERT.run(
            connection,
            id=new_id(),
            series_id=series_id,
            sop_instance_uid=header.sop_instance_uid,
            sop_class_uid=header.sop_class_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            sha256=stored.sha256,
            size=stored.size,
            path=stored.path,
            disposition=disposition.value,
            body_part=header.body_part,
            view_position=header.view_position,
            instance_number=header.instance_number,
            received_at=now,
        )
        if cursor.rowcount:
            return disposition
    return None


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
