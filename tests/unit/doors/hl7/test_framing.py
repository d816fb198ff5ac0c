"""MLLP frames: the same messages come out, however the stream is cut and what lies between."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqueue.doors.hl7.framing import Deframer, Frame, GarbageError
from medqueue.doors.hl7.limits import Limits

LIMITS = replace(Limits(), message_length=200, thrown_away=2000, garbage=60)
CONTENT = st.binary(min_size=1, max_size=80).map(
    lambda content: b"MSH|" + content.replace(b"\x1c", b"").replace(b"\x0b", b"")
)


def block(content: bytes) -> bytes:
    return b"\x0b" + content + b"\x1c\r"


def contents(stream: bytes, cuts: list[int], limits: Limits = LIMITS) -> list[Frame]:
    deframer = Deframer(limits)
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(places)]
    return [frame for piece in pieces for frame in deframer.feed(piece)]


@given(st.lists(CONTENT, max_size=5), st.lists(st.integers(0, 10_000), max_size=8))
def test_the_pieces_of_a_stream_do_not_matter(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(block(message) for message in messages)
    assert contents(stream, cuts) == [Frame(message) for message in messages]


@given(st.binary(max_size=300), st.lists(st.integers(0, 10_000), max_size=8))
def test_a_good_message_after_any_noise_comes_through(noise: bytes, cuts: list[int]) -> None:
    limits = replace(LIMITS, garbage=1000)
    found = contents(noise + block(b"MSH|after"), cuts, limits)
    assert found[-1] == Frame(b"MSH|after")


@given(st.lists(st.integers(0, 10_000), max_size=12), st.integers(197, 1500))
def test_what_is_too_large_is_told_by_its_beginning_alone(cuts: list[int], size: int) -> None:
    large = b"MSH|" + b"x" * size
    first, second = contents(block(large) + block(b"MSH|next"), cuts)
    assert (first.complete, len(first.content) <= LIMITS.garbage) == (False, True)
    assert large.startswith(first.content[:40])
    assert second == Frame(b"MSH|next")


@given(st.lists(st.integers(0, 10_000), max_size=8))
def test_a_message_that_is_begun_again_is_taken_once(cuts: list[int]) -> None:
    stream = b"\x0bMSH|half of it" + block(b"MSH|whole")
    assert contents(stream, cuts) == [Frame(b"MSH|whole")]


@pytest.mark.parametrize("inner", [b"\x1cx", b"\x0bx", b"\x0bMS", b"\x1c\x1cx", b"\x1c\x00"])
def test_framing_characters_in_a_text_stay_there(inner: bytes) -> None:
    content = b"MSH|a" + inner + b"b"
    for cut in range(len(content) + 3):
        assert contents(block(content), [cut]) == [Frame(content)]


def test_without_a_carriage_return_the_end_is_known_when_none_comes() -> None:
    deframer = Deframer(LIMITS)
    assert deframer.feed(b"\x0bMSH|x\x1c") == []
    assert deframer.awaits_trailer
    assert deframer.end() == Frame(b"MSH|x")
    assert deframer.end() is None
    assert not deframer.inside


@pytest.mark.parametrize("stream", [b"noise" * 13, b"\x0b" + b"x" * 3000])
def test_what_never_ends_is_given_up(stream: bytes) -> None:
    with pytest.raises(GarbageError):
        contents(stream, list(range(0, len(stream), 50)))


@pytest.mark.parametrize("inner", [b"\x1c", b"\x1cx", b"\x0bMSH", b"\x0b", b"\x0bMS"])
def test_framing_characters_without_end_cost_no_more_than_text(inner: bytes) -> None:
    deframer = Deframer(Limits())
    piece = inner * (64 * 1024 // len(inner))
    began = time.process_time()
    deframer.feed(b"\x0bMSH|")
    for _ in range(16):
        deframer.feed(piece)
    assert time.process_time() - began < 3
