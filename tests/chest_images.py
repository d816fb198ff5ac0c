"""Made-up DICOM images for tests: small, valid, of a study, a series and a patient of choice."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from medqueue.operate import phantoms


def a_uid() -> str:
    """A UID that no other test has."""
    return str(generate_uid(prefix=None))


def an_image(
    folder: Path,
    *,
    study: str | None = None,
    series: str | None = None,
    number: int = 1,
    pixels: NDArray[np.uint8] | None = None,
    compressed: bool = False,
    **attributes: Any,
) -> Path:
    """Write one chest CR and return its file; `attributes` are set last, None takes one away."""
    data = FileDataset("", {}, preamble=b"\0" * 128)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = ComputedRadiographyImageStorage, a_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = study or a_uid(), series or a_uid()
    data.Modality, data.InstanceNumber = "CR", number
    data.PatientName, data.PatientID = "TEST^INVENTED", "T-1"
    data.BodyPartExamined, data.ViewPosition = "CHEST", "PA"
    set_pixels(data, a_picture() if pixels is None else pixels)
    for keyword, value in attributes.items():
        if value is None:
            del data[keyword]
        else:
            setattr(data, keyword, value)
    if compressed:
        data.compress(RLELossless, generate_instance_uid=False)
    path = folder / f"{data.SOPInstanceUID}.dcm"
    data.save_as(path, enforce_file_format=True)
    return path


def set_pixels(data: FileDataset, pixels: NDArray[np.uint8]) -> None:
    """Give an object these 8-bit grey values."""
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
    data["PixelData"].VR = "OB"


def a_picture(rows: int = 64, columns: int = 64) -> NDArray[np.uint8]:
    """A phantom of a chest in 8 bits, which no window changes and no gate takes for foreign."""
    return phantoms.chest(rows, columns, bits=8, opacity=0.3, seed=0).astype(np.uint8)
