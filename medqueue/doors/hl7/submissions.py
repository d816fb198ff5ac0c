"""From a message to the reports in it: which fields say what, and which messages are taken.

Where senders differ, the order of the fields below is the order in which they are believed; the
how-to `connect-hl7` has it as a table.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from medqueue.doors.hl7 import status
from medqueue.doors.hl7.message import Message, Segment
from medqueue.doors.hl7.observations import Narrative
from medqueue.errors import NoTextError, NotHl7Error, RefusedInputError, UnsupportedMessageError
from schemas.identifiers import is_uid
from schemas.report import Document, ReportStatus, ReportSubmission

_REPORT_EVENTS = frozenset({"", "R01"})
_DOCUMENT_EVENTS = frozenset({"T02", "T04", "T06", "T08", "T10"})
"""Of MDM, those that carry the content of the document (chapter 9, section 9.6)."""
_ORDERS = frozenset({"ORM", "OMI", "OMG", "ORR"})
_URGENT = frozenset({"S", "STAT", "A", "ASAP", "U", "URG", "URGENT"})
"""Table 0485, and what senders write instead."""
_STUDY_UID = frozenset({"110180", "113014"})
"""Codes of DCM for the Study Instance UID and the study, as IHE RAD-28 has it in OBX-3."""
_PATIENT_ID_TYPES = ("MR", "PI", "PT", "")
"""Table 0203, the most wanted first: the number that the DICOM objects carry too."""
_WITHDRAWN = frozenset({"X"})


@dataclass(slots=True)
class _Group:
    """One report in the making: its order, its observations, and the patient before it."""

    patient: Segment | None
    order: Segment | None = None
    common_order: Segment | None = None
    timing: Segment | None = None
    observations: list[Segment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeyedSubmission:
    """A report, and the key under which it is never taken twice."""

    submission: ReportSubmission
    key: str
    documents: tuple[Document, ...] = ()


def read_submissions(message: Message) -> list[KeyedSubmission]:
    """Return the reports of a message, in their order.

    Raises:
        UnsupportedMessageError: the door does not take messages of this type.
        NotHl7Error: it has no control id.
        NoTextError: there is no text in it.
        RefusedInputError: an identifier or a text is not one that can be kept.
    """
    kind = _require_supported(message.header)
    control_id = message.header.value(10)
    if not control_id:
        raise NotHl7Error("MSH-10, the message control id, is empty (HL7 v2 section 2.15.9.10)")
    groups = list(_groups(message))
    if kind == "ORU" and any(not one.observations for one in groups):
        groups = [one for one in groups if one.observations] or groups
    document = message.first("TXA")
    study_uid = _study_uid(message)
    found: dict[str | None, list[_Group]] = {}
    for group in groups:
        found.setdefault(_report_id(group, document), []).append(group)
    keyed: list[KeyedSubmission] = []
    has_document = False
    for report_id, parts in found.items():
        narratives = [Narrative(part.observations) for part in parts if not _is_withdrawn(part)]
        has_document |= any(one.documents for one in narratives)
        text = "\n".join(one.text for one in narratives if one.text.strip())
        if text:
            submission = _submission(
                parts[0],
                document,
                text=text,
                report_id=report_id,
                study_instance_uid=study_uid,
                status=_status(message.header, document, parts),
            )
            beside = tuple(each for one in narratives for each in one.documents)
            key = _key(message, control_id, len(keyed))
            keyed.append(KeyedSubmission(submission, key, beside))
    if not keyed:
        reason = "only a document, such as a PDF, that no model can read" if has_document else ""
        raise NoTextError(
            f"no report text: {reason or 'no OBX-5 of a type TX, FT, ST, CE or ED has words'}"
        )
    return keyed


def _require_supported(header: Segment) -> str:
    kind, event, version = header.value(9), header.value(9, 2), header.value(12)
    if version and not version.startswith("2."):
        raise UnsupportedMessageError("MSH-12: HL7 version 2.1 to 2.8 is spoken here")
    if kind in _ORDERS:
        raise UnsupportedMessageError(
            "orders are not kept here: send reports, as ORU R01 or MDM T02"
        )
    if (kind == "ORU" and event in _REPORT_EVENTS) or (kind == "MDM" and event in _DOCUMENT_EVENTS):
        return kind
    raise UnsupportedMessageError("MSH-9: only ORU R01 and MDM T02, T04, T06, T08, T10 are taken")


def _groups(message: Message) -> Iterator[_Group]:
    """Yield the orders of a message, each with its patient and observations.

    A message may hold several patients (section 7.3.1): an order belongs to the one before it.
    """
    patient: Segment | None = None
    common_order: Segment | None = None
    group: _Group | None = None
    for segment in message:
        if segment.name in {"PID", "ORC", "OBR"} and group is not None:
            started_by_order = group.order is not None or group.observations
            if segment.name != "OBR" or started_by_order:
                yield group
                group = None
        if segment.name == "PID":
            patient, common_order = segment, None
        elif segment.name == "ORC":
            common_order = segment
        elif segment.name in {"OBR", "OBX", "TQ1"}:
            group = group or _Group(patient, common_order=common_order)
            _add(group, segment)
    if group is not None:
        yield group


def _add(group: _Group, segment: Segment) -> None:
    if segment.name == "OBR":
        group.order = segment
    elif segment.name == "TQ1":
        group.timing = segment
    else:
        group.observations.append(segment)


def _submission(group: _Group, document: Segment | None, **read: Any) -> ReportSubmission:
    patient_id, issuer = _patient_id(group.patient)
    try:
        return ReportSubmission(
            accession_number=_accession_number(group, document),
            patient_id=patient_id,
            patient_id_issuer=issuer,
            urgent=_is_urgent(group),
            **read,
        )
    except ValidationError as error:
        # Names of our fields and rules; never what was sent.
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        faults = "; ".join(f"{one['loc'][0]}: {one['msg']}" for one in problems)
        raise RefusedInputError(faults) from None


def _status(
    header: Segment, document: Segment | None, parts: Sequence[_Group]
) -> ReportStatus | None:
    if document is not None:
        return status.of_document(header.value(9, 2), document)
    observations = [one for part in parts for one in part.observations]
    return status.of_orders([part.order for part in parts], observations)


def _first(*values: tuple[Segment | None, int]) -> str | None:
    """Return the first component of the first of these fields that is there."""
    for segment, number in values:
        value = segment.value(number) if segment is not None else ""
        if value:
            return value
    return None


def _report_id(group: _Group, document: Segment | None) -> str | None:
    """Return what stays the same when the report is corrected.

    The filler's number, since the filler writes the report; of a document its parent, which it
    replaces or amends (section 9.7.1.13), else its own number.
    """
    if document is not None:
        return _first((document, 13), (document, 12))
    return _first(
        (group.order, 3), (group.common_order, 3), (group.order, 2), (group.common_order, 2)
    )


def _accession_number(group: _Group, document: Segment | None) -> str | None:
    """Return the accession number, by which PACS know the order.

    IHE puts it in OBR-18 (RAD TF-2, RAD-4); others use the filler's number for it.
    """
    return _first((group.order, 18), (group.order, 3), (group.common_order, 3), (document, 15))


def _patient_id(patient: Segment | None) -> tuple[str | None, str | None]:
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


def _study_uid(message: Message) -> str | None:
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


def _is_urgent(group: _Group) -> bool:
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


def _is_withdrawn(group: _Group) -> bool:
    """Tell whether the order was cancelled (OBR-25, table 0123)."""
    return group.order is not None and group.order.value(25).upper() in _WITHDRAWN


def _key(message: Message, control_id: str, number: int) -> str:
    """Return the idempotency key: a control id is unique for its sender (section 2.15.9.10).

    Hashed, since some senders build control ids from patients' numbers.
    """
    sender = (message.header.value(3), message.header.value(4))
    digest = hashlib.sha256("\x00".join((*sender, control_id)).encode()).hexdigest()
    return f"hl7:{digest}:{number}"
