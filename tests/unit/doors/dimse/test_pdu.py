"""PDUs of the Upper Layer: golden bytes, and anything at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqueue.doors.dimse.pdu import (
    AbortReason,
    AbortSource,
    PduHeader,
    PdvHeader,
    ProtocolError,
    Rejection,
    decode_header,
    decode_pdv_header,
    encode_abort,
    encode_p_data,
    encode_reject,
    encode_release_reply,
)


def test_a_header_gives_type_and_length() -> None:
    # 04           PDU-type: P-DATA-TF
    # 00           reserved
    # 00 00 40 06  PDU-length: 16,390
    assert decode_header(bytes.fromhex("0400 00004006")) == PduHeader(type=0x04, length=16390)


def test_a_presentation_data_value_gives_context_kind_and_length() -> None:
    # 00 00 00 06  Item-length: context, control and four bytes
    # 03           Presentation-context-ID
    # 02           message control header: data set, last fragment
    assert decode_pdv_header(bytes.fromhex("00000006 03 02"), available=10) == PdvHeader(
        context_id=3, is_command=False, is_last=True, length=4
    )


@pytest.mark.parametrize("item_length", [0, 1, 7, 0xFFFFFFFF])
def test_a_value_that_does_not_fit_its_pdu_breaks_the_protocol(item_length: int) -> None:
    with pytest.raises(ProtocolError) as raised:
        decode_pdv_header(item_length.to_bytes(4, "big") + b"\x01\x00", available=10)
    assert raised.value.reason is AbortReason.INVALID_PDU_PARAMETER_VALUE


def test_an_abort_names_source_and_reason() -> None:
    # 07           PDU-type: A-ABORT
    # 00           reserved
    # 00 00 00 04  PDU-length
    # 00 00        reserved
    # 02           Source: DICOM UL service-provider
    # 01           Reason: unrecognized-PDU
    assert encode_abort(
        AbortSource.SERVICE_PROVIDER, AbortReason.UNRECOGNIZED_PDU
    ) == bytes.fromhex("0700 00000004 0000 02 01")


def test_a_rejection_has_result_source_and_reason() -> None:
    # 03           PDU-type: A-ASSOCIATE-RJ
    # 00           reserved
    # 00 00 00 04  PDU-length
    # 00           reserved
    # 01           Result: rejected-permanent
    # 01           Source: DICOM UL service-user
    # 07           Reason: called-AE-title-not-recognized
    assert encode_reject(Rejection.CALLED_AE_TITLE_NOT_RECOGNIZED) == bytes.fromhex(
        "0300 00000004 00 01 01 07"
    )


def test_a_release_is_answered_with_four_reserved_bytes() -> None:
    assert encode_release_reply() == bytes.fromhex("0600 00000004 00000000")


@given(command=st.binary(min_size=1, max_size=400), longest=st.sampled_from([0, 128, 200, 16384]))
def test_an_answer_comes_in_pdus_that_the_peer_takes(command: bytes, longest: int) -> None:
    encoded = encode_p_data(5, command, longest)
    collected = b""
    while encoded:
        header = decode_header(encoded[:6])
        assert header.type == 0x04
        assert longest == 0 or header.length <= longest
        value = decode_pdv_header(encoded[6:12], header.length)
        collected += encoded[12 : 12 + value.length]
        encoded = encoded[6 + header.length :]
        assert (value.context_id, value.is_command) == (5, True)
        assert value.is_last == (not encoded)
    assert collected == command
