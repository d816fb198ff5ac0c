"""From stored values to what a reader sees: Modality LUT, VOI LUT and inversion, as 8-bit grey.

The steps and their names are those of the grayscale pipeline of PS3.4 section N.2. Each maps a
value whatever its place, so they work on the levels that an image has, not on all its pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medqueue.errors import UndecodableError
from schemas.manifest import ImagePreparation

WHITE = 255.0
_INDICES_AT_ONCE = 2**19
"""Into the table; for a whole image they would take four times its memory."""
_MOST_LEVELS = 2**16
"""Beyond it, as with the 32 bits of a dose, a table would be larger than the image."""


@dataclass(frozen=True, slots=True)
class ModalityValues:
    """Levels after the Modality LUT, and the range that they could have."""

    values: NDArray[np.float64]
    low: float
    high: float


def display_values(
    stored: NDArray[np.integer], header: Dataset, preparation: ImagePreparation
) -> NDArray[np.uint8]:
    """Bring stored values (rows, columns) to 8-bit grey values in which 0 is black.

    Padding is black whatever the photometric interpretation, and has no say in the range.
    """
    first, last = int(stored.min()), int(stored.max())
    if last - first >= _MOST_LEVELS:
        return _displayed(stored, stored, header, preparation)
    levels = np.arange(first, last + 1)
    table = _displayed(levels, stored, header, preparation)
    shown = np.empty(stored.shape, dtype=np.uint8)
    rows = 1 + _INDICES_AT_ONCE // stored.shape[1]
    for at in range(0, len(stored), rows):
        shown[at : at + rows] = table[np.subtract(stored[at : at + rows], first, dtype=np.intp)]
    return shown


def padding_of(stored: NDArray[np.integer], header: Dataset) -> NDArray[np.bool_]:
    """Tell which pixels are padding: one value, or a range of them (PS3.3 section C.7.5.1.1.2)."""
    first = header.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, dtype=bool)
    last = header.get("PixelPaddingRangeLimit")
    low, high = sorted((int(first), int(first if last is None else last)))
    return np.asarray((stored >= low) & (stored <= high))


def modality_values(
    values: NDArray[np.float64], header: Dataset, low: float, high: float
) -> ModalityValues:
    """Apply the Modality LUT; its sequence overrides slope and intercept (PS3.3 C.11.1)."""
    if header.get("ModalityLUTSequence"):
        entries, first, bits = _lut(header.ModalityLUTSequence[0], header)
        return ModalityValues(_looked_up(values, entries, first), 0.0, float(2**bits - 1))
    slope, intercept = rescale_of(header)
    low, high = sorted((low * slope + intercept, high * slope + intercept))
    return ModalityValues(values * slope + intercept, low, high)


def rescale_of(header: Dataset) -> tuple[float, float]:
    """Return Rescale Slope and Intercept, which are 1 and 0 where they are missing."""
    slope, intercept = _number(header, "RescaleSlope"), _number(header, "RescaleIntercept")
    return 1.0 if slope is None else slope, intercept or 0.0


def windowed(
    values: NDArray[np.float64], center: float, width: float, function: str = "LINEAR"
) -> NDArray[np.float64]:
    """Map values to 0..255 by the formulas of PS3.3 sections C.11.2.1.2.1 and C.11.2.1.3."""
    if function == "SIGMOID":
        # Beyond 700 the exponential overflows, and the result is 0 or 1 to double precision.
        exponent = np.clip(-4 * (values - center) / width, -700, 700)
        return np.asarray(WHITE / (1 + np.exp(exponent)))
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - center) / width + 0.5, 0, 1) * WHITE)
    if width <= 1:
        return np.where(values <= center - 0.5, 0.0, WHITE)
    return np.asarray(np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1) * WHITE)


def to_grey(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round 0..255 to 8 bits, halves up."""
    return np.floor(values + 0.5).astype(np.uint8)


