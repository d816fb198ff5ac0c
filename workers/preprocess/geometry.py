"""Where the slices of a series lie in space, and why some series are not one volume.

A volume that is assembled wrongly looks right: what is doubtful is refused by name, never mended.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from medqueue.errors import NotAVolumeError

KEYWORDS = (
    "ImageType",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "FrameOfReferenceUID",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "AcquisitionTime",
)
"""What of a slice's header is read here."""

_PHASES = KEYWORDS[6:]
"""What tells slices at one position apart, from the clearest sign to the weakest."""
_LEAST_SLICES = 2
_ORIENTATION_TOLERANCE = 1e-3
"""Of a direction cosine; some scanners write four digits."""
_SPACING_TOLERANCE = 0.02
"""Share of the spacing by which slices may differ: positions are rounded, tables are not exact."""
_TILT_DEGREES = 0.5


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices in the order of space."""

    order: tuple[int, ...]
    """Which of the slices handed in stands first, second, and so on."""
    spacing: tuple[float, float, float]
    """Between slices, rows and columns, in mm."""


def stack_slices(slices: Sequence[Dataset]) -> Stack:
    """Sort slices by the projection of their positions on the normal (PS3.3 section C.7.6.2.1.1).

    Instance Number has no say: it follows the scanner, the reconstruction or the export.

    Raises:
        NotAVolumeError: they are not one whole volume; the detail says why, and which slice.
    """
    if len(slices) < _LEAST_SLICES:
        raise NotAVolumeError("a series of one slice is no volume")
    _refuse_localizers(slices)
    _refuse_mixture(slices)
    normal = _common_normal(slices)
    positions = _vectors(slices, "ImagePositionPatient", 3)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    _refuse_doubles([slices[index] for index in order], along[order])
    _refuse_tilt(positions[order], normal)
    spacing = _common_spacing([slices[index] for index in order], along[order])
    rows, columns = _vectors(slices[:1], "PixelSpacing", 2)[0]
    return Stack(tuple(int(index) for index in order), (spacing, float(rows), float(columns)))


def _refuse_localizers(slices: Sequence[Dataset]) -> None:
    count = sum("LOCALIZER" in (one.get("ImageType") or ()) for one in slices)
    if count:
        raise NotAVolumeError(f"{count} of {len(slices)} images are localizers")


def _refuse_mixture(slices: Sequence[Dataset]) -> None:
    for keyword, what in (
        (("Rows", "Columns"), "sizes"),
        (("PixelSpacing",), "pixel spacings"),
        (("FrameOfReferenceUID",), "frames of reference"),
    ):
        kinds = {tuple(str(one.get(each)) for each in keyword) for one in slices}
        if len(kinds) > 1:
            raise NotAVolumeError(f"the slices have {len(kinds)} different {what}")


def _common_normal(slices: Sequence[Dataset]) -> NDArray[np.float64]:
    cosines = _vectors(slices, "ImageOrientationPatient", 6)
    away = np.abs(cosines - cosines[0]).max(axis=1) > _ORIENTATION_TOLERANCE
    if away.any():
        raise NotAVolumeError(
            f"the slices have mixed orientations: {int(away.sum())} of {len(slices)} differ from "
            f"{_name(slices[0])}"
        )
    normal = np.cross(cosines[0, :3], cosines[0, 3:])
    length = float(np.linalg.norm(normal))
    if abs(length - 1) > 10 * _ORIENTATION_TOLERANCE:
        raise NotAVolumeError("Image Orientation (Patient) is not two perpendicular unit vectors")
    return np.asarray(normal / length)


def _refuse_doubles(slices: Sequence[Dataset], along: NDArray[np.float64]) -> None:
    steps = np.diff(along)
    least = _SPACING_TOLERANCE * float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    doubles = np.flatnonzero(steps <= least)
    if not len(doubles):
        return
    first, second = slices[doubles[0]], slices[doubles[0] + 1]
    for keyword in _PHASES:
        values = Counter(str(one.get(keyword)) for one in slices if keyword in one)
        if len(values) > 1 and first.get(keyword) != second.get(keyword):
            raise NotAVolumeError(
                f"the series holds several phases: {keyword} has {len(values)} values over the "
                "same positions"
            )
    raise NotAVolumeError(
        f"{_name(first)} and {_name(second)} lie at one position ({len(doubles)} such pairs)"
    )


def _refuse_tilt(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> None:
    """Refuse slices that are shifted against each other, as those of a tilted gantry are."""
    path = positions[-1] - positions[0]
    degrees = np.degrees(np.arccos(min(1.0, abs(path @ normal) / np.linalg.norm(path))))
    if degrees > _TILT_DEGREES:
        raise NotAVolumeError(
            f"the slices lie {degrees:.1f} degrees askew of their normal: the gantry was tilted"
        )


def _common_spacing(slices: Sequence[Dataset], along: NDArray[np.float64]) -> float:
    steps = np.diff(along)
    spacing = float(np.median(steps))
    for (before, after), step in zip(pairwise(slices), steps, strict=True):
        missing = round(step / spacing) - 1
        if abs(step - spacing) <= _SPACING_TOLERANCE * spacing:
            continue
        if missing > 0:
            raise NotAVolumeError(
                f"there is a gap between {_name(before)} and {_name(after)}: {step:.2f} mm where "
                f"others are {spacing:.2f} mm apart, so some {missing} slice(s) are missing"
            )
        raise NotAVolumeError(
            f"the slices are not evenly spaced: {_name(before)} and {_name(after)} are "
            f"{step:.2f} mm apart where others are {spacing:.2f} mm"
        )
    return spacing


def _vectors(slices: Sequence[Dataset], keyword: str, length: int) -> NDArray[np.float64]:
    found = [one.get(keyword) for one in slices]
    if any(value is None or len(value) != length for value in found):
        raise NotAVolumeError(f"a slice lacks {keyword}")
    vectors = np.array([[float(part) for part in value] for value in found])
    if not np.isfinite(vectors).all():
        raise NotAVolumeError(f"{keyword} of a slice is not a finite number")
    return vectors


def _name(one: Dataset) -> str:
    return f"slice {one.get('InstanceNumber')}"
