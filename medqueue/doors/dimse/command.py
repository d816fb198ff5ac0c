"""Command sets of DIMSE messages (PS3.7 sections 6.3, 9.3 and annex E)."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from medqueue.doors.dimse.pdu import AbortReason, ProtocolError
from schemas.identifiers import is_uid

NO_DATA_SET = 0x0101
"""Command Data Set Type (0000,0800) of a message without a data set."""

PRIORITY_HIGH = 0x0001
"""Priority (0000,0700)."""

_RESPONSE = 0x8000
"""Set in the Command Field of every response."""

_ELEMENT = struct.Struct("<HHL")
_COMMENT_LONGEST = 64
"""Error Comment (0000,0902) is LO."""


class Field(IntEnum):
    """Command Field (0000,0100), PS3.7 section E.1."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    C_CANCEL_RQ = 0x0FFF
    N_EVENT_REPORT_RSP = 0x8100


class Status(IntEnum):
    """Status (0000,0900): PS3.7 annex C, and PS3.4 section B.2.3 for Storage."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    INVALID_ARGUMENT = 0x0115
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NO_SUCH_ACTION = 0x0123
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000


class _Element(IntEnum):
    """Element numbers in group 0000."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ACTION_TYPE_ID = 0x1008


@dataclass(frozen=True, slots=True)
class Request:
    """The command set of a request, as far as a Storage and Verification SCP needs it."""

    field: int
    message_id: int
    has_data_set: bool
    priority: int
    sop_class_uid: str
    sop_instance_uid: str
    """Empty where the request has none; not yet checked to be a UID."""
    action_type: int = 0
    """Action Type ID of an N-ACTION-RQ."""


def decode_request(command_set: bytes) -> Request:
    """Decode a command set: Implicit VR Little Endian, always (PS3.7 section 6.3.1).

    Raises:
        ProtocolError: it is no command set, or that of a response to what we never ask.
    """
    elements = _decode_elements(command_set)
    field = _unsigned(elements, _Element.COMMAND_FIELD)
    if field & _RESPONSE and field != Field.N_EVENT_REPORT_RSP:
        raise _invalid("a response came where only requests can")
    if field == Field.C_CANCEL_RQ:
        return Request(
            field, 0, has_data_set=False, priority=0, sop_class_uid="", sop_instance_uid=""
        )
    priority = elements.get(_Element.PRIORITY, b"")
    is_action = field == Field.N_ACTION_RQ
    sop_class, sop_instance = (
        (_Element.REQUESTED_SOP_CLASS_UID, _Element.REQUESTED_SOP_INSTANCE_UID)
        if is_action
        else (_Element.AFFECTED_SOP_CLASS_UID, _Element.AFFECTED_SOP_INSTANCE_UID)
    )
    id_of = _Element.MESSAGE_ID_BEING_RESPONDED_TO if field & _RESPONSE else _Element.MESSAGE_ID
    return Request(
        field=field,
        message_id=_unsigned(elements, id_of),
        has_data_set=_unsigned(elements, _Element.COMMAND_DATA_SET_TYPE) != NO_DATA_SET,
        priority=int.from_bytes(priority[:2], "little"),
        sop_class_uid=_text(elements, sop_class),
        sop_instance_uid=_text(elements, sop_instance),
        action_type=_unsigned(elements, _Element.ACTION_TYPE_ID) if is_action else 0,
    )


def encode_response(request: Request, status: Status, comment: str = "") -> bytes:
    """Encode the response to a request (PS3.7 sections 9.3.1.2 and 9.3.5.2).

    Args:
        request: what is answered; its UIDs come back if they are UIDs.
        status: what became of it.
        comment: why, for a person at the other end; without patient data.
    """
    elements: dict[int, bytes] = {
        _Element.COMMAND_FIELD: _short(request.field | _RESPONSE),
        _Element.MESSAGE_ID_BEING_RESPONDED_TO: _short(request.message_id),
        _Element.COMMAND_DATA_SET_TYPE: _short(NO_DATA_SET),
        _Element.STATUS: _short(status),
    }
    if is_uid(request.sop_class_uid):
        elements[_Element.AFFECTED_SOP_CLASS_UID] = _even(request.sop_class_uid, b"\x00")
    if is_uid(request.sop_instance_uid):
        elements[_Element.AFFECTED_SOP_INSTANCE_UID] = _even(request.sop_instance_uid, b"\x00")
    if request.field == Field.N_ACTION_RQ:
        elements[_Element.ACTION_TYPE_ID] = _short(request.action_type)
    if comment:
        plain = comment.encode("ascii", "replace").decode().replace("\\", "/")
        elements[_Element.ERROR_COMMENT] = _even(plain[:_COMMENT_LONGEST], b" ")
    return _encode_elements(elements)


def encode_event_report(request: Request, message_id: int, event_type: int) -> bytes:
    """Encode an N-EVENT-REPORT-RQ about what an N-ACTION-RQ asked for (PS3.7 section 10.3.1)."""
    return _encode_elements(
        {
            _Element.AFFECTED_SOP_CLASS_UID: _even(request.sop_class_uid, b"\x00"),
            _Element.COMMAND_FIELD: _short(Field.N_EVENT_REPORT_RQ),
            _Element.MESSAGE_ID: _short(message_id),
            _Element.COMMAND_DATA_SET_TYPE: _short(NO_DATA_SET - 1),
            _Element.AFFECTED_SOP_INSTANCE_UID: _even(request.sop_instance_uid, b"\x00"),
            _Element.EVENT_TYPE_ID: _short(event_type),
        }
    )


def _encode_elements(elements: dict[int, bytes]) -> bytes:
    body = b"".join(_encode_element(number, elements[number]) for number in sorted(elements))
    return _encode_element(_Element.GROUP_LENGTH, struct.pack("<L", len(body))) + body


def _decode_elements(command_set: bytes) -> dict[int, bytes]:
    elements = {}
    position = 0
    while position < len(command_set):
        if len(command_set) - position < _ELEMENT.size:
            raise _invalid("a command set is cut off")
        group, number, length = _ELEMENT.unpack_from(command_set, position)
        position += _ELEMENT.size
        if group != 0 or length > len(command_set) - position:
            raise _invalid("a command set has elements that cannot be in it")
        elements[number] = command_set[position : position + length]
        position += length
    return elements


def _unsigned(elements: dict[int, bytes], number: _Element) -> int:
    value = elements.get(number, b"")
    if len(value) != 2:  # noqa: PLR2004 - VR US
        raise _invalid(f"a command set lacks {number.name}")
    return int.from_bytes(value, "little")


def _text(elements: dict[int, bytes], number: _Element) -> str:
    return elements.get(number, b"").rstrip(b"\x00 ").decode("ascii", "replace")


def _short(value: int) -> bytes:
    return struct.pack("<H", value)


def _even(text: str, padding: bytes) -> bytes:
    value = text.encode()
    return value + padding * (len(value) % 2)


def _encode_element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value


def _invalid(detail: str) -> ProtocolError:
    return ProtocolError(detail, AbortReason.INVALID_PDU_PARAMETER_VALUE)
