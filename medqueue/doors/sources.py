"""Where an encoded data set is read from: as it lies in a file, or inflated on the way."""

import io
import zlib
from typing import Protocol

from medqueue.errors import NotDicomError

_SKIP_AT_ONCE = 64 * 1024
_READ_AT_ONCE = 32 * 1024
"""Holds the header of nearly every object up to its pixel data."""


class Source(Protocol):
    """Where the encoded data set is read from, forwards only."""

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end."""

    def skip(self, count: int) -> bool:
        """Go on by so many bytes; return False if there are fewer."""

    def at_hand(self) -> tuple[bytes, int]:
        """Return bytes that are in memory already, and where in them the next one is."""


class PlainSource:
    """A data set as it lies in a file."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        here = file.tell()
        self._left = file.seek(0, io.SEEK_END) - here
        file.seek(here)
        self._ready = b""
        self._at = 0

    def read(self, count: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        if self._at + count > len(self._ready):
            self._ready = self._ready[self._at :] + self._file.read(max(count, _READ_AT_ONCE))
            self._at = 0
        data = self._ready[self._at : self._at + count]
        self._at += len(data)
        self._left -= len(data)
        return data

    def skip(self, count: int) -> bool:
        """Go on by so many bytes; return False if there are fewer."""
        if count > self._left:
            return False
        self._left -= count
        self._at += count
        if self._at > len(self._ready):
            self._file.seek(self._at - len(self._ready), io.SEEK_CUR)
            self._ready, self._at = b"", 0
        return True

    def at_hand(self) -> tuple[bytes, int]:
        """Return bytes that are in memory already, and where in them the next one is."""
        return self._ready, self._at


class InflatingSource:
    """A deflated data set (PS3.5 section A.5), inflated up to a bound: it may be a bomb."""

    def __init__(self, file: io.BufferedIOBase, most: int) -> None:
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

    def at_hand(self) -> tuple[bytes, int]:
        """Return bytes that are in memory already, and where in them the next one is."""
        return self._ready, 0

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
