"""Small data sets of services, read into memory up to a bound; those of objects never are."""

import io
import threading
from collections.abc import Callable
from typing import TypeVar

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian

from medqueue.doors.dimse.fragments import FragmentReader

T = TypeVar("T")

_LONGEST = 1024 * 1024
"""Bytes: some 9,000 references to instances. Every association may hold as many at once."""
_ITEM = b"\xfe\xff\x00\xe0"
_MOST_ITEMS = 20_000
"""The parser makes 700 bytes of an empty item, which takes 8 to send."""

_parsing = threading.Lock()
"""One at a time: what the parser makes of a data set is many times larger than it."""


class UnreadableError(Exception):
    """The data set of a request is not what its service asks for."""


class TooLongError(Exception):
    """The data set of a request is longer than any service here takes."""


def take_bytes(reader: FragmentReader, context_id: int) -> bytes | None:
    """Read the data set of a message to its end; return None if it is too long to be kept."""
    received = bytearray()

    def keep(piece: memoryview) -> None:
        if len(received) <= _LONGEST:
            received.extend(piece)

    reader.read_data_set(context_id, keep)
    return None if len(received) > _LONGEST else bytes(received)


def read(encoded: bytes | None, transfer_syntax_uid: str, extract: Callable[[Dataset], T]) -> T:
    """Return what `extract` finds in a data set in Implicit or Explicit VR Little Endian.

    Raises:
        TooLongError: there are no bytes, for there were too many, or there are too many items.
        UnreadableError: it cannot be parsed, or lacks what `extract` looks for.
    """
    if encoded is None or encoded.count(_ITEM) > _MOST_ITEMS:
        raise TooLongError
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    with _parsing:
        try:
            return extract(read_dataset(io.BytesIO(encoded), implicit, is_little_endian=True))
        except Exception:  # noqa: BLE001 - hostile bytes make the parser raise any type
            raise UnreadableError from None
