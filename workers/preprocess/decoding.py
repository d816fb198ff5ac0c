"""From a DICOM file to decoded grey frames: limits first, then the fastest safe decoder.

What the pixels mean (windows, inversion, size) is not decided here; see `pixels`. Decoders hold the
GIL, so parallel decoding takes processes, not threads.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config, dcmread, uid
from pydicom.encaps import generate_frames
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.utils import pixel_array

from medqueue.errors import UndecodableError, UnsupportedInputError
from workers.preprocess.codestream import Codestream, read_jpeg, read_jpeg_2000, require_end
from workers.preprocess.damage import damage_named

MAX_DECODED_BYTES = 512 * 1024**2
"""Rows x Columns x Samples x Frames x bytes: above any radiograph (a 50-megapixel one has 100 MiB),
below what would push a worker out of memory. A header that promises more is not decoded."""
MAX_INFLATED_BYTES = 2 * MAX_DECODED_BYTES
"""For Deflated Explicit VR, whose whole data set is one zlib stream that may grow 1,000 times."""

BITS_ALLOCATED = (8, 16, 32)
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


def _jpeg(frame: bytes) -> NDArray[np.generic]:
    return np.asarray(imagecodecs.jpeg8_decode(frame))


def _jpeg_lossless(frame: bytes) -> NDArray[np.generic]:
    return np.asarray(imagecodecs.jpegsof3_decode(frame))


def _jpeg_ls(frame: bytes) -> NDArray[np.generic]:
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _jpeg_2000(frame: bytes) -> NDArray[np.generic]:
    """Decode JPEG 2000 and HTJ2K, both through OpenJPEG.

    imagecodecs' `htj2k_decode` (OpenJPH) takes half the time for HTJ2K, but never came back from a
    frame with three flipped bytes.
    """
    return np.asarray(imagecodecs.jpeg2k_decode(frame))


@dataclass(frozen=True, slots=True)
class _Codec:
    """How to look into a compressed frame, and how to decode it."""

    read: Callable[[bytes], Codestream]
    decode: Callable[[bytes], NDArray[np.generic]]


CODECS: dict[str, _Codec] = {
    uid.JPEGBaseline8Bit: _Codec(read_jpeg, _jpeg),
    uid.JPEGExtended12Bit: _Codec(read_jpeg, _jpeg),
    uid.JPEGLossless: _Codec(read_jpeg, _jpeg_lossless),
    uid.JPEGLosslessSV1: _Codec(read_jpeg, _jpeg_lossless),
    uid.JPEGLSLossless: _Codec(read_jpeg, _jpeg_ls),
    uid.JPEGLSNearLossless: _Codec(read_jpeg, _jpeg_ls),
    uid.JPEG2000Lossless: _Codec(read_jpeg_2000, _jpeg_2000),
    uid.JPEG2000: _Codec(read_jpeg_2000, _jpeg_2000),
    uid.HTJ2KLossless: _Codec(read_jpeg_2000, _jpeg_2000),
    uid.HTJ2KLosslessRPCL: _Codec(read_jpeg_2000, _jpeg_2000),
    uid.HTJ2K: _Codec(read_jpeg_2000, _jpeg_2000),
}
"""By Transfer Syntax UID (PS3.5 section A.4), through imagecodecs."""

PYDICOM_DECODES = frozenset(
    {
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.DeflatedExplicitVRLittleEndian,
        uid.RLELossless,
    }
)
"""Native pixel data, and RLE, for which pydicom finds pylibjpeg-rle."""


def read_header(path: Path) -> Dataset:
    """Read everything before the pixel data and check that it can and may be decoded.

    Raises:
        UndecodableError: The file is damaged, or a needed attribute is missing or contradicts.
        UnsupportedInputError: The form is one that this version does not decode.
    """
    with damage_named("the header cannot be read"):
        _limit_inflation(path)
        header = dcmread(path, stop_before_pixels=True)
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
    return header


def decode_frames(path: Path) -> NDArray[np.integer]:
    """Decode every frame of a grey image.

    Returns:
        Stored values (frames, rows, columns), signed or not as Pixel Representation says; no
        Modality LUT is applied.

    Raises:
        UndecodableError: The pixel data is damaged, cut off, or contradicts the header.
        UnsupportedInputError: See `read_header`.
    """
    syntax = read_header(path).file_meta.TransferSyntaxUID
    with damage_named("the pixel data cannot be decoded"):
        data = dcmread(path)
        if syntax in CODECS:
            return _decode_encapsulated(data, CODECS[syntax])
        values = pixel_array(data)
        return values.reshape(_shape(data)).astype(values.dtype.newbyteorder("="), copy=False)


def frame_count(header: Dataset) -> int:
    """Return Number of Frames, which is 1 where it is missing or empty (PS3.3 C.7.6.6.1.1)."""
    return int(header.get("NumberOfFrames") or 1)


def _shape(header: Dataset) -> tuple[int, int, int]:
    return frame_count(header), int(header.Rows), int(header.Columns)


def _decoded_bytes(header: Dataset) -> int:
    missing = [keyword for keyword in NEEDED if header.get(keyword) is None]
    if missing:
        raise UndecodableError(f"not an image that can be decoded: {missing[0]} is missing")
    bits, stored = int(header.BitsAllocated), int(header.BitsStored)
    if min(_shape(header)) < 1:
        raise UndecodableError("Rows, Columns or Number of Frames is not above zero")
    if int(header.SamplesPerPixel) != 1:
        raise UnsupportedInputError("a colour image: this version prepares grey images only")
    if bits not in BITS_ALLOCATED or not 1 <= stored <= bits:
        raise UndecodableError(
            f"Bits Allocated {bits} with Bits Stored {stored}: only 8, 16 and 32 with at most as "
            "many stored are decoded"
        )
    if int(header.PixelRepresentation) not in (0, 1):
        raise UndecodableError("Pixel Representation is neither 0 nor 1")
    return math.prod(_shape(header)) * bits // 8


def _decode_encapsulated(data: Dataset, codec: _Codec) -> NDArray[np.integer]:
    shape = _shape(data)
    sign = "i" if data.PixelRepresentation else "u"
    values: NDArray[np.integer] = np.empty(shape, dtype=f"{sign}{data.BitsAllocated // 8}")
    decoded = 0
    for frame in generate_frames(data.PixelData, number_of_frames=shape[0]):
        if decoded == shape[0]:
            raise UndecodableError("there are more compressed frames than Number of Frames says")
        stream = codec.read(frame)
        if (stream.rows, stream.columns, stream.components) != (*shape[1:], 1):
            raise UndecodableError(
                f"a compressed frame is {stream.rows} x {stream.columns} with {stream.components} "
                f"component(s), but the header says {shape[1]} x {shape[2]} with 1"
            )
        if stream.precision > data.BitsAllocated:
            raise UndecodableError(
                f"a compressed frame has {stream.precision} bits, more than Bits Allocated"
            )
        require_end(frame)
        values[decoded] = _with_sign(codec.decode(frame), stream, signed=sign == "i")
        decoded += 1
    if decoded != shape[0]:
        raise UndecodableError(
            f"the pixel data is cut off: {decoded} of {shape[0]} compressed frames are there"
        )
    return values


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
