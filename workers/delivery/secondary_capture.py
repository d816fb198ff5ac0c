"""A result as Secondary Capture: the image with a legend, for readers that show no findings."""

import warnings
from collections.abc import Sequence

import numpy as np
from highdicom.sc import SCImage
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.valuerep import DA, TM

from schemas.finding import Finding, Presence
from schemas.manifest import ImagePreparation
from schemas.result import Result
from workers.delivery.identity import Made, instance_uid, series_uid
from workers.delivery.structured_report import MANUFACTURER, SERIES_NUMBER, describe

_LONGEST_SIDE = 1024
"""Pixels. It is there to be looked at beside the original, not instead of it."""
_NARROWEST = 512
"""A smaller image is enlarged, so that the legend can be read."""
_LINE, _MARGIN = 24, 10
_MOST_LINES = 20
_WHITE, _YELLOW, _BAND = (255, 255, 255), (255, 214, 10), (24, 24, 24)
_STATES = {Presence.PRESENT: "present", Presence.ABSENT: "absent", Presence.UNCERTAIN: "uncertain"}


def preparation_for_display(
    header: Dataset, window: tuple[float, float] | None
) -> ImagePreparation:
    """Return how the image is brought to 8 bit in the size of the capture.

    Args:
        header: of the image, with Rows and Columns.
        window: centre and width that the model looks through; None for the header's.
    """
    rows, columns = int(header.Rows), int(header.Columns)
    factor = min(_LONGEST_SIDE / max(rows, columns), max(1.0, _NARROWEST / columns))
    size = (max(1, round(rows * factor)), max(1, round(columns * factor)))
    return ImagePreparation(
        takes="frames", colour="as-grey", window=window, crop="none", size=size, mean=0.0, std=1.0
    )


def secondary_capture(result: Result, header: Dataset, grey: NDArray[np.uint8]) -> Dataset:
    """Write one image that was diagnosed with what the model says of it below.

    Args:
        result: on the image.
        header: of the image, by `evidence.read_evidence`.
        grey: (rows, columns), by `preparation_for_display`.
    """
    with warnings.catch_warnings():
        # Such as of names with one component: patients are called as their hospital wrote it.
        warnings.simplefilter("ignore")
        capture = SCImage.from_ref_dataset(
            header,
            pixel_array=_drawn(grey, _legend(result)),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),
            series_instance_uid=series_uid(result.id, Made.SECONDARY_CAPTURE),
            series_number=SERIES_NUMBER + 1,
            series_description=describe(result.model),
            sop_instance_uid=instance_uid(result.id, Made.SECONDARY_CAPTURE),
            instance_number=1,
            manufacturer=MANUFACTURER,
        )
    capture.DerivationDescription = "drawn by an AI model, for display; not for diagnosis"
    # Burned in is what the model says; nothing that tells who the patient is.
    capture.BurnedInAnnotation = "NO"
    capture.SourceImageSequence = [_reference(header)]
    capture.Laterality = header.get("Laterality", "")
    capture.ContentDate = DA(result.completed_at.date())
    capture.ContentTime = TM(result.completed_at.time())
    return capture


def _legend(result: Result) -> list[tuple[str, tuple[int, int, int]]]:
    model = result.model
    use = "" if model.cleared_for_clinical_use else ", NOT FOR CLINICAL USE"
    lines = [(f"AI{use}", _YELLOW), (f"{model.name} {model.version} (medqueue)", _WHITE)]
    # What is there comes first: a long list is cut.
    ordered = sorted(result.findings, key=lambda one: one.presence is Presence.ABSENT)
    return [*lines, *((_line(one), _WHITE) for one in ordered)][:_MOST_LINES]


def _line(finding: Finding) -> str:
    text = f"{finding.label}: {_STATES[finding.presence]}"
    if finding.probability is not None:
        text += f", probability {finding.probability:.2f}"
    if finding.threshold is not None:
        text += f" (present from {finding.threshold:.2f})"
    return text


def _drawn(
    grey: NDArray[np.uint8], legend: Sequence[tuple[str, tuple[int, int, int]]]
) -> NDArray[np.uint8]:
    rows, columns = grey.shape
    width = max(columns, _NARROWEST)
    canvas = Image.new("RGB", (width, rows + 2 * _MARGIN + _LINE * len(legend)), _BAND)
    canvas.paste(Image.fromarray(grey), ((width - columns) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    for number, (text, colour) in enumerate(legend):
        at = (_MARGIN, rows + _MARGIN + number * _LINE)
        draw.text(at, text, fill=colour, font=ImageFont.load_default(size=_fitting(text, width)))
    return np.asarray(canvas)


def _fitting(text: str, width: int) -> float:
    """Return the largest font size up to that of a line in which a text is not cut off."""
    largest = _LINE * 0.75
    needed = ImageFont.load_default(size=largest).getlength(text)
    return min(largest, largest * (width - 2 * _MARGIN) / max(needed, 1.0))


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = header.SOPClassUID
    reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return reference
