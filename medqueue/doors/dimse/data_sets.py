"""Small data sets of services that are read into memory, up to a bound; objects never are."""

import io

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import ImplicitVRLittleEndian

from medqueue.doors.dimse.fragments import FragmentReader


class UnreadableError(Exception):
    """The data set of a request is not what its service asks for."""


def take_bytes(reader: FragmentReader, context_id: int, *, longest: int) -> bytes | None:
    """Read the data set of a message to its end; return None if it has more bytes than that."""
    received = bytearray()

    def keep(piece: memoryview) -> None:
        if len(received) <= longest:
            received.extend(piece)

    reader.read_data_set(context_id, keep)
    return None if len(received) > longest else bytes(received)


def parse(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    """Parse a data set in Implicit or Explicit VR Little Endian.

    Raises:
        UnreadableError: it cannot be parsed.
    """
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    try:
        return read_dataset(io.BytesIO(encoded), implicit, is_little_endian=True)
    except Exception:  # noqa: BLE001 - hostile bytes make the parser raise any type
        raise UnreadableError("the data set cannot be read") from None
