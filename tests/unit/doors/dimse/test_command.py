"""Command sets: golden bytes, another implementation as witness, and anything at all."""

import contextlib
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dsutils import decode

from medqueue.doors.dimse.command import (
    PRIORITY_HIGH,
    Field,
    Request,
    Status,
    decode_request,
    encode_response,
)
from medqueue.doors.dimse.pdu import ProtocolError

# 0000 0000 04000000 62000000     Command Group Length: 98
# 0000 0002 1a000000 "1.2..."     Affected SOP Class UID: CT Image Storage, padded with NUL
# 0000 0100 02000000 0100         Command Field: C-STORE-RQ
# 0000 0110 02000000 0700         Message ID: 7
# 0000 0700 02000000 0100         Priority: HIGH
# 0000 0800 02000000 0000         Command Data Set Type: there is one
# 0000 1000 06000000 "1.2.3\0"    Affected SOP Instance UID
C_STORE_RQ = (
    bytes.fromhex("00000000 04000000 62000000 00000200 1a000000")
    + b"1.2.840.10008.5.1.4.1.1.2\x00"
    + bytes.fromhex("00000001 02000000 0100")
    + bytes.fromhex("00001001 02000000 0700")
    + bytes.fromhex("00000007 02000000 0100")
    + bytes.fromhex("00000008 02000000 0000")
    + bytes.fromhex("00000010 06000000")
    + b"1.2.3\x00"
)


def test_a_store_request_is_read() -> None:
    assert decode_request(C_STORE_RQ) == Request(
        field=Field.C_STORE_RQ,
        message_id=7,
        has_data_set=True,
        priority=PRIORITY_HIGH,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid="1.2.3",
    )


def test_a_response_is_understood_by_another_implementation() -> None:
    request = decode_request(C_STORE_RQ)
    comment = "a comment with \\ and \xfc that is longer than the sixty-four characters of LO"
    encoded = encode_response(request, Status.OUT_OF_RESOURCES, comment)
    response = decode(BytesIO(encoded), True, True)
    assert response.CommandGroupLength == len(encoded) - 12
    assert response.CommandField == 0x8001
    assert response.MessageIDBeingRespondedTo == 7
    assert response.CommandDataSetType == 0x0101
    assert response.Status == 0xA700
    assert response.AffectedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert response.AffectedSOPInstanceUID == "1.2.3"
    assert (
        response.ErrorComment == "a comment with / and ? that is longer than the sixty-four charac"
    )


def test_what_is_no_uid_does_not_come_back() -> None:
    request = decode_request(C_STORE_RQ.replace(b"1.2.3\x00", b"../../"))
    response = decode(BytesIO(encode_response(request, Status.SUCCESS)), True, True)
    assert "AffectedSOPInstanceUID" not in response
    assert "ErrorComment" not in response


def test_a_response_where_only_requests_can_come_breaks_the_protocol() -> None:
    with pytest.raises(ProtocolError):
        decode_request(C_STORE_RQ.replace(bytes.fromhex("0000 0001 0200 0000 0100"), b"", 1))
    with pytest.raises(ProtocolError):
        decode_request(
            C_STORE_RQ.replace(
                bytes.fromhex("00000001 02000000 0100"), bytes.fromhex("00000001 02000000 0180")
            )
        )


def test_a_cancel_needs_no_more_than_its_command_field() -> None:
    assert not decode_request(bytes.fromhex("00000001 02000000 ff0f")).has_data_set


@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(C_STORE_RQ)), st.binary(max_size=8)).map(
            lambda cut: C_STORE_RQ[: cut[0]] + cut[1] + C_STORE_RQ[cut[0] + len(cut[1]) :]
        ),
    )
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert encode_response(decode_request(content), Status.SUCCESS)
