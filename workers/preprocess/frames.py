"""The header of one frame: an enhanced object says much for each frame apart (PS3.3 C.7.6.16)."""

from pydicom import Dataset

FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_GROUPS = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "FrameContentSequence",
)
"""What display and geometry ask for; their attributes are those of a single-frame object."""


def frame_header(header: Dataset, index: int) -> Dataset:
    """Return what the header says of one frame, as a single-frame object would say it.

    What stands for the frame alone overrides what all frames share, and that the object.
    """
    if not any(keyword in header for keyword in FUNCTIONAL_GROUPS):
        return header
    flat = Dataset()
    flat.update(header)
    implicit, little_endian = header.original_encoding
    flat.set_original_encoding(implicit, little_endian, header.original_character_set)
    for keyword, item in zip(FUNCTIONAL_GROUPS, (0, index), strict=True):
        items = header.get(keyword) or []
        if item < len(items):
            for group in _GROUPS:
                for inner in items[item].get(group) or []:
                    flat.update(inner)
    return flat
