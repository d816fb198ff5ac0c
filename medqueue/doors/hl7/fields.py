"""Which fields of a message say what.

Where senders differ, the order of the fields is the order in which they are believed; the how-to
`connect-hl7` has it as a table.
"""

import hashlib

from pydantic import ValidationError

from medqueue.doors.hl7.groups import Group
from medqueue.doors.hl7.message import Message, Segment
from medqueue.errors import RefusedInputError
from schemas.identifiers import is_uid

_URGENT = frozenset({"S", "STAT", "A", "ASAP", "U", "URG", "URGENT"})
"""Table 0485, and what senders write instead."""
_STUDY_UID = frozenset({"110180", "113014"})
"""Codes of DCM for the Study Instance UID and the study, as IHE RAD-28 has it in OBX-3."""
_PATIENT_ID_TYPES = ("MR", "PI", "PT", "")
"""Table 0203, the most wanted first: the number that the DICOM objects carry too."""


def first(*values: tuple[Segment | None, int]) -> str | None:
    """Return the first component of the first of these fields that is there."""
    for segment, number in values:
        value = segment.value(number) if segment is not None else ""
        if value:
            return value
    return None


def accession_number(group: Group, document: Segment | None) -> str | None:
    """Return the accession number, by which PACS know the order.

    IHE puts it in OBR-18 (RAD TF-2, RAD-4); others use the filler's number for it.
    """
    return first((group.order, 18), (group.order, 3), (group.common_order, 3), (document, 15))


def patient_id(patient: Segment | None) -> tuple[str | None, str | None]:
    """Return the patient's number in PID-3, of several the medical record number, and its issuer.

    The issuer is the namespace of the assigning authority (CX.4), as DICOM's Issuer of Patient ID.
    """
    if patient is None:
        return None, None
    by_type: dict[str, tuple[str | None, str | None]] = {}
    numbers = [one for one in patient.repetitions(3) if one[0]] or patient.repetitions(2)[:1]
    for one in numbers:
        number, _, _, issuer, kind, *_ = [*one, "", "", "", ""]
        by_type.setdefault(kind.upper(), (number or None, issuer or None))
    wanted = (by_type[kind] for kind in _PATIENT_ID_TYPES if kind in by_type)
    return next(wanted, None) or next(iter(by_type.values()), (None, None))


def study_uid(message: Message) -> str | None:
    """Return the Study Instance UID if the message names exactly one.

    ZDS-1 is what IHE had before version 2.5 (RAD TF-2, RAD-4), IPC-3 what HL7 has since.
    """
    found = {segment.value(1) for segment in message if segment.name == "ZDS"}
    found |= {segment.value(3) for segment in message if segment.name == "IPC"}
    found |= {
        segment.value(5)
        for segment in message
        if segment.name == "OBX" and segment.value(3) in _STUDY_UID
    }
    uids = {uid for uid in found if is_uid(uid)}
    return uids.pop() if len(uids) == 1 else None


def is_urgent(group: Group) -> bool:
    """Tell whether the order was urgent: TQ1-9, or what was there before version 2.5."""
    said = [
        segment.value(number, component)
        for segment, number, component in (
            (group.timing, 9, 1),
            (group.order, 27, 6),
            (group.common_order, 7, 6),
            (group.order, 5, 1),
        )
        if segment is not None
    ]
    return any(one.upper() in _URGENT for one in said)


def key(message: Message, number: int) -> str:
    """Return the idempotency key: a control id is unique for its sender (section 2.15.9.10).

    Hashed, since some senders build control ids from patients' numbers.
    """
    said = "\x00".join(message.header.value(field) for field in (3, 4, 10))
    digest = hashlib.sha256(said.encode()).hexdigest()
    return f"hl7:{digest}:{number}"


def refusal(error: ValidationError) -> RefusedInputError:
    """Return the refusal of what cannot be kept: names of our fields and rules, never values."""
    problems = error.errors(include_input=False, include_url=False, include_context=False)
    return RefusedInputError("; ".join(f"{one['loc'][0]}: {one['msg']}" for one in problems))
