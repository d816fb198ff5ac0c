"""Which decoder reads which transfer syntax: the fastest safe one, as `bench decode` measures."""

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from workers.preprocess.codestream import Codestream, read_jpeg, read_jpeg_2000

_Values = NDArray[np.generic]


def _jpeg(frame: bytes, stream: Codestream, interpretation: str) -> _Values:
    """Decode JPEG of 8 or 12 bits through libjpeg-turbo, three components as RGB.

    An Adobe marker says what the encoder did to the colours, else the header does: libjpeg alone
    would take every image without a marker for YCbCr.
    """
    if stream.components == 1:
        return np.asarray(imagecodecs.jpeg8_decode(frame))
    is_rgb = interpretation == "RGB" if stream.transform is None else stream.transform == 0
    source = "RGB" if is_rgb else "YCBCR"
    return np.asarray(imagecodecs.jpeg8_decode(frame, colorspace=source, outcolorspace="RGB"))


def _jpeg_lossless(frame: bytes, _stream: Codestream, _interpretation: str) -> _Values:
    """Decode JPEG Lossless; liblj92 takes a quarter less time, but knows no restart intervals."""
    return np.asarray(imagecodecs.jpegsof3_decode(frame))


def _jpeg_ls(frame: bytes, _stream: Codestream, _interpretation: str) -> _Values:
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _jpeg_2000(frame: bytes, _stream: Codestream, _interpretation: str) -> _Values:
    """Decode JPEG 2000 and HTJ2K, both through OpenJPEG, which undoes their colour transforms.

    imagecodecs' `htj2k_decode` (OpenJPH) takes half the time for HTJ2K. But it swallows the errors
    of damaged frames and returns whatever was in the memory, and fuzzing made it crash and hang.
    """
    return np.asarray(imagecodecs.jpeg2k_decode(frame))


@dataclass(frozen=True, slots=True)
class Codec:
    """How to look into a compressed frame, and how to decode it."""

    read: Callable[[bytes], Codestream]
    decode: Callable[[bytes, Codestream, str], _Values]
    """Takes the frame, what `read` said of it, and the Photometric Interpretation."""
    gives_rgb: bool
    """Whether colours that are YBR_FULL or YBR_FULL_422 in the frame come out as RGB."""


_JPEG = Codec(read_jpeg, _jpeg, gives_rgb=True)
_JPEG_LOSSLESS = Codec(read_jpeg, _jpeg_lossless, gives_rgb=False)
_JPEG_LS = Codec(read_jpeg, _jpeg_ls, gives_rgb=False)
_JPEG_2000 = Codec(read_jpeg_2000, _jpeg_2000, gives_rgb=False)

CODECS: dict[str, Codec] = {
    uid.JPEGBaseline8Bit: _JPEG,
    uid.JPEGExtended12Bit: _JPEG,
    uid.JPEGLossless: _JPEG_LOSSLESS,
    uid.JPEGLosslessSV1: _JPEG_LOSSLESS,
    uid.JPEGLSLossless: _JPEG_LS,
    uid.JPEGLSNearLossless: _JPEG_LS,
    uid.JPEG2000Lossless: _JPEG_2000,
    uid.JPEG2000: _JPEG_2000,
    uid.HTJ2KLossless: _JPEG_2000,
    uid.HTJ2KLosslessRPCL: _JPEG_2000,
    uid.HTJ2K: _JPEG_2000,
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
