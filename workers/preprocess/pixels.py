"""From a DICOM file to the tensor that an image model takes, the same for training and queue.

Preparation is part of the model: its manifest pins every step, and another way of resizing loses
images that look the same to a reader.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from medqueue.errors import UnsupportedInputError
from schemas.manifest import ImagePreparation
from workers.preprocess.colour import is_colour, luminance
from workers.preprocess.damage import damage_named
from workers.preprocess.decoding import decode_frames, frame_count, read_data_set
from workers.preprocess.display import display_values
from workers.preprocess.fitness import refuse_unfit_header
from workers.preprocess.frames import frame_header

GREY = ("MONOCHROME1", "MONOCHROME2")

_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
}


def prepare_image(path: Path, preparation: ImagePreparation) -> NDArray[np.float32]:
    """Decode an image and prepare each of its frames as the model's manifest says.

    Returns:
        (frames, 1, rows, columns) float32, normalised; rows and columns as `preparation.size`.

    Raises:
        UndecodableError: The pixel data is damaged or contradicts the header.
        UnsupportedInputError: The model takes no colour, or no object of several frames; or the
            header says that it shows no patient.
    """
    return normalise(fitted_frames(path, preparation), preparation)


def fitted_frames(path: Path, preparation: ImagePreparation) -> NDArray[np.uint8]:
    """Do all of `prepare_image` but the last step, before which training bends its images.

    Returns:
        8-bit grey values (frames, rows, columns), 0 is black.
    """
    data = read_data_set(path)
    refuse_unfit_header(data)
    if is_colour(data) and preparation.colour == "skip":
        raise UnsupportedInputError("a colour image: this model takes grey ones")
    if preparation.takes == "single-frame" and frame_count(data) != 1:
        raise UnsupportedInputError("an image of several frames: this model takes one")
    frames = decode_frames(data)
    with damage_named("the display attributes of the header cannot be read"):
        shown = (
            _grey(frame, frame_header(data, index), preparation)
            for index, frame in enumerate(frames)
        )
        return np.stack([fit(grey, preparation) for grey in shown])


def _grey(
    values: NDArray[np.integer], header: Dataset, preparation: ImagePreparation
) -> NDArray[np.uint8]:
    if is_colour(header):
        return luminance(values, header)
    if header.PhotometricInterpretation not in GREY:
        raise UnsupportedInputError("the Photometric Interpretation is not one that is displayed")
    return display_values(values, header, preparation)


def fit(grey: NDArray[np.uint8], preparation: ImagePreparation) -> NDArray[np.uint8]:
    """Crop and resize 8-bit grey values (rows, columns) to the size that the model takes.

    Pillow on 8-bit values with its antialiasing, as MedMNIST v2 made its images.
    """
    if preparation.crop == "centre-square":
        side = min(grey.shape)
        top, left = (grey.shape[0] - side) // 2, (grey.shape[1] - side) // 2
        grey = grey[top : top + side, left : left + side]
    rows, columns = preparation.size
    image = Image.fromarray(np.ascontiguousarray(grey))
    return np.asarray(image.resize((columns, rows), _FILTERS[preparation.interpolation]))


def normalise(images: NDArray[np.uint8], preparation: ImagePreparation) -> NDArray[np.float32]:
    """Bring 8-bit images (n, rows, columns) to (n, 1, rows, columns) as the network takes them."""
    scaled = images.astype(np.float32) / np.float32(255)
    normal = (scaled - np.float32(preparation.mean)) / np.float32(preparation.std)
    return normal[:, np.newaxis]
