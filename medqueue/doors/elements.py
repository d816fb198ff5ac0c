"""Walks the elements of an encoded data set (PS3.5 section 7) and builds none of them.

A parser that makes objects of what it reads can be made to fill the memory; this one keeps the
few values it is asked for, skips the rest, and stops at a bound.
"""

import io
import struct
import zlib
from collections.abc import Container, Iterator
from typing import Protocol

from medqueue.errors import NotDicomError

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""Explicit VRs with two reserved bytes and a length of four (PS3.5 section 7.1.2)."""

_HEADER_LENGTH = 8
_LONGEST_VALUE = 4096
"""So much is kept of a value; those that are asked for have some 64 characters."""

_MOST_ELEMENTS = 500_000
"""Reads of one walk. Beyond it the data set is made to keep us busy; real ones need some 100."""

_DEEPEST = 64
_SKIP_AT_ONCE = 64 * 1024


class Source(Protocol):
    """Where the encoded data set is read from, forwards only."""

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end."""

    def skip(self, count: int) -> bool:
        """Go on by so many bytes; return False if there are fewer."""


class PlainSource:
    """A data set as it lies in a file."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        here = file.tell()
        self._end = file.seek(0, io.SEEK_END)
        file.seek(here)

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        return self._file.read(count)

    def skip(self, count: int) -> bool:
        """Go on by so many bytes; return False if there are fewer."""
        return self._file.seek(count, io.SEEK_CUR) <= self._end


class InflatingSource:
    """A deflated data set (PS3.5 section A.5), inflated up to a bound: it may be a bomb."""

    def __init__(self, file: io.BufferedReader, most: int) -> None:
        self._file = file
        self._left = most
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ready = b""

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end.

        Raises:
            NotDicomError: the stream is broken, or inflates beyond the bound.
        """
        pieces = []
        while count and (self._ready or self._inflate()):
            pieces.append(self._ready[:count])
            self._ready = self._ready[count:]
            count -= len(pieces[-1])
        return b"".join(pieces)

    def skip(self, count: int) -> bool:
        """Go on by so many bytes; return False if there are fewer."""
        while count:
            skipped = len(self.read(min(count, _SKIP_AT_ONCE)))
            if not skipped:
                return False
            count -= skipped
        return True

    def _inflate(self) -> bool:
        """Make some bytes ready; return False at the end."""
        while not self._ready and not self._inflater.eof:
            deflated = self._inflater.unconsumed_tail or self._file.read(_SKIP_AT_ONCE)
            if not deflated:
                return False
            try:
                self._ready = self._inflater.decompress(deflated, _SKIP_AT_ONCE)
            except zlib.error:
                raise NotDicomError("the deflated data set is broken") from None
            self._left -= len(self._ready)
            if self._left < 0:
                raise NotDicomError("the deflated data set has no header within its bound")
        return bool(self._ready)


class Walk:
    """One walk over one data set."""

    def __init__(self, source: Source, *, implicit: bool, big_endian: bool) -> None:
        self._source = source
        self._implicit = implicit
        order = ">" if big_endian else "<"
        self._head = struct.Struct(f"{order}HHL")
        self._short = struct.Struct(f"{order}6xH")
        self._long = struct.Struct(f"{order}L")
        self._position = 0
        self._left = _MOST_ELEMENTS

    def values_of(
        self, wanted: Container[int], *, inside: Container[int], last: int
    ) -> dict[int, bytes]:
        """Return the first values under the wanted tags.

        Args:
            wanted: tags, at the top or in the items of a sequence named by `inside`.
            inside: tags of sequences to look into.
            last: nothing beyond this tag is looked at.

        Raises:
            NotDicomError: the bytes do not parse.
        """
        found: dict[int, bytes] = {}
        for tag, vr, length in self._elements(None, implicit=self._implicit):
            if tag > last:
                break
            if tag not in wanted and tag not in inside and length != _UNDEFINED:
                self._skip(length)  # nearly all elements
            elif tag in inside:
                implicit = self._implicit or vr == b"UN"
                for end in self._items(length):
                    for inner, inner_vr, inner_length in self._elements(end, implicit=implicit):
                        if inner in wanted and inner_length != _UNDEFINED:
                            found.setdefault(inner, self._value(inner_length))
                        else:
                            self._pass(inner_vr, inner_length, implicit=implicit, depth=1)
            elif tag in wanted and length != _UNDEFINED:
                found.setdefault(tag, self._value(length))
            else:
                self._pass(vr, length, implicit=self._implicit, depth=0)
        return found

    def _elements(self, end: int | None, *, implicit: bool) -> Iterator[tuple[int, bytes, int]]:
        """Yield tag, VR and length; the value must be consumed before the next."""
        while end is None or self._position < end:
            head = self._read(_HEADER_LENGTH)
            if len(head) < _HEADER_LENGTH:
                return  # the rest of a padded or shortened data set: what is missing will show
            group, element, length = self._head.unpack(head)
            tag = group << 16 | element
            if tag == _ITEM_END:
                return
            vr = head[4:6]
            # Some senders write implicit elements into an explicit data set.
            if implicit or not (vr.isalpha() and vr.isupper()):
                vr = b""
            elif vr in _LONG_VRS:
                rest = self._read(self._long.size)
                if len(rest) < self._long.size:
                    raise _cut_off()
                (length,) = self._long.unpack(rest)
            else:
                (length,) = self._short.unpack(head)
            yield tag, vr, length

    def _items(self, length: int) -> Iterator[int | None]:
        """Yield the end of each item of a sequence; the item must be consumed before the next."""
        end = None if length == _UNDEFINED else self._position + length
        while end is None or self._position < end:
            head = self._read(_HEADER_LENGTH)
            if len(head) < _HEADER_LENGTH:
                raise _cut_off()
            group, element, item_length = self._head.unpack(head)
            tag = group << 16 | element
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise NotDicomError("the data set has no item where one must be")
            yield None if item_length == _UNDEFINED else self._position + item_length

    def _pass(self, vr: bytes, length: int, *, implicit: bool, depth: int) -> None:
        """Go past a value, through the items of one whose length is undefined."""
        if length != _UNDEFINED:
            self._skip(length)
            return
        if depth == _DEEPEST:
            raise NotDicomError("the data set is nested deeper than any real one")
        # A sequence of VR UN is Implicit VR Little Endian inside (PS3.5 section 6.2.2).
        implicit = implicit or vr == b"UN"
        for end in self._items(length):
            if end is not None:
                self._skip(end - self._position)
                continue
            for _tag, inner_vr, inner_length in self._elements(None, implicit=implicit):
                self._pass(inner_vr, inner_length, implicit=implicit, depth=depth + 1)

    def _value(self, length: int) -> bytes:
        value = self._read(min(length, _LONGEST_VALUE))
        if len(value) < min(length, _LONGEST_VALUE):
            raise _cut_off()
        self._skip(length - len(value))
        return value

    def _read(self, count: int) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise NotDicomError("the data set has more elements than any real one")
        data = self._source.read(count)
        self._position += len(data)
        return data

    def _skip(self, count: int) -> None:
        if not self._source.skip(count):
            raise _cut_off()
        self._position += count


def _cut_off() -> NotDicomError:
    return NotDicomError("the data set is cut off, or not in its transfer syntax")
