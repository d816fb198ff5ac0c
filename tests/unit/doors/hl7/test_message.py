"""A message taken apart: as python-hl7 does it, and in time whatever comes."""

import time

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.message import Message

HEADER = "MSH|^~\\&|RIS|HOSPITAL|MEDQUEUE|AI|20260301||ORU^R01^ORU_R01|M-1|P|2.5.1"
SEGMENTS = st.builds(
    "{}|{}".format,
    st.sampled_from(["PID", "OBR", "OBX", "NTE", "ZX1"]),
    # Trimmed, since python-hl7 trims messages and we trim values.
    st.text("ab|^~&.", max_size=40),
)


def parse(text: str) -> Message:
    return Message(text.encode(), default_codec="utf-8", limits=Limits())


def leaves(part: object) -> list[str]:
    return [part] if isinstance(part, str) else [str(piece) for piece in part]


@given(st.lists(SEGMENTS, max_size=5))
def test_fields_repetitions_and_components_are_those_that_python_hl7_finds(
    segments: list[str],
) -> None:
    text = "\r".join((HEADER, *segments))
    ours, reference = parse(text), hl7.parse(text)
    assert [one.name for one in ours] == [str(one[0]) for one in reference]
    for segment, wanted in zip(ours, reference, strict=True):
        first = 3 if segment.name == "MSH" else 1  # MSH-1 and MSH-2 are the delimiters themselves
        for number in range(first, len(wanted) + 2):
            field = wanted[number] if number < len(wanted) else []
            assert segment.raw(number) == str(field or "")
            if not segment.raw(number):
                assert segment.repetitions(number) == []
                continue
            components = [
                [leaves(part) for part in ([one] if isinstance(one, str) else one)] for one in field
            ]
            assert segment.repetitions(number) == [
                [part[0] if part else "" for part in repetition] for repetition in components
            ]
            assert segment.pieces(number) == [piece for part in components[0] for piece in part]
            assert segment.text(number) == "\n".join(str(one) for one in field)
            assert segment.value(number) == components[0][0][0]
            second = components[0][1][0] if len(components[0]) > 1 else ""
            assert segment.value(number, 2) == second


@pytest.mark.parametrize(
    "body",
    ["OBX|1|TX|||" + "x\r" * 500_000, "OBX|1|TX|||" + "~x" * 40_000, "x|" * 40_000],
    ids=["line ends inside a text", "repetitions", "fields"],
)
def test_a_message_that_is_made_to_be_slow_is_not(body: str) -> None:
    began = time.process_time()
    message = parse(f"{HEADER}\r{body}")
    for segment in message:
        segment.repetitions(5)
        segment.text(5)
    assert time.process_time() - began < 2
