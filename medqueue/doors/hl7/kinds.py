"""Which messages are taken, and as what."""

from enum import StrEnum

from medqueue.doors.hl7.message import Segment
from medqueue.errors import NotHl7Error, UnsupportedMessageError


class Kind(StrEnum):
    """What a message brings."""

    REPORTS = "reports"
    DOCUMENT = "document"
    ORDERS = "orders"


_KINDS = {
    ("ORU", ""): Kind.REPORTS,
    ("ORU", "R01"): Kind.REPORTS,
    # Of MDM, those that carry the content of the document (chapter 9, section 9.6).
    **{("MDM", event): Kind.DOCUMENT for event in ("T02", "T04", "T06", "T08", "T10")},
    ("ORM", ""): Kind.ORDERS,
    ("ORM", "O01"): Kind.ORDERS,
    ("OMG", "O19"): Kind.ORDERS,
    ("OMI", "O23"): Kind.ORDERS,
}


def require_kind(header: Segment) -> Kind:
    """Return what a message brings, by its header.

    Raises:
        UnsupportedMessageError: the door does not take messages of this type.
        NotHl7Error: it has no control id.
    """
    version = header.value(12)
    if version and not version.startswith("2."):
        raise UnsupportedMessageError("MSH-12: HL7 version 2.1 to 2.8 is spoken here")
    kind = _KINDS.get((header.value(9), header.value(9, 2)))
    if kind is None:
        raise UnsupportedMessageError(
            "MSH-9: only ORU R01, MDM T02, T04, T06, T08, T10, ORM O01, OMG O19 and OMI O23 are "
            "taken"
        )
    if not header.value(10):
        raise NotHl7Error("MSH-10, the message control id, is empty (HL7 v2 section 2.15.9.10)")
    return kind
