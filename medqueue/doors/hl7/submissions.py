"""From a message to the reports in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medqueue.doors.hl7 import fields, status
from medqueue.doors.hl7.groups import Group, groups
from medqueue.doors.hl7.message import Message, Segment
from medqueue.doors.hl7.observations import Narrative
from medqueue.errors import NoTextError
from schemas.report import Enclosure, ReportStatus, ReportSubmission

_WITHDRAWN = frozenset({"X"})


@dataclass(frozen=True, slots=True)
class KeyedSubmission:
    """A report, and the key under which it is never taken twice."""

    submission: ReportSubmission
    key: str
    documents: tuple[Enclosure, ...] = ()


def read_submissions(message: Message) -> list[KeyedSubmission]:
    """Return the reports of a message, in their order.

    Raises:
        NoTextError: there is no text in it.
        RefusedInputError: an identifier or a text is not one that can be kept.
    """
    document = message.first("TXA")
    orders = list(groups(message))
    if document is None:
        orders = [one for one in orders if one.observations] or orders
    study_uid = fields.study_uid(message)
    found: dict[str | None, list[Group]] = {}
    for group in orders:
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
            key = fields.key(message, len(keyed))
            keyed.append(KeyedSubmission(submission, key, beside))
    if not keyed:
        reason = "only a document, such as a PDF, that no model can read" if has_document else ""
        raise NoTextError(
            f"no report text: {reason or 'no OBX-5 of a type TX, FT, ST, CE or ED has words'}"
        )
    return keyed


def _submission(group: Group, document: Segment | None, **read: Any) -> ReportSubmission:
    patient_id, issuer = fields.patient_id(group.patient)
    try:
        return ReportSubmission(
            accession_number=fields.accession_number(group, document),
            patient_id=patient_id,
            patient_id_issuer=issuer,
            urgent=fields.is_urgent(group),
            **read,
        )
    except ValidationError as error:
        raise fields.refusal(error) from None


def _status(
    header: Segment, document: Segment | None, parts: Sequence[Group]
) -> ReportStatus | None:
    if document is not None:
        return status.of_document(header.value(9, 2), document)
    observations = [one for part in parts for one in part.observations]
    return status.of_orders([part.order for part in parts], observations)


def _report_id(group: Group, document: Segment | None) -> str | None:
    """Return what stays the same when the report is corrected.

    The filler's number, since the filler writes the report; of a document its parent, which it
    replaces or amends (section 9.7.1.13), else its own number.
    """
    if document is not None:
        return fields.first((document, 13), (document, 12))
    return fields.first(
        (group.order, 3), (group.common_order, 3), (group.order, 2), (group.common_order, 2)
    )


def _is_withdrawn(group: Group) -> bool:
    """Tell whether the order was cancelled (OBR-25, table 0123)."""
    return group.order is not None and group.order.value(25).upper() in _WITHDRAWN