def _displayed(
    levels: NDArray[np.integer],
    stored: NDArray[np.integer],
    header: Dataset,
    preparation: ImagePreparation,
) -> NDArray[np.uint8]:
    # NumPy 2 refuses `uint16 - 1024`: every step works on double precision.
    values = levels.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = _stored_range(stored, header)
        modality = ModalityValues(values, low, high)
        if preparation.modality_lut:
            modality = modality_values(values, header, low, high)
        grey = _voi(modality, header, preparation)
    if not np.isfinite(grey).all():
        raise UndecodableError("the window or rescaling in the header is beyond all numbers")
    if preparation.invert_monochrome1 and header.PhotometricInterpretation == "MONOCHROME1":
        grey = WHITE - grey
    grey[padding_of(levels, header)] = 0
    return to_grey(grey)


def _stored_range(stored: NDArray[np.integer], header: Dataset) -> tuple[float, float]:
    """Return the range that stands for black to white where the header has no window.

    That is what Bits Stored can hold, so that an 8-bit image stays as it is, unless the pixels
    use less than half of it: 12-bit detectors often declare 16 bits, and would come out black. The
    rule is symmetric, so that an image and its MONOCHROME1 twin are treated alike.
    """
    bits = int(header.BitsStored)
    low = -float(2 ** (bits - 1)) if header.PixelRepresentation else 0.0
    high = low + 2**bits - 1
    if bits <= 8:  # noqa: PLR2004 - an 8-bit image is ready for display
        return low, high
    shown = (
        stored if header.get("PixelPaddingValue") is None else stored[~padding_of(stored, header)]
    )
    if shown.size == 0:
        return low, high
    darkest, brightest = float(shown.min()), float(shown.max())
    if (brightest - darkest) * 2 < high - low:
        return darkest, brightest
    return low, high


def _voi(
    modality: ModalityValues, header: Dataset, preparation: ImagePreparation
) -> NDArray[np.float64]:
    """Apply the model's window, or the header's VOI LUT, or its first window, or the full range."""
    values, low, high = modality.values, modality.low, modality.high
    if preparation.window is not None:
        return windowed(values, *preparation.window)
    if preparation.voi == "header-or-range":
        if header.get("VOILUTSequence"):
            entries, first, bits = _lut(header.VOILUTSequence[0], header)
            return np.asarray(_looked_up(values, entries, first) * (WHITE / (2**bits - 1)))
        center = _number(header, "WindowCenter")
        width = _number(header, "WindowWidth")
        if center is not None and width is not None and width > 0:
            return windowed(values, center, width, str(header.get("VOILUTFunction") or "LINEAR"))
    if high <= low:
        return np.zeros_like(values)
    return np.clip((values - low) / (high - low), 0, 1) * WHITE


def _lut(item: Dataset, header: Dataset) -> tuple[NDArray[np.float64], int, int]:
    """Read entries, first mapped value and bits of a LUT (PS3.3 sections C.11.1.1 and C.11.2.1.1).

    LUT Data comes as numbers (VR US or SS) or as bytes (VR OW), of which some writers pack two
    8-bit entries into a word.
    """
    descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
    if descriptor is None or data is None or len(descriptor) != 3:  # noqa: PLR2004 - by definition
        raise UndecodableError("a LUT in the header has no descriptor of three values, or no data")
    count = (int(descriptor[0]) & 0xFFFF) or 2**16
    bits = int(descriptor[2])
    if isinstance(data, bytes):
        little_endian = header.original_encoding[1] is not False
        word = "u1" if len(data) < 2 * count else "<u2" if little_endian else ">u2"
        entries = np.frombuffer(data, dtype=word).astype(np.float64)
    else:
        entries = np.atleast_1d(np.asarray(data, dtype=np.float64)) % 2**16
    if len(entries) < count or not 8 <= bits <= 16:  # noqa: PLR2004 - by definition
        raise UndecodableError("a LUT in the header is shorter than its descriptor says")
    return entries[:count], int(descriptor[1]), bits


def _looked_up(
    values: NDArray[np.float64], entries: NDArray[np.float64], first: int
) -> NDArray[np.float64]:
    """Map values below the first to the first entry, and values beyond the last to the last."""
    index = np.clip(np.floor(values + 0.5).astype(np.int64) - first, 0, len(entries) - 1)
    return np.asarray(entries[index])


def _number(header: Dataset, keyword: str) -> float | None:
    """Return the first value of a decimal attribute, or None where it is missing or empty."""
    value = header.get(keyword)
    if value is None or value == "":
        return None
    return float(value) if isinstance(value, (int, float, str)) else float(value[0])
