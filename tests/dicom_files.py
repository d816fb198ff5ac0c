"""Made-up DICOM images: pixels, how they are encoded, and what else the header says."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate


def an_image_data_set(
    picture: NDArray[np.integer],
    syntax: str = uid.ExplicitVRLittleEndian,
    frames: list[bytes] | None = None,
    **attributes: Any,
) -> Dataset:
    """A grey image (rows, columns) or frames of it (frames, rows, columns).

    Args:
        picture: stored values.
        syntax: Transfer Syntax UID.
        frames: the compressed frames, where that is an encapsulated one.
        attributes: by keyword; they replace what is made up.
    """
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.UID(syntax)
    data.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = f"2.25.{uuid4().int}"
    data.Rows, data.Columns = picture.shape[-2:]
    if picture.ndim == 3:
        data.NumberOfFrames = len(picture)
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = picture.dtype.itemsize * 8
    data.PixelRepresentation = int(picture.dtype.kind == "i")
    data.PixelData = encapsulate(frames) if frames else picture.tobytes()
    data["PixelData"].VR = "OB" if frames else "OW"
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    data.HighBit = data.BitsStored - 1
    return data


def saved(folder: Path, data: Dataset) -> Path:
    """Write a data set as a file of its own."""
    path = folder / f"{data.SOPInstanceUID}.dcm"
    data.save_as(path, enforce_file_format=True)
    return path


def a_jpeg_ls_file(folder: Path, picture: NDArray[np.integer]) -> Path:
    """A file of one losslessly compressed frame."""
    frames = [imagecodecs.jpegls_encode(picture)]
    return saved(folder, an_image_data_set(picture, uid.JPEGLSLossless, frames))
