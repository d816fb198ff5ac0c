"""The walk over encoded elements: hostile lengths, nesting and bombs."""

import contextlib
import io
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file

from medqueue.doors.elements import Walk
from medqueue.doors.sources import InflatingSource, PlainSource
from medqueue.errors import NotDicomError

PATIENT_ID = 0x00100020
LAST = 0x00401003


def explicit(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    if vr in {b"SQ", b"UN", b"OB"}:
        return struct.pack("<HH2sxxL", group, element, vr, len(value)) + value
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def undefined(group: int, element: int, vr: bytes, content: bytes) -> bytes:
    head = struct.pack("<HH2sxxL", group, element, vr, 0xFFFFFFFF)
    return head + content + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def item(content: bytes, *, is_defined: bool = True) -> bytes:
    if is_defined:
        return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content
    head = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return head + content + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)


ID = explicit(0x0010, 0x0020, b"LO", b"P-1 ")


def walk(data_set: bytes, inside: frozenset[int] = frozenset()) -> dict[int, bytes]:
    source = PlainSource(io.BufferedReader(io.BytesIO(data_set)))  # type: ignore[arg-type]
    return Walk(source, implicit=False, big_endian=False).values_of(
        {PATIENT_ID}, inside=inside, last=LAST
    )


def test_a_value_after_a_sequence_of_either_length_is_found() -> None:
    inner = explicit(0x0008, 0x1155, b"UI", b"1.2.3\x00")
    for sequence in (
        explicit(0x0008, 0x1140, b"SQ", item(inner)),
        undefined(0x0008, 0x1140, b"SQ", item(inner) + item(inner, is_defined=False)),
        undefined(0x0008, 0x1140, b"SQ", b""),
    ):
        assert walk(sequence + ID) == {PATIENT_ID: b"P-1 "}


def test_a_value_inside_another_sequence_is_not_taken_for_that_of_the_object() -> None:
    other = explicit(0x0010, 0x0020, b"LO", b"OTHER ")
    for sequence in (
        explicit(0x0008, 0x1140, b"SQ", item(other)),
        undefined(0x0008, 0x1140, b"SQ", item(other, is_defined=False)),
    ):
        assert walk(sequence) == {}
        assert walk(sequence, inside=frozenset({0x00081140})) == {PATIENT_ID: b"OTHER "}


def test_an_unknown_sequence_is_implicit_inside() -> None:
    inner = struct.pack("<HHL", 0x0009, 0x1001, 6) + b"secret"
    unknown = undefined(0x0009, 0x1010, b"UN", item(inner, is_defined=False))
    assert walk(unknown + ID) == {PATIENT_ID: b"P-1 "}


def test_an_implicit_element_in_an_explicit_data_set_is_passed() -> None:
    implicit = struct.pack("<HHL", 0x0009, 0x1001, 6) + b"secret"
    assert walk(implicit + ID) == {PATIENT_ID: b"P-1 "}


@pytest.mark.parametrize(
    "data_set",
    [
        ID[:-1],
        struct.pack("<HH2sxxL", 0x0008, 0x0001, b"OB", 0x7FFFFFFF),
        explicit(0x0008, 0x1140, b"SQ", b"")[:-2],
        undefined(0x0008, 0x1140, b"SQ", explicit(0x0008, 0x0018, b"UI", b"1.2.3\x00")),
        struct.pack("<HH2sxxL", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF),
    ],
    ids=["value", "length", "header", "no item", "no end"],
)
def test_a_data_set_that_is_cut_off_or_out_of_place_is_refused(data_set: bytes) -> None:
    with pytest.raises(NotDicomError):
        walk(data_set)


def test_nesting_deeper_than_any_real_object_is_refused() -> None:
    head = struct.pack("<HH2sxxL", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF)
    begin = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(NotDicomError, match="deeper"):
        walk((head + begin) * 100_000)


def test_a_header_of_endless_elements_is_refused() -> None:
    with pytest.raises(NotDicomError, match="more elements"):
        walk(explicit(0x0009, 0x1001, b"LO", b"") * 600_000)


def inflating(deflated: bytes, most: int) -> InflatingSource:
    return InflatingSource(io.BufferedReader(io.BytesIO(deflated)), most)  # type: ignore[arg-type]


def deflate(plain: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(plain) + compressor.flush()


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_a_deflated_data_set_reads_as_what_was_deflated(plain: bytes, first: int, go: int) -> None:
    source = inflating(deflate(plain), 1000)
    assert source.read(first) == plain[:first]
    assert source.skip(go) == (first + go <= len(plain) or go == 0)
    assert source.read(1000) == plain[first + go :]


def test_a_deflated_bomb_is_refused_at_the_bound() -> None:
    with pytest.raises(NotDicomError, match="bound"):
        inflating(deflate(bytes(10_000_000)), 1_000_000).skip(10_000_000)


def test_a_broken_deflated_stream_is_refused() -> None:
    with pytest.raises(NotDicomError, match="broken"):
        inflating(b"\xff" * 100, 1000).read(10)


@given(st.data())
def test_a_mutated_data_set_is_walked_or_refused(data: st.DataObject) -> None:
    mutated = bytearray(_CT)
    for _ in range(data.draw(st.integers(1, 20))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotDicomError):
        walk(bytes(mutated), inside=frozenset({0x00400275}))


class OneByOne(PlainSource):
    """Has nothing at hand, so that every element is looked at closely."""

    def at_hand(self) -> tuple[bytes, int]:
        return b"", 0


@given(st.data())
def test_to_leap_over_elements_finds_what_one_by_one_finds(data: st.DataObject) -> None:
    mutated = bytearray(_CT * 3)
    for _ in range(data.draw(st.integers(0, 5))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    found: list[dict[int, bytes] | None] = []
    for kind in (PlainSource, OneByOne):
        source = kind(io.BufferedReader(io.BytesIO(mutated)))  # type: ignore[arg-type]
        found.append(None)
        with contextlib.suppress(NotDicomError):
            found[-1] = Walk(source, implicit=False, big_endian=False).values_of(
                {PATIENT_ID, 0x0020000D}, inside={0x00400275}, last=0xFFFFFFFF
            )
    assert found[0] == found[1]


def _encoded_header() -> bytes:
    path = get_testdata_file("CT_small.dcm", download=False)
    with open(str(path), "rb") as file:  # noqa: PTH123
        dcmread(file, stop_before_pixels=True)
        end = file.tell()
        file.seek(0)
        whole = file.read(end)
    meta_end = 144 + int.from_bytes(whole[140:144], "little")
    return whole[meta_end:]


_CT = _encoded_header()
