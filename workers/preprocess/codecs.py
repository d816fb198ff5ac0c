"""Which decoder reads which transfer syntax: the fastest safe one, as `bench decode` measures."""

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from workers.preprocess.codestream import Codestream, read_jpeg, read_jpeg_2000
from workers.preprocess.deadline import hurried

_Values = NDArray[np.generic]
_HTJ2K_SECONDS, _HTJ2K_SECONDS_A_PIXEL = 5.0, 1e-6


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
    """Decode JPEG 2000 through OpenJPEG, which undoes the colour transforms."""
    return np.asarray(imagecodecs.jpeg2k_decode(frame))


def _htj2k(frame: bytes, stream: Codestream, interpretation: str) -> _Values:
    """Decode grey HTJ2K through OpenJPH: in half the time of OpenJPEG, which gets the colours.

    OpenJPH has been seen never to come back from a frame with three flipped bytes; it needs some
    10 ns a pixel, and gets a hundred times as much and what a busy machine may take.
    """
    if stream.components > 1:
        return _jpeg_2000(frame, stream, interpretation)
    with hurried(_HTJ2K_SECONDS + stream.rows * stream.columns * _HTJ2K_SECONDS_A_PIXEL):
        return np.asarray(imagecodecs.htj2k_decode(frame))


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
_HTJ2K = Codec(read_jpeg_2000, _htj2k, gives_rgb=False)

CODECS: dict[str, Codec] = {
    uid.JPEGBaseline8Bit: _JPEG,
    uid.JPEGExtended12Bit: _JPEG,
    uid.JPEGLossless: _JPEG_LOSSLESS,
    uid.JPEGLosslessSV1: _JPEG_LOSSLESS,
    uid.JPEGLSLossless: _JPEG_LS,
    uid.JPEGLSNearLossless: _JPEG_LS,
    uid.JPEG2000Lossless: _JPEG_2000,
    uid.JPEG2000: _JPEG_2000,
    uid.HTJ2KLossless: _HTJ2K,
    uid.HTJ2KLosslessRPCL: _HTJ2K,
    uid.HTJ2K: _HTJ2K,
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
