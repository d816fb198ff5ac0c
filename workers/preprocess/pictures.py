"""Ordinary picture files (PNG, JPEG, TIFF), which training may read beside DICOM.

Display is done with already: what is left is grey, crop and size, by the same code as for DICOM.
"""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medqueue.errors import UndecodableError, UnsupportedInputError
from schemas.manifest import ImagePreparation
from workers.preprocess.display import to_grey
from workers.preprocess.pixels import fit

FORMATS = ("PNG", "JPEG", "TIFF")
"""Pillow reads fifty more, some by calling other programs."""
MAX_FILE_BYTES = 256 * 1024**2
MAX_PIXELS = 100_000_000
"""Twice the largest radiograph; a small file may promise far more."""
_SIXTEEN_BITS = 2**16 - 1
_GREY = ("1", "L", "LA")


def fitted_picture(path: Path, preparation: ImagePreparation) -> NDArray[np.uint8]:
    """Return 8-bit grey values (rows, columns) of the size that the model takes.

    Sixteen bits are brought to eight by their full range. A picture of colours is taken as the
    manifest says; one that is stored as colours but shows grey alone is grey.

    Raises:
        UndecodableError: the file is damaged, too large, or of another format.
        UnsupportedInputError: it has colours, and the model takes none.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UndecodableError(f"the file is larger than the limit of {MAX_FILE_BYTES} bytes")
    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")  # of a broken tag; broken pixels raise
            if image.width * image.height > MAX_PIXELS:
                raise UndecodableError(f"more than the limit of {MAX_PIXELS} pixels")
            grey = _grey(image, preparation)
    except UnidentifiedImageError as error:
        raise UndecodableError("neither DICOM nor a PNG, JPEG or TIFF picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UndecodableError(f"the picture is damaged ({type(error).__name__})") from error
    return fit(grey, preparation)


def _grey(image: Image.Image, preparation: ImagePreparation) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float64)
        if values.min() < 0 or values.max() > _SIXTEEN_BITS:
            raise UnsupportedInputError("a picture of more than 16 bits")
        return to_grey(values * (255 / _SIXTEEN_BITS))
    if image.mode == "F":
        raise UnsupportedInputError("a picture of floating point numbers: save it with 8 or 16 bit")
    if image.mode in _GREY:
        return np.asarray(image.convert("L"))
    colours = np.asarray(image.convert("RGB"))
    if preparation.colour == "skip" and np.ptp(colours, axis=2).any():
        raise UnsupportedInputError(
            'a picture of colours: save it as grey, or let preparation.colour be "as-grey"'
        )
    return np.asarray(image.convert("RGB").convert("L"))
