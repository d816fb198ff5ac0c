"""Walks the elements of an encoded data set (PS3.5 section 7) and builds none of them.

A parser that makes objects of what it reads can be made to fill the memory; this one keeps the
few values it is asked for, skips the rest, and stops at a bound.
"""

import struct
from collections.abc import Container, Iterator

from medqueue.doors.sources import Source
from medqueue.errors import NotDicomError

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

_LONG_VRS = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""Explicit VRs with two reserved bytes and a length of four (PS3.5 section 7.1.2)."""

_SHORT_VRS = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT"}
    | {b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
)
"""Those with a length of two."""

_HEADER_LENGTH = 8
_LONGEST_HEADER = 12
_LONGEST_VALUE = 4096
"""So much is kept of a value; those that are asked for have some 64 characters."""

_MOST_ELEMENTS = 500_000
"""Reads of one walk. Beyond it the data set is made to keep us busy; real ones need some 100."""

_DEEPEST = 64


class Walk:
    """One walk over one data set."""

    def __init__(self, source: Source, *, implicit: bool, big_endian: bool) -> None:
        self._source = source
        self._implicit = implicit
        order = ">" if big_endian else "<"
        self._head = struct.Struct(f"{order}HHL")
        self._short = struct.Struct(f"{order}6xH")
        self._long = struct.Struct(f"{order}L")
        # A header of either form at once; 'at 8' counts only where the VR is a long one.
        self._either = struct.Struct(f"{order}HH2sHL")
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
        self._run(found, wanted, inside, last)
        for tag, vr, length in self._elements(None, implicit=self._implicit):
            if tag > last:
                break
            if tag in inside:
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
            self._run(found, wanted, inside, last)
        return found

    def _run(
        self, found: dict[int, bytes], wanted: Container[int], inside: Container[int], last: int
    ) -> None:
        """Go over the plain elements at hand, nearly all of a header, in one loop.

        Whatever is out of the ordinary is left where it is, for `_elements` to look at closely.
        """
        data, begin = self._source.at_hand()
        implicit, unpack, unpack_long = self._implicit, self._either.unpack_from, self._long
        size, last = len(data), min(last, _ITEM - 1)
        here, passed = begin, 0
        while here + _LONGEST_HEADER <= size:
            group, element, vr, short, long = unpack(data, here)
            tag = group << 16 | element
            if implicit:
                value = here + _HEADER_LENGTH
                after = value + unpack_long.unpack_from(data, here + 4)[0]
            elif vr in _SHORT_VRS:
                value = here + _HEADER_LENGTH
                after = value + short
            elif vr in _LONG_VRS:
                value = here + _LONGEST_HEADER
                after = value + long
            else:
                break
            # One of undefined length is longer than all that can be at hand.
            if after > size or tag > last or tag in inside:
                break
            if tag in wanted:
                found.setdefault(tag, data[value : min(after, value + _LONGEST_VALUE)])
            here = after
            passed += 1
        self._left -= passed
        if here > begin:
            self._skip(here - begin)

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
