"""Protocol data units of the DICOM Upper Layer (PS3.8 section 9.3), but for A-ASSOCIATE."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from medqueue.errors import RefusedInputError

HEADER_LENGTH = 6
"""PDU-type, reserved, and a PDU-length of four bytes: the same for every PDU."""

PDV_HEADER_LENGTH = 6
"""Item-length, Presentation-context-ID, and the message control header."""

_HEADER = struct.Struct(">BxL")
_PDV_HEADER = struct.Struct(">LBB")
_COMMAND, _LAST = 0x01, 0x02
"""Bits of the message control header (PS3.8 section E.2)."""


class PduType(IntEnum):
    """PDU-type (PS3.8 sections 9.3.2 to 9.3.8)."""

    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


class AbortSource(IntEnum):
    """Who aborts (PS3.8 section 9.3.8)."""

    SERVICE_USER = 0
    SERVICE_PROVIDER = 2


class AbortReason(IntEnum):
    """Why the provider aborts (PS3.8 section 9.3.8)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PDU_PARAMETER = 4
    UNEXPECTED_PDU_PARAMETER = 5
    INVALID_PDU_PARAMETER_VALUE = 6


class Rejection(IntEnum):
    """Why an association is rejected: Result, Source and Reason (PS3.8 section 9.3.4)."""

    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = 0x010102
    CALLING_AE_TITLE_NOT_RECOGNIZED = 0x010103
    CALLED_AE_TITLE_NOT_RECOGNIZED = 0x010107
    PROTOCOL_VERSION_NOT_SUPPORTED = 0x010202
    TEMPORARY_CONGESTION = 0x020301
    LOCAL_LIMIT_EXCEEDED = 0x020302


class ProtocolError(RefusedInputError):
    """The peer broke the Upper Layer protocol; the association is aborted with `reason`."""

    code = "protocol"

    def __init__(self, detail: str, reason: AbortReason) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PduHeader:
    """The first six bytes. `type` may be a number that the standard does not know."""

    type: int
    length: int


@dataclass(frozen=True, slots=True)
class PdvHeader:
    """The first six bytes of a presentation data value (PS3.8 sections 9.3.5.1 and E.2)."""

    context_id: int
    is_command: bool
    is_last: bool
    length: int
    """Of the fragment, without these six bytes."""


def decode_header(data: bytes) -> PduHeader:
    """Decode what every PDU begins with."""
    kind, length = _HEADER.unpack(data)
    return PduHeader(kind, length)


def decode_pdv_header(data: bytes, available: int) -> PdvHeader:
    """Decode the beginning of a presentation data value.

    Args:
        data: its first six bytes.
        available: what is left of the P-DATA-TF PDU, these bytes included.

    Raises:
        ProtocolError: the value does not fit into its PDU.
    """
    item_length, context_id, control = _PDV_HEADER.unpack(data)
    # Item-length counts the context and the control header, but not itself.
    if not 2 <= item_length <= available - 4:  # noqa: PLR2004 - those two bytes
        raise ProtocolError(
            "a presentation data value does not fit into its PDU",
            AbortReason.INVALID_PDU_PARAMETER_VALUE,
        )
    return PdvHeader(context_id, bool(control & _COMMAND), bool(control & _LAST), item_length - 2)


def encode(kind: PduType, content: bytes) -> bytes:
    """Put the header before the content of a PDU."""
    return _HEADER.pack(kind, len(content)) + content


def encode_p_data(
    context_id: int, content: bytes, longest: int, *, is_command: bool = True
) -> bytes:
    """Encode a command set or a data set as P-DATA-TF PDUs that are no longer than the peer takes.

    Args:
        context_id: the presentation context of the message.
        content: the command set or data set.
        longest: Maximum Length Received of the peer; 0 for no limit (PS3.8 section D.1).
        is_command: which of the two it is.
    """
    room = longest - PDV_HEADER_LENGTH if longest else len(content)
    pdus = []
    for start in range(0, len(content), room):
        fragment = content[start : start + room]
        control = is_command * _COMMAND | (_LAST if start + room >= len(content) else 0)
        header = _PDV_HEADER.pack(len(fragment) + 2, context_id, control)
        pdus.append(encode(PduType.P_DATA_TF, header + fragment))
    return b"".join(pdus)


def encode_reject(rejection: Rejection) -> bytes:
    """Encode an A-ASSOCIATE-RJ PDU (PS3.8 section 9.3.4)."""
    return encode(PduType.A_ASSOCIATE_RJ, b"\x00" + rejection.to_bytes(3, "big"))


def encode_release_reply() -> bytes:
    """Encode an A-RELEASE-RP PDU (PS3.8 section 9.3.7)."""
    return encode(PduType.A_RELEASE_RP, bytes(4))


def encode_abort(source: AbortSource, reason: AbortReason = AbortReason.NOT_SPECIFIED) -> bytes:
    """Encode an A-ABORT PDU (PS3.8 section 9.3.8)."""
    return encode(PduType.A_ABORT, bytes((0, 0, source, reason)))
