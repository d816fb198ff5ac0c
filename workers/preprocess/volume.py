"""A series of slices as one array in the order of space: a header pass, then a decode pass."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medqueue.errors import NotAVolumeError, UndecodableError
from workers.preprocess.damage import damage_named
from workers.preprocess.decoding import decode_frames, frame_count, read_data_set, read_header
from workers.preprocess.display import modality_values, padding_of, rescale_of
from workers.preprocess.frames import FUNCTIONAL_GROUPS, frame_header
from workers.preprocess.geometry import KEYWORDS, stack_slices

MAX_VOLUME_BYTES = 1024**3
"""Some 2,000 slices of 512 x 512 as int16; a decoder has twice as much for everything."""

_DISPLAY = (
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
)
_INT16_RANGE = -(2**15), 2**15 - 1


@dataclass(frozen=True, slots=True)
class Volume:
    """Values after the Modality LUT, such as Hounsfield units."""

    values: NDArray[np.int16] | NDArray[np.float32]
    """(slices, rows, columns); int16 where that holds every value exactly."""
    spacing: tuple[float, float, float]
    """Between slices, rows and columns, in mm."""


@dataclass(frozen=True, slots=True)
class _Slice:
    path: Path
    frame: int
    header: Dataset


def read_volume(paths: Sequence[Path]) -> Volume:
    """Read the objects of a series, of one frame or many, as one volume.

    Raises:
        NotAVolumeError: The slices are not one whole volume.
        UndecodableError: A slice is damaged.
    """
    slices = [one for path in paths for one in _slices_of(path)]
    with damage_named("the geometry of a slice cannot be read"):
        stack = stack_slices([one.header for one in slices])
        values = _allocated([one.header for one in slices])
    places = {
        (slices[index].path, slices[index].frame): place for place, index in enumerate(stack.order)
    }
    for path in paths:
        data = read_data_set(path)
        frames = decode_frames(data)
        for index, stored in enumerate(frames):
            with damage_named("the Modality LUT of a slice cannot be applied"):
                _fill(values[places[path, index]], stored, frame_header(data, index))
    return Volume(values, stack.spacing)


def _slices_of(path: Path) -> Iterator[_Slice]:
    header = read_header(path, [*KEYWORDS, *_DISPLAY, *FUNCTIONAL_GROUPS])
    if header.PhotometricInterpretation != "MONOCHROME2":
        raise NotAVolumeError("a slice is not MONOCHROME2")
    with damage_named("the geometry of a slice cannot be read"):
        for index in range(frame_count(header)):
            yield _Slice(path, index, frame_header(header, index))


def _allocated(headers: Sequence[Dataset]) -> NDArray[np.int16] | NDArray[np.float32]:
    shape = (len(headers), int(headers[0].Rows), int(headers[0].Columns))
    exact = all(_fits_int16(header) for header in headers)
    if math.prod(shape) * (2 if exact else 4) > MAX_VOLUME_BYTES:
        raise UndecodableError(
            f"the volume would take more than the limit of {MAX_VOLUME_BYTES} bytes"
        )
    return np.empty(shape, dtype=np.int16) if exact else np.empty(shape, dtype=np.float32)


def _fits_int16(header: Dataset) -> bool:
    if header.get("ModalityLUTSequence"):
        return False
    slope, intercept = rescale_of(header)
    bits = int(header.BitsStored)
    low = -(2 ** (bits - 1)) if header.PixelRepresentation else 0
    ends = [low * slope + intercept, (low + 2**bits - 1) * slope + intercept]
    return (
        slope.is_integer()
        and intercept.is_integer()
        and _INT16_RANGE[0] <= min(ends)
        and max(ends) <= _INT16_RANGE[1]
    )


def _fill(
    place: NDArray[np.int16] | NDArray[np.float32], stored: NDArray[np.integer], header: Dataset
) -> None:
    """Write one slice into its place; padding becomes the least value that is none."""
    if place.dtype == np.int16:
        slope, intercept = (int(number) for number in rescale_of(header))
        ends = [int(end) * slope + intercept for end in (stored.min(), stored.max())]
        if _INT16_RANGE[0] <= min(ends) and max(ends) <= _INT16_RANGE[1]:
            np.multiply(stored, slope, out=place, dtype=np.int32, casting="unsafe")
            np.add(place, intercept, out=place, dtype=np.int32, casting="unsafe")
        else:  # a compressed frame may have more bits than Bits Stored says
            place[:] = np.clip(stored.astype(np.int64) * slope + intercept, *_INT16_RANGE)
    else:
        place[:] = modality_values(stored.astype(np.float64), header, 0, 0).values
    padding = padding_of(stored, header)
    if padding.any() and not padding.all():
        place[padding] = place[~padding].min()
