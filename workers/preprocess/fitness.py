"""Images that no model should be asked about, whatever it is for: told before any score."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medqueue.errors import UnfitInputError
from schemas.manifest import ImagePreparation

_LEAST_SPREAD = 0.05
"""Between the darkest and the brightest twentieth of an image, of black to white; the flattest of
5,856 chest radiographs and breast ultrasounds has 0.075, an empty exposure next to none."""
_CLIPPED = 0.98
_MOST_CLIPPED = 0.5
"""Share of the pixels that may be white: of those images none has a tenth."""
_MADE_ON_SCREEN = {
    "WSD": "a capture of a workstation's screen",
    "DRW": "a drawing",
    "SYN": "a synthetic image",
    "SD": "a scanned document",
}
"""Conversion Type, of PS3.3 section C.8.6.1; digitised film (DF) and video (DV) are of patients."""


def refuse_unfit_header(header: Dataset) -> None:
    """Refuse what its own header calls no image of a patient.

    Raises:
        UnfitInputError: it is a quality control image, or was made on a screen.
    """
    if header.get("QualityControlImage") == "YES":  # PS3.3 section C.7.6.1
        raise UnfitInputError("Quality Control Image says that it shows a phantom or a test")
    if str(header.get("BodyPartExamined") or "").upper() == "PHANTOM":
        raise UnfitInputError("Body Part Examined says that it shows a phantom")
    made = _MADE_ON_SCREEN.get(str(header.get("ConversionType") or ""))
    if made is not None:
        raise UnfitInputError(f"Conversion Type says that it is {made}")
    kinds = header.get("ImageType") or ()
    if any("SCREEN SAVE" in str(kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        raise UnfitInputError("Image Type says that it is a saved screen")


def refuse_unfit_pixels(images: NDArray[np.float32], preparation: ImagePreparation) -> None:
    """Refuse prepared images (n, planes, rows, columns) whose first plane shows next to nothing.

    Of a volume the projection of its highest values is looked at: its ends may be empty.

    Raises:
        UnfitInputError: an image is blank, or mostly white.
    """
    shown = images[:, 0]
    if preparation.takes == "volume":
        shown = shown.max(axis=0, keepdims=True)
    for number, image in enumerate(shown * preparation.std + preparation.mean, start=1):
        dark, bright = np.quantile(image, (0.05, 0.95))
        which = f"image {number} of {len(shown)}"
        if bright - dark < _LEAST_SPREAD:
            raise UnfitInputError(f"{which} is blank: next to all of it is of one grey")
        white = float(np.mean(image >= _CLIPPED))
        if white > _MOST_CLIPPED:
            raise UnfitInputError(f"{which} is saturated: {white:.0%} of it is white")
