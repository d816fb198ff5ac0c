"""A-ASSOCIATE-RQ and -AC: golden bytes, and anything at all."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC

from medqueue.doors.dimse.associate import (
    AssociateRequest,
    ContextAnswer,
    ContextResult,
    ProposedContext,
    decode_request,
    encode_accept,
)
from medqueue.doors.dimse.pdu import ProtocolError

# What follows the PDU header:
# 00 01                      Protocol-version: 1
# 00 00                      reserved
# "MEDQUEUE        "         Called-AE-title
# "ECHOSCU         "         Calling-AE-title
# 32 bytes                   reserved
# 10 00 00 15 "1.2.840..."   Application Context Item
# 20 00 00 2e                Presentation Context Item
#   01 00 00 00              Presentation-context-ID 1
#   30 00 00 11 "1.2.840.10008.1.1"   Abstract Syntax: Verification
#   40 00 00 11 "1.2.840.10008.1.2"   Transfer Syntax: Implicit VR Little Endian
# 50 00 00 1c                User Information Item
#   51 00 00 04 00 00 40 00  Maximum Length Received: 16,384
#   52 00 00 03 "1.2"        Implementation Class UID
#   53 00 00 04 00 01 00 01  Asynchronous Operations Window: declined by silence
#   99 00 00 01 00           a sub-item that nobody knows
REQUEST = (
    bytes.fromhex("0001 0000")
    + b"MEDQUEUE        ECHOSCU         "
    + bytes(32)
    + bytes.fromhex("10000015")
    + b"1.2.840.10008.3.1.1.1"
    + bytes.fromhex("2000002e 01000000 30000011")
    + b"1.2.840.10008.1.1"
    + bytes.fromhex("40000011")
    + b"1.2.840.10008.1.2"
    + bytes.fromhex("5000001c 51000004 00004000 52000003")
    + b"1.2"
    + bytes.fromhex("53000004 00010001 99000001 00")
)


def test_a_request_is_read_and_what_is_unknown_in_it_is_passed_over() -> None:
    assert decode_request(REQUEST) == AssociateRequest(
        protocol_version=1,
        called_ae="MEDQUEUE",
        calling_ae="ECHOSCU",
        application_context="1.2.840.10008.3.1.1.1",
        contexts=(ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
        max_length=16384,
    )


def test_an_acceptance_is_understood_by_another_implementation() -> None:
    encoded = encode_accept(
        decode_request(REQUEST),
        [
            ContextAnswer(1, ContextResult.ACCEPTANCE, "1.2.840.10008.1.2"),
            ContextAnswer(3, ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, "1.2.840.10008.1.2"),
        ],
        max_length=262144,
        implementation_class_uid="1.2.3",
        implementation_version_name="TEST",
    )
    decoded = A_ASSOCIATE_AC()
    decoded.decode(encoded)
    assert decoded.calling_ae_title.strip() == "ECHOSCU"
    assert [(item.context_id, item.result) for item in decoded.presentation_context] == [
        (1, 0),
        (3, 3),
    ]
    assert decoded.user_information.maximum_length == 262144


def test_a_request_that_is_cut_off_anywhere_breaks_the_protocol_or_lacks_items() -> None:
    for length in range(len(REQUEST)):
        try:
            decoded = decode_request(REQUEST[:length])
        except ProtocolError:
            continue
        # Cut between two items: what is left is well formed.
        assert not decoded.contexts or decoded.max_length in {0, 16384}


@pytest.mark.parametrize(
    ("at", "byte"),
    [
        (4, 0xFF),  # AE title that is not ASCII
        (4, 0x07),  # AE title with a control character
        (97, 0x02),  # even context identifier
        (96 - 1, 0xFF),  # context item longer than what is there
    ],
)
def test_a_request_with_a_wrong_value_breaks_the_protocol(at: int, byte: int) -> None:
    damaged = bytearray(REQUEST)
    damaged[at] = byte
    with pytest.raises(ProtocolError):
        decode_request(bytes(damaged))


def test_a_maximum_length_without_room_for_an_answer_breaks_the_protocol() -> None:
    tiny = REQUEST.replace(struct.pack(">L", 16384), struct.pack(">L", 12))
    with pytest.raises(ProtocolError):
        decode_request(tiny)


@settings(max_examples=200)
@given(st.data())
def test_a_mutated_request_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    mutated = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        decode_request(bytes(mutated))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode_request(REQUEST[:68] + content)
