"""Colour images: palettes looked up, and luminance for models that take grey."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from medqueue.errors import UnsupportedInputError

PALETTE = "PALETTE COLOR"
_AS_RGB = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
"""Photometric Interpretations that `decoding` hands over as RGB."""


def is_colour(header: Dataset) -> bool:
    """Tell whether the image is one of colours; palettes are, though they have one sample."""
    return header.PhotometricInterpretation == PALETTE or int(header.SamplesPerPixel) > 1


def luminance(values: NDArray[np.integer], header: Dataset) -> NDArray[np.uint8]:
    """Return the 8-bit luminance (rows, columns) of one frame, by ITU-R BT.601.

    Args:
        values: As `decoding.decode_frames` gives them: RGB, or indices into the palette.
        header: Of the frame. There is no Modality or VOI LUT for colours.

    Raises:
        UnsupportedInputError: The Photometric Interpretation is retired, or no colour.
    """
    bits = int(header.BitsStored)
    if header.PhotometricInterpretation == PALETTE:
        values = apply_color_lut(values, header)
        bits = values.dtype.itemsize * 8
    elif header.PhotometricInterpretation not in _AS_RGB:
        raise UnsupportedInputError("the Photometric Interpretation is not one that is displayed")
    rgb = (values >> max(0, bits - 8)).astype(np.uint8)
    return np.asarray(Image.fromarray(rgb).convert("L"))
