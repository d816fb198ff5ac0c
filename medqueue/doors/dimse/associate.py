"""A-ASSOCIATE-RQ and A-ASSOCIATE-AC (PS3.8 sections 9.3.2 and 9.3.3, PS3.7 annex D)."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from medqueue.doors.dimse.pdu import AbortReason, PduType, ProtocolError, encode

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
"""The DICOM application context name (PS3.7 section A.2.1)."""

PROTOCOL_VERSION = 0x0001
"""Bit 0 is version 1, the only one there is; other bits are not looked at."""

_FIXED = struct.Struct(">H2x16s16s32x")
_ITEM = struct.Struct(">BxH")
_UID_LONGEST = 64
_MAX_TRANSFER_SYNTAXES = 100
"""Of one presentation context; the standard has some sixty."""

_LEAST_PDU_LENGTH = 128
"""A peer that takes less cannot be answered in one PDU; nothing real is near it."""


class Item(IntEnum):
    """Item-type of the variable items."""

    APPLICATION_CONTEXT = 0x10
    PRESENTATION_CONTEXT_RQ = 0x20
    PRESENTATION_CONTEXT_AC = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    IMPLEMENTATION_VERSION_NAME = 0x55


class ContextResult(IntEnum):
    """Result/Reason of a presentation context (PS3.8 section 9.3.3.2)."""

    ACCEPTANCE = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context as the requestor proposes it."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextAnswer:
    """What becomes of a proposed context. `transfer_syntax` counts only when it is accepted."""

    id: int
    result: ContextResult
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. Sub-items that do not concern a Storage SCP are left out.

    Left out, and thereby declined as the standard has it: asynchronous operations window (so it
    is 1), SCP/SCU role selection (so the requestor is the SCU), extended negotiation, and user
    identity (PS3.7 sections D.3.3.3 to D.3.3.7).
    """

    protocol_version: int
    called_ae: str
    calling_ae: str
    application_context: str
    contexts: tuple[ProposedContext, ...]
    max_length: int
    """Maximum Length Received of the requestor; 0 for no limit."""


def decode_request(content: bytes, *, max_contexts: int = 128) -> AssociateRequest:
    """Decode what follows the header of an A-ASSOCIATE-RQ PDU.

    Raises:
        ProtocolError: it is not one.
    """
    if len(content) < _FIXED.size:
        raise _invalid("A-ASSOCIATE-RQ is too short")
    version, called, calling = _FIXED.unpack_from(content)
    application_context = ""
    contexts: dict[int, ProposedContext] = {}
    max_length = 0
    for kind, value in _items(content[_FIXED.size :]):
        if kind == Item.APPLICATION_CONTEXT:
            application_context = _decode_uid(value)
        elif kind == Item.PRESENTATION_CONTEXT_RQ:
            context = _decode_context(value)
            if context.id in contexts or len(contexts) == max_contexts:
                raise _invalid("presentation contexts repeat, or there are too many")
            contexts[context.id] = context
        elif kind == Item.USER_INFORMATION:
            max_length = _decode_max_length(value)
    return AssociateRequest(
        protocol_version=version,
        called_ae=_decode_ae(called),
        calling_ae=_decode_ae(calling),
        application_context=application_context,
        contexts=tuple(contexts.values()),
        max_length=max_length,
    )


def encode_accept(
    request: AssociateRequest,
    answers: Sequence[ContextAnswer],
    *,
    max_length: int,
    implementation_class_uid: str,
    implementation_version_name: str,
) -> bytes:
    """Encode an A-ASSOCIATE-AC PDU (PS3.8 section 9.3.3)."""
    user_information = b"".join(
        (
            _item(Item.MAXIMUM_LENGTH, struct.pack(">L", max_length)),
            _item(Item.IMPLEMENTATION_CLASS_UID, implementation_class_uid.encode()),
            _item(Item.IMPLEMENTATION_VERSION_NAME, implementation_version_name.encode()),
        )
    )
    content = [
        # The titles come back as they were sent; a requestor does not test them.
        _FIXED.pack(
            PROTOCOL_VERSION, _encode_ae(request.called_ae), _encode_ae(request.calling_ae)
        ),
        _item(Item.APPLICATION_CONTEXT, APPLICATION_CONTEXT.encode()),
        *(
            _item(
                Item.PRESENTATION_CONTEXT_AC,
                bytes((answer.id, 0, answer.result, 0))
                + _item(Item.TRANSFER_SYNTAX, answer.transfer_syntax.encode()),
            )
            for answer in answers
        ),
        _item(Item.USER_INFORMATION, user_information),
    ]
    return encode(PduType.A_ASSOCIATE_AC, b"".join(content))


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if len(data) - position < _ITEM.size:
            raise _invalid("an item of A-ASSOCIATE-RQ is cut off")
        kind, length = _ITEM.unpack_from(data, position)
        position += _ITEM.size
        if length > len(data) - position:
            raise _invalid("an item of A-ASSOCIATE-RQ is longer than what is there")
        yield kind, data[position : position + length]
        position += length


def _item(kind: Item, value: bytes) -> bytes:
    return _ITEM.pack(kind, len(value)) + value


def _decode_context(value: bytes) -> ProposedContext:
    head = 4
    if len(value) < head or value[0] % 2 == 0:
        raise _invalid("a presentation context has no odd identifier")
    abstract_syntax = ""
    transfer_syntaxes = []
    for kind, content in _items(value[head:]):
        if kind == Item.ABSTRACT_SYNTAX:
            abstract_syntax = _decode_uid(content)
        elif kind == Item.TRANSFER_SYNTAX:
            transfer_syntaxes.append(_decode_uid(content))
        if len(transfer_syntaxes) > _MAX_TRANSFER_SYNTAXES:
            raise _invalid("a presentation context has too many transfer syntaxes")
    if not abstract_syntax or not transfer_syntaxes:
        raise _invalid("a presentation context has no abstract syntax or no transfer syntax")
    return ProposedContext(value[0], abstract_syntax, tuple(transfer_syntaxes))


def _decode_max_length(user_information: bytes) -> int:
    for kind, value in _items(user_information):
        if kind == Item.MAXIMUM_LENGTH and len(value) == 4:  # noqa: PLR2004 - PS3.8 section D.1.1
            length = int.from_bytes(value, "big")
            if 0 < length < _LEAST_PDU_LENGTH:
                raise _invalid("the Maximum Length Received leaves no room for an answer")
            return length
    return 0


def _decode_uid(value: bytes) -> str:
    """Decode a UID; some peers pad it with a NUL or a space, which PS3.8 section F does not."""
    try:
        text = value.rstrip(b"\x00 ").decode("ascii")
    except UnicodeDecodeError:
        raise _invalid("a name is not a UID") from None
    if not text or len(text) > _UID_LONGEST:
        raise _invalid("a name is not a UID")
    return text


def _decode_ae(value: bytes) -> str:
    """Decode an AE title; leading and trailing spaces do not count (PS3.8 section 9.3.2)."""
    try:
        title = value.rstrip(b"\x00").decode("ascii").strip(" ")
    except UnicodeDecodeError:
        raise _invalid("an AE title is not ASCII") from None
    if not title.isprintable():
        raise _invalid("an AE title has a control character")
    return title


def _encode_ae(title: str) -> bytes:
    return title.encode().ljust(16)


def _invalid(detail: str) -> ProtocolError:
    return ProtocolError(detail, AbortReason.INVALID_PDU_PARAMETER_VALUE)
