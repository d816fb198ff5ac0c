"""Images that no model is asked about, by their header or by their pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chest_images import an_image
from medqueue.errors import UnfitInputError
from schemas.manifest import ImagePreparation
from workers.preprocess.fitness import refuse_unfit_pixels
from workers.preprocess.pixels import prepare_image

PREPARATION = ImagePreparation(size=(28, 28), mean=0.4, std=0.2)
RAMP = np.linspace(0, 255, 28 * 28).reshape(1, 28, 28)


def prepared(grey: NDArray[np.generic]) -> NDArray[np.float32]:
    return ((grey.astype(np.float32) / 255 - 0.4) / 0.2)[:, np.newaxis]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"QualityControlImage": "YES"}, "phantom"),
        ({"BodyPartExamined": "PHANTOM"}, "phantom"),
        ({"ConversionType": "WSD"}, "screen"),
        ({"ConversionType": "SD"}, "document"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen"),
    ],
)
def test_an_image_that_its_header_calls_no_patient_s_is_refused(
    tmp_path: Path, attributes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnfitInputError, match=reason):
        prepare_image(an_image(tmp_path, **attributes), PREPARATION)


@pytest.mark.parametrize(
    "attributes",
    [
        {"QualityControlImage": "NO"},
        {"ConversionType": "DF"},
        {"ImageType": ["DERIVED", "PRIMARY"]},
        {"ImageType": "ORIGINAL"},
        {"BurnedInAnnotation": "YES"},
    ],
)
def test_what_patients_images_have_in_their_headers_passes(
    tmp_path: Path, attributes: dict[str, Any]
) -> None:
    assert prepare_image(an_image(tmp_path, **attributes), PREPARATION).shape == (1, 1, 28, 28)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_image_is_refused_however_grey_and_noisy(grey: int) -> None:
    noise = np.random.default_rng(0).normal(grey, 2, (1, 28, 28)).clip(0, 255)

    with pytest.raises(UnfitInputError, match="blank"):
        refuse_unfit_pixels(prepared(noise), PREPARATION)


def test_an_image_that_is_mostly_white_is_refused() -> None:
    burnt = np.minimum(RAMP * 3, 255)

    with pytest.raises(UnfitInputError, match="saturated"):
        refuse_unfit_pixels(prepared(burnt), PREPARATION)


def test_the_blank_one_of_several_images_is_named() -> None:
    images = np.concatenate([prepared(RAMP)] * 2)
    images[1] = 0

    with pytest.raises(UnfitInputError, match="image 2 of 2"):
        refuse_unfit_pixels(images, PREPARATION)


def test_a_volume_may_be_empty_at_its_ends() -> None:
    volume = PREPARATION.model_copy(update={"takes": "volume", "window": (40, 400)})
    slices = np.concatenate([prepared(RAMP)] * 3)
    slices[0] = slices[2] = -2

    refuse_unfit_pixels(slices, volume)
