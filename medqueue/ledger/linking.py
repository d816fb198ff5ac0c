"""Linking: which reports and studies belong together. Asked when it is read, never stored.

A report belongs to the study whose Study Instance UID it names; one that names none, to each study
with the same accession number and the same patient. The same patient is the same patient id by
the same issuer; an issuer that one of the two leaves out may be any. So whichever of the two comes
last, the answer is right from then on, and a correction of either is seen at once.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Label,
    Row,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    true,
)

from medqueue.ledger.tables import reports, studies


class LinkedBy(StrEnum):
    """What a report and a study are joined by."""

    STUDY_INSTANCE_UID = "study-instance-uid"
    ACCESSION_AND_PATIENT = "accession-number-and-patient"


class LinkConflict(StrEnum):
    """Why a person should look at a report and a study."""

    OTHER_PATIENT = "other-patient"
    """Same study or accession number, different patients."""
    OTHER_ISSUER = "other-issuer"
    """Same study or accession number, and the same patient id given out by different issuers:
    most likely different patients."""
    PATIENT_UNKNOWN = "patient-unknown"
    """Same accession number, but one of the two names no patient: not joined."""


def studies_of_report(connection: Connection, report_id: str) -> Sequence[Row[Any]]:
    """Return the studies of a report and those in conflict with it, oldest first."""
    statement = (
        select(studies.c.study_instance_uid, _linked_by(), _conflict())
        .select_from(_candidates())
        .where(reports.c.id == report_id)
        .order_by(studies.c.id)
    )
    return connection.execute(statement).all()


def reports_of_study(connection: Connection, study_id: str) -> Sequence[Row[Any]]:
    """Return the reports of a study and those in conflict with it, every version, oldest first."""
    newer = reports.alias("newer")
    is_superseded = exists().where(
        newer.c.report_id == reports.c.report_id, newer.c.version > reports.c.version
    )
    statement = (
        select(
            reports.c.id,
            reports.c.report_id,
            reports.c.version,
            reports.c.status,
            is_superseded.label("is_superseded"),
            _linked_by(),
            _conflict(),
        )
        .select_from(_candidates())
        .where(studies.c.id == study_id)
        .order_by(reports.c.id)
    )
    return connection.execute(statement).all()


def study_uid_of_report() -> ColumnElement[str | None]:
    """Return the expression of the Study Instance UID that a row of `reports` belongs to.

    It is the one that the report names, or that of the study it is joined to, if that is one.
    """
    joined = (
        select(func.min(studies.c.study_instance_uid))
        .where(_same_accession_and_patient())
        .correlate(reports)
        .having(func.count() == 1)
        .scalar_subquery()
    )
    return func.coalesce(reports.c.study_instance_uid, joined)


def _candidates() -> FromClause:
    return reports.join(
        studies,
        or_(
            reports.c.study_instance_uid == studies.c.study_instance_uid,
            and_(
                reports.c.study_instance_uid.is_(None),
                reports.c.accession_number == studies.c.accession_number,
            ),
        ),
    )


def _same_accession_and_patient() -> ColumnElement[bool]:
    return and_(
        reports.c.accession_number == studies.c.accession_number,
        reports.c.patient_id == studies.c.patient_id,
        func.coalesce(~_other_issuer(), true()),
    )


def _other_issuer() -> ColumnElement[bool]:
    """Tell whether both name an issuer, and not the same; null where one names none.

    By letters alone: the namespaces of HL7 and the issuers of DICOM are typed in by people.
    """
    return func.lower(reports.c.patient_id_issuer) != func.lower(studies.c.patient_id_issuer)


def _linked_by() -> Label[str | None]:
    return case(
        (
            reports.c.study_instance_uid == studies.c.study_instance_uid,
            LinkedBy.STUDY_INSTANCE_UID.value,
        ),
        (_same_accession_and_patient(), LinkedBy.ACCESSION_AND_PATIENT.value),
    ).label("linked_by")


def _conflict() -> Label[str | None]:
    one_unknown = or_(reports.c.patient_id.is_(None), studies.c.patient_id.is_(None))
    return case(
        (reports.c.patient_id != studies.c.patient_id, LinkConflict.OTHER_PATIENT.value),
        (
            and_(reports.c.patient_id == studies.c.patient_id, _other_issuer()),
            LinkConflict.OTHER_ISSUER.value,
        ),
        (
            and_(one_unknown, reports.c.study_instance_uid.is_(None)),
            LinkConflict.PATIENT_UNKNOWN.value,
        ),
    ).label("conflict")
