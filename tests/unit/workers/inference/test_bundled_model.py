"""The bundled chest model on the data it was chosen on: from a DICOM file to a probability."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset
from torchmetrics.functional.classification import binary_auroc

from workers.inference.session import Session
from workers.models.calibration import calibrated_probabilities
from workers.models.network import build_network
from workers.models.package import bundled_packages, load_package
from workers.preprocess.pixels import normalise, prepare_image
from workers.training.data import LabelledImages, read_split
from workers.training.evaluate import logits_of_images

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"
PACKAGE = {folder.name: folder for folder in bundled_packages()}["cxr-pneumonia"]

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs {SHARED}, which is not in the project"),
]


def validation() -> LabelledImages:
    return read_split(SHARED / "pneumoniamnist_trainval.npz", "val", 1)


def as_radiograph(picture: NDArray[np.uint8], path: Path) -> Path:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    data.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = "1.2.3.4"
    data.Modality = "DX"
    data.BodyPartExamined = "CHEST"
    data.Rows, data.Columns = picture.shape
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelRepresentation = 0
    data.PixelData = picture.tobytes()
    data["PixelData"].VR = "OW"
    data.save_as(path, enforce_file_format=True)
    return path


def test_the_queue_gives_the_probability_that_training_gives(tmp_path: Path) -> None:
    package = load_package(PACKAGE)
    preparation = package.manifest.preparation
    assert preparation is not None
    pixels = validation().pixels[:24]
    logits = logits_of_images(build_network(package), pixels, preparation)
    expected = calibrated_probabilities(logits, package.manifest.temperatures).numpy()

    files = [as_radiograph(image, tmp_path / f"{at}.dcm") for at, image in enumerate(pixels)]
    batch = np.concatenate([prepare_image(path, preparation) for path in files])

    np.testing.assert_allclose(Session(package).predict(batch), expected, atol=1e-4)


def test_the_validation_split_is_told_apart() -> None:
    package = load_package(PACKAGE)
    assert package.manifest.preparation is not None
    images = validation()

    probabilities = Session(package).predict(
        normalise(images.pixels, package.manifest.preparation)
    )[:, 0]

    auroc = binary_auroc(torch.from_numpy(probabilities), torch.from_numpy(images.targets).long())
    assert auroc >= 0.99
    assert np.mean((probabilities >= 0.5) == images.targets) >= 0.94


@pytest.mark.parametrize("name", ["chest_CR-MONO1-10_part10.dcm", "chest_CR_RG1_J2KI_mono1.dcm"])
def test_a_real_radiograph_is_prepared_as_a_reader_sees_it(name: str) -> None:
    package = load_package(PACKAGE)
    preparation = package.manifest.preparation
    assert preparation is not None

    prepared = prepare_image(SHARED / "dicom" / name, preparation)

    grey = prepared[0, 0] * preparation.std + preparation.mean
    assert grey.min() >= -1e-6
    assert grey.max() <= 1 + 1e-6
    assert grey.max() - grey.min() > 0.5
    # Lungs are darker than the mediastinum between them: an inverted image has it the other way.
    assert grey[8:18, 4:10].mean() < grey[8:18, 12:16].mean()
