"""From a DICOM file to decoded frames: limits first, then the fastest safe decoder.

What the pixels mean (windows, palettes, inversion, size) is not decided here; see `display`.
Decoders hold the GIL, so parallel decoding takes processes, not threads.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config, dcmread, uid
from pydicom.encaps import generate_frames
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array

from medqueue.errors import UndecodableError
from workers.preprocess.codecs import CODECS, PYDICOM_DECODES, Codec
from workers.preprocess.codestream import Codestream, require_end
from workers.preprocess.damage import damage_named

MAX_DECODED_BYTES = 512 * 1024**2
"""Rows x Columns x Samples x Frames x bytes: above any radiograph (a 50-megapixel one has 100 MiB),
below what would push a worker out of memory. A header that promises more is not decoded."""
MAX_INFLATED_BYTES = 2 * MAX_DECODED_BYTES
"""For Deflated Explicit VR, whose whole data set is one zlib stream that may grow 1,000 times."""

BITS_ALLOCATED = (1, 8, 16, 32)
_META_BEGIN, _META_LENGTH_AT = b"DICM\x02\x00\x00\x00UL\x04\x00", 140
"""Prefix and File Meta Information Group Length, after 128 bytes (PS3.10 section 7.1)."""
_META_LIMIT = 64 * 1024
_YBR = ("YBR_FULL", "YBR_FULL_422")
NEEDED = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
)
"""Type 1 attributes of the Image Pixel Module (PS3.3 section C.7.6.3)."""


def read_header(path: Path, also: Sequence[str]) -> Dataset:
    """Read of a header what decoding needs, and these keywords; check as `read_data_set` does."""
    return _read(path, stop_before_pixels=True, specific_tags=[*NEEDED, "NumberOfFrames", *also])


def read_data_set(path: Path) -> Dataset:
    """Read an image object and check by its header that it can and may be decoded.

    Raises:
        UndecodableError: The file is damaged, a needed attribute is missing or contradicts, or the
            form is one that this version does not decode.
    """
    return _read(path)


def decode_frames(data: Dataset) -> NDArray[np.integer]:
    """Decode every frame of what `read_data_set` returned.

    Returns:
        Stored values (frames, rows, columns), signed or not as Pixel Representation says, no
        Modality LUT applied; of a colour image RGB values (frames, rows, columns, 3).

    Raises:
        UndecodableError: The pixel data is damaged, cut off, or contradicts the header.
    """
    with damage_named("the pixel data cannot be decoded"):
        codec = CODECS.get(data.file_meta.TransferSyntaxUID)
        if codec is not None:
            return _decode_encapsulated(data, codec)
        values = pixel_array(data)
        return values.reshape(_shape(data)).astype(values.dtype.newbyteorder("="), copy=False)


def frame_count(header: Dataset) -> int:
    """Return Number of Frames, which is 1 where it is missing or empty (PS3.3 C.7.6.6.1.1)."""
    return int(header.get("NumberOfFrames") or 1)


def _read(path: Path, **options: Any) -> Dataset:
    with damage_named("the header cannot be read"):
        _limit_inflation(path)
        data = dcmread(path, **options)
        _require_decodable(data)
    return data


def _shape(header: Dataset) -> tuple[int, ...]:
    grey = (frame_count(header), int(header.Rows), int(header.Columns))
    return grey if header.SamplesPerPixel == 1 else (*grey, int(header.SamplesPerPixel))


def _require_decodable(header: Dataset) -> None:
    syntax = str(header.file_meta.TransferSyntaxUID)
    size = _decoded_bytes(header)
    if syntax not in CODECS and syntax not in PYDICOM_DECODES:
        known = uid.UID(syntax, validation_mode=config.IGNORE)
        name = known.name if known.type == "Transfer Syntax" else "of an unknown UID"
        raise UndecodableError(f"no decoder for the Transfer Syntax {name}")
    if size > MAX_DECODED_BYTES:
        raise UndecodableError(
            f"the header promises {size} bytes of pixels, more than the limit of "
            f"{MAX_DECODED_BYTES}; nothing was decoded"
        )


def _decoded_bytes(header: Dataset) -> int:
    missing = [keyword for keyword in NEEDED if header.get(keyword) is None]
    if missing:
        raise UndecodableError(f"not an image that can be decoded: {missing[0]} is missing")
    bits, stored = int(header.BitsAllocated), int(header.BitsStored)
    if min(_shape(header)) < 1:
        raise UndecodableError("Rows, Columns or Number of Frames is not above zero")
    if int(header.SamplesPerPixel) not in (1, 3):
        raise UndecodableError("Samples per Pixel is neither 1 nor 3")
    if bits not in BITS_ALLOCATED or not 1 <= stored <= bits:
        raise UndecodableError(
            f"Bits Allocated {bits} with Bits Stored {stored}: only 1, 8, 16 and 32 with at "
            "most as many stored are decoded"
        )
    if int(header.PixelRepresentation) not in (0, 1):
        raise UndecodableError("Pixel Representation is neither 0 nor 1")
    return math.prod(_shape(header)) * bits // 8


def _decode_encapsulated(data: Dataset, codec: Codec) -> NDArray[np.integer]:
    shape = _shape(data)
    sign = "i" if data.PixelRepresentation else "u"
    values: NDArray[np.integer] = np.empty(shape, dtype=f"{sign}{data.BitsAllocated // 8}")
    interpretation = str(data.PhotometricInterpretation)
    decoded = 0
    for frame in generate_frames(data.PixelData, number_of_frames=shape[0]):
        if decoded == shape[0]:
            raise UndecodableError("there are more compressed frames than Number of Frames says")
        stream = codec.read(frame)
        _require_as_header(stream, data)
        require_end(frame)
        pixels = codec.decode(frame, stream, interpretation)
        if interpretation in _YBR and not codec.gives_rgb:
            pixels = convert_color_space(pixels, interpretation, "RGB")
        values[decoded] = _with_sign(pixels, stream, signed=sign == "i")
        decoded += 1
    if decoded != shape[0]:
        raise UndecodableError(
            f"the pixel data is cut off: {decoded} of {shape[0]} compressed frames are there"
        )
    return values


def _require_as_header(stream: Codestream, header: Dataset) -> None:
    """Refuse a frame that would decode to another size than its header says: it may be a bomb."""
    found = (stream.rows, stream.columns, stream.components)
    said = (int(header.Rows), int(header.Columns), int(header.SamplesPerPixel))
    if found != said:
        raise UndecodableError(
            f"a compressed frame is {found[0]} x {found[1]} with {found[2]} component(s), "
            f"but the header says {said[0]} x {said[1]} with {said[2]}"
        )
    if stream.precision > header.BitsAllocated:
        raise UndecodableError(
            f"a compressed frame has {stream.precision} bits, more than Bits Allocated"
        )


def _with_sign(
    values: NDArray[np.generic], stream: Codestream, *, signed: bool
) -> NDArray[np.generic]:
    """Read the samples as Pixel Representation says where the codestream says otherwise.

    JPEG and JPEG-LS have no signed samples, and some JPEG 2000 encoders forget to say signed: then
    the bits of a negative value come out as a large positive one, and the other way round.
    """
    if stream.signed == signed:
        return values
    whole = values.astype(np.int64) & ((1 << stream.precision) - 1)
    if signed:
        whole -= (whole >> (stream.precision - 1)) << stream.precision
    return whole


def _limit_inflation(path: Path) -> None:
    """Inflate a deflated data set piece by piece, keeping nothing, and refuse a bomb."""
    if not _may_be_deflated(path):
        return
    meta = read_file_meta_info(path)
    if meta.TransferSyntaxUID != uid.DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    total = 0
    with path.open("rb") as file:
        # Preamble, prefix, and the group length element (12 bytes) with the length of the rest.
        file.seek(128 + 4 + 12 + int(meta.FileMetaInformationGroupLength))
        pending = file.read(1024**2)
        while pending and not inflater.eof:
            total += len(inflater.decompress(pending, 1024**2))
            if total > MAX_INFLATED_BYTES:
                raise UndecodableError(
                    f"the deflated data set is larger than the limit of {MAX_INFLATED_BYTES} bytes"
                )
            pending = inflater.unconsumed_tail or file.read(1024**2)


def _may_be_deflated(path: Path) -> bool:
    """Tell by the first bytes alone, since parsing them takes as long as decoding a CT slice."""
    with path.open("rb") as file:
        head = file.read(_META_LIMIT)
    if not head.startswith(_META_BEGIN, 128) or len(head) < _META_LENGTH_AT + 4:
        return True
    (length,) = struct.unpack_from("<L", head, _META_LENGTH_AT)
    return length > _META_LIMIT or uid.DeflatedExplicitVRLittleEndian.encode() in head
