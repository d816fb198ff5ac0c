"""What a compressed frame says about itself, read from its first markers without decoding it.

The header of the DICOM object and the header of the codestream come from different hands: a frame
that claims another size than its object is damaged, or made to exhaust the memory of a decoder.
"""

import struct
from dataclasses import dataclass

from medqueue.errors import UndecodableError

JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_2000_START = b"\xff\x4f\xff\x51"
"""SOC followed at once by SIZ (ISO/IEC 15444-1 section A.4)."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""SOF0 to SOF15 of ITU-T T.81 table B.1 without DHT, JPG and DAC; SOF55 of T.87 (JPEG-LS)."""
_APP14, _ADOBE_LENGTH = 0xEE, 14
"""Adobe's marker; some writers cut it short, and then it says nothing of the transform."""
_JP2_HEADER_LIMIT = 64 * 1024
"""A JP2 file wrapped around the codestream is against PS3.5 section A.4.4 but met; its boxes are
small, so the codestream must start within this many bytes."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """Size and sample format of one compressed frame."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits per sample."""
    signed: bool = False
    """Always False for JPEG and JPEG-LS, which have no signed samples."""
    transform: int | None = None
    """What an Adobe marker says of three components: 0 is RGB, 1 YCbCr (T.872 section 6.5.3)."""


def read_jpeg(frame: bytes) -> Codestream:
    """Walk the markers of a JPEG or JPEG-LS frame to its Start Of Frame (T.81 section B.2.2)."""
    if not frame.startswith(JPEG_START):
        raise UndecodableError(
            "a frame does not begin as JPEG, although its Transfer Syntax says so"
        )
    at = len(JPEG_START)
    transform = None
    try:
        while True:
            if frame[at] != 0xFF:  # noqa: PLR2004 - every marker begins with this byte
                raise UndecodableError("the JPEG markers of a frame are damaged")
            marker = frame[at + 1]
            if marker == 0xFF:  # noqa: PLR2004 - fill byte
                at += 1
            elif marker in _START_OF_FRAME:
                precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
                return Codestream(rows, columns, components, precision, transform=transform)
            else:
                (length,) = struct.unpack_from(">H", frame, at + 2)
                if (
                    marker == _APP14
                    and length >= _ADOBE_LENGTH
                    and frame[at + 4 : at + 9] == b"Adobe"
                ):
                    transform = frame[at + 2 + _ADOBE_LENGTH - 1]
                at += 2 + length
    except (IndexError, struct.error) as error:
        raise UndecodableError("a JPEG frame ends before its Start Of Frame") from error


def read_jpeg_2000(frame: bytes) -> Codestream:
    """Read the SIZ marker of a JPEG 2000 or HTJ2K frame (ISO/IEC 15444-1 section A.5.1)."""
    start = frame.find(JPEG_2000_START, 0, _JP2_HEADER_LIMIT)
    if start < 0:
        raise UndecodableError(
            "a frame does not begin as JPEG 2000, although its Transfer Syntax says so"
        )
    try:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        components, sample = struct.unpack_from(">HB", frame, start + 40)
    except struct.error as error:
        raise UndecodableError("a JPEG 2000 frame ends inside its first marker") from error
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=(sample & 0x7F) + 1,
        signed=bool(sample & 0x80),
    )


def require_end(frame: bytes) -> None:
    """Refuse a frame without its end marker: decoders fill what is cut off with grey, silently.

    JPEG's EOI and JPEG 2000's EOC have the same code; padding may follow (PS3.5 section A.4), with
    zeros as the standard has it or with FF as some writers do.
    """
    if not frame.rstrip(b"\x00\xff").endswith(JPEG_END):
        raise UndecodableError("the pixel data is cut off: a frame has no end marker")
