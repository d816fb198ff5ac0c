"""Negotiation of presentation contexts."""

import pytest

from medqueue.doors.dimse.associate import ContextResult, ProposedContext
from medqueue.doors.dimse.presentation import TRANSFER_SYNTAXES, AcceptedContext, negotiate

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG_XL, HTJ2K, DEFLATED = (
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.1.99",
)


def test_the_first_transfer_syntax_of_the_sender_that_we_take_is_chosen() -> None:
    accepted, answers = negotiate([ProposedContext(1, CT, ("1.2.3.4", EXPLICIT, IMPLICIT))])
    assert accepted == {1: AcceptedContext(1, CT, EXPLICIT)}
    assert answers[0].result is ContextResult.ACCEPTANCE


@pytest.mark.parametrize("uid", [IMPLICIT, EXPLICIT, BIG_ENDIAN, JPEG_XL, HTJ2K, DEFLATED])
def test_what_cannot_be_decoded_here_can_be_stored(uid: str) -> None:
    assert uid in TRANSFER_SYNTAXES


def test_a_storage_class_that_is_newer_than_our_table_is_taken() -> None:
    accepted, _ = negotiate([ProposedContext(1, "1.2.840.10008.5.1.4.1.1.999.1", (IMPLICIT,))])
    assert 1 in accepted


def test_what_is_not_taken_is_answered_with_the_reason() -> None:
    accepted, answers = negotiate(
        [
            ProposedContext(1, "1.2.840.10008.5.1.4.1.2.2.1", (IMPLICIT,)),
            ProposedContext(3, CT, ("1.2.3.4",)),
        ]
    )
    assert accepted == {}
    assert [answer.result for answer in answers] == [
        ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
        ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED,
    ]
