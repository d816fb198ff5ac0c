"""Preparation: what a reader sees on the screen is what the model sees, however it was stored."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, uid
from pydicom.sequence import Sequence

from dicom_files import an_image_data_set, saved
from medqueue.errors import UndecodableError, UnsupportedInputError
from schemas.manifest import ImagePreparation
from workers.preprocess.pixels import fit, normalise, prepare_image

PLAIN = ImagePreparation(size=(32, 32), mean=0.0, std=1.0)
RAMP = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 4
"""Twelve bits, from 0 to 4092."""


def image(picture: NDArray[np.integer], bits_stored: int) -> Dataset:
    return an_image_data_set(picture, BitsStored=bits_stored)


def grey(folder: Path, data: Dataset, preparation: ImagePreparation = PLAIN) -> NDArray[np.float64]:
    """Save, prepare, and return 8-bit grey values (rows, columns)."""
    (prepared,) = prepare_image(saved(folder, data), preparation)
    assert prepared.dtype == np.float32
    assert prepared.shape == (1, *preparation.size)
    return prepared[0].astype(np.float64) * 255


def lut(entries: list[int], first: int, bits: int) -> Sequence:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return Sequence([item])


def test_an_eight_bit_image_without_a_window_stays_as_it_is(tmp_path: Path) -> None:
    picture = (RAMP // 16).astype(np.uint8)

    np.testing.assert_allclose(grey(tmp_path, image(picture, 8)), picture, atol=1e-3)


@pytest.mark.parametrize("bright", [0, 2100])
def test_an_inverted_monochrome1_twin_gives_the_same_tensor(tmp_path: Path, bright: int) -> None:
    picture = np.clip(RAMP // 2 + bright, 0, 4095).astype(np.uint16)
    twin = image((4095 - picture).astype(np.uint16), 12)
    twin.PhotometricInterpretation = "MONOCHROME1"

    np.testing.assert_allclose(grey(tmp_path, twin), grey(tmp_path, image(picture, 12)), atol=1.01)


def test_an_eight_bit_monochrome1_twin_is_equal_to_the_last_bit(tmp_path: Path) -> None:
    picture = (RAMP // 16).astype(np.uint8)
    twin = image(255 - picture, 8)
    twin.PhotometricInterpretation = "MONOCHROME1"

    np.testing.assert_array_equal(grey(tmp_path, twin), grey(tmp_path, image(picture, 8)))


def test_inversion_comes_after_the_window(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.WindowCenter, data.WindowWidth = 1000, 500

    shown = grey(tmp_path, data)

    assert shown[RAMP < 700].min() == pytest.approx(255)
    assert shown[RAMP > 1300].max() == pytest.approx(0)


def test_twelve_bits_in_a_sixteen_bit_container_are_not_black(tmp_path: Path) -> None:
    shown = grey(tmp_path, image(RAMP, 16))

    assert shown.min() == pytest.approx(0)
    assert shown.max() == pytest.approx(255)


def test_a_linear_window_follows_the_standard(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.WindowCenter, data.WindowWidth = [2048, 40], [4096, 80]

    # PS3.3 C.11.2.1.2.1 with the first of the two windows: black at 0, white at 4095.
    np.testing.assert_allclose(
        grey(tmp_path, data), np.floor(RAMP.astype(float) * 255 / 4095 + 0.5), atol=1e-3
    )


def test_an_exact_window_puts_its_centre_at_half(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 2048, 1024, "LINEAR_EXACT"

    shown = grey(tmp_path, data)

    assert shown[RAMP == 2048] == pytest.approx(128)
    assert shown[RAMP == 2048 + 256] == pytest.approx(191)


def test_a_sigmoid_window_is_soft(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 2048, 400, "SIGMOID"

    shown = grey(tmp_path, data)

    assert shown[RAMP == 2148] == pytest.approx(np.floor(255 / (1 + np.exp(-1)) + 0.5))
    assert shown[RAMP == 1848] == pytest.approx(np.floor(255 / (1 + np.exp(2)) + 0.5))


def test_a_voi_lut_is_looked_up_and_clamped(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.VOILUTSequence = lut([0, 128, 255], first=100, bits=8)

    shown = grey(tmp_path, data)

    assert shown[RAMP == 96] == pytest.approx(0)
    assert shown[RAMP == 100] == pytest.approx(0)
    assert shown[RAMP == 4000] == pytest.approx(255)


def test_range_only_ignores_the_window_of_the_header(tmp_path: Path) -> None:
    windowed = image(RAMP, 12)
    windowed.WindowCenter, windowed.WindowWidth = 40, 80
    ranged = PLAIN.model_copy(update={"voi": "range"})

    np.testing.assert_array_equal(
        grey(tmp_path, windowed, ranged), grey(tmp_path, image(RAMP, 12), ranged)
    )


def test_a_negative_intercept_does_not_wrap_around(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.WindowCenter, data.WindowWidth = 0, 2000

    shown = grey(tmp_path, data)

    assert shown[RAMP == 0] == pytest.approx(0)
    assert shown[RAMP == 1024] == pytest.approx(128)


def test_a_modality_lut_overrides_slope_and_intercept(tmp_path: Path) -> None:
    data = image((RAMP // 16).astype(np.uint8), 8)
    data.ModalityLUTSequence = lut(list(range(255, -1, -1)), first=0, bits=8)
    data.ModalityLUTSequence[0].ModalityLUTType = "US"
    data.RescaleSlope, data.RescaleIntercept = 5, 5

    np.testing.assert_allclose(grey(tmp_path, data), 255 - RAMP // 16, atol=1e-3)


def test_padding_is_black_and_has_no_say_in_the_range(tmp_path: Path) -> None:
    picture = (RAMP // 4).astype(np.int16) + 100
    picture[0, :] = -2000
    data = image(picture, 16)
    data.PixelPaddingValue = -2000

    shown = grey(tmp_path, data)

    assert shown[0].max() == pytest.approx(0)
    assert shown[1:].min() == pytest.approx(0)
    assert shown[16].mean() == pytest.approx(127, abs=6)


def test_padding_stays_black_where_the_image_is_inverted(tmp_path: Path) -> None:
    picture = RAMP.copy()
    picture[0, :] = 0
    data = image(picture, 12)
    data.PhotometricInterpretation = "MONOCHROME1"
    data.PixelPaddingValue = 0

    assert grey(tmp_path, data)[0].max() == pytest.approx(0)


def test_the_centre_square_is_cut_and_resized_as_pillow_does() -> None:
    wide = np.random.default_rng(1).integers(0, 256, (300, 500), dtype=np.uint8)
    preparation = ImagePreparation(size=(28, 28), mean=0.0, std=1.0)

    expected = Image.fromarray(wide[:, 100:400]).resize((28, 28), Image.Resampling.BICUBIC)

    np.testing.assert_array_equal(fit(wide, preparation), np.asarray(expected))


def test_without_a_crop_the_whole_image_is_resized() -> None:
    wide = np.zeros((30, 90), dtype=np.uint8)
    wide[:, :30] = 255
    preparation = ImagePreparation(size=(28, 28), mean=0.0, std=1.0, crop="none")

    assert fit(wide, preparation)[:, 0].min() == 255


def test_normalisation_is_by_mean_and_deviation_of_unit_values() -> None:
    preparation = ImagePreparation(size=(1, 2), mean=0.5, std=0.25)

    normal = normalise(np.array([[[0, 255]]], dtype=np.uint8), preparation)

    assert normal.shape == (1, 1, 1, 2)
    np.testing.assert_allclose(normal[0, 0, 0], [-2, 2])


def test_a_lut_shorter_than_it_says_is_undecodable(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.VOILUTSequence = lut([0, 1, 2], first=0, bits=8)
    data.VOILUTSequence[0].LUTDescriptor = [256, 0, 8]

    with pytest.raises(UndecodableError, match="LUT"):
        grey(tmp_path, data)


def test_a_window_that_is_no_number_is_undecodable_without_its_words(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.WindowCenter, data.WindowWidth = 1234, 100
    path = saved(tmp_path, data)
    path.write_bytes(path.read_bytes().replace(b"1234", b"Anna"))

    with pytest.raises(UndecodableError) as caught:
        prepare_image(path, PLAIN)

    assert "Anna" not in str(caught.value)


def test_a_window_of_the_model_replaces_that_of_the_header(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.WindowCenter, data.WindowWidth = 40, 80
    lung = PLAIN.model_copy(update={"window": (-600.0, 1500.0)})

    shown = grey(tmp_path, data, lung)

    expected = np.clip((RAMP - 1024.0 + 600.5) / 1499 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(shown, np.floor(expected + 0.5), atol=1e-3)


def test_a_presentation_state_of_inversion_inverts_once(tmp_path: Path) -> None:
    """FOR PRESENTATION mammography: INVERSE goes with MONOCHROME1 and says the same of it."""
    data = image(RAMP, 12)
    data.SOPClassUID = uid.DigitalMammographyXRayImageStorageForPresentation
    data.PresentationIntentType, data.PresentationLUTShape = "FOR PRESENTATION", "INVERSE"
    data.PhotometricInterpretation = "MONOCHROME1"
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = 1, 0, "US"
    data.WindowCenter, data.WindowWidth = 2048, 4096

    np.testing.assert_allclose(
        grey(tmp_path, data), 255 - np.floor(RAMP.astype(float) * 255 / 4095 + 0.5), atol=1.01
    )


def test_mammography_for_presentation_without_a_window_is_shown_as_it_is(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.SOPClassUID = uid.DigitalMammographyXRayImageStorageForPresentation
    data.PresentationIntentType = "FOR PRESENTATION"

    np.testing.assert_allclose(
        grey(tmp_path, data), np.floor(RAMP.astype(float) * 255 / 4095 + 0.5), atol=1e-3
    )


def test_signed_values_are_shown_from_their_least_to_their_greatest(tmp_path: Path) -> None:
    picture = (RAMP.astype(np.int32) - 2048).astype(np.int16)

    shown = grey(tmp_path, image(picture, 12))

    np.testing.assert_allclose(shown, np.floor(RAMP.astype(float) * 255 / 4095 + 0.5), atol=1e-3)


def test_a_range_of_padding_is_black(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.PixelPaddingValue, data.PixelPaddingRangeLimit = 4000, 4095

    assert grey(tmp_path, data)[RAMP >= 4000].max() == pytest.approx(0)


def test_values_of_32_bits_are_shown_without_a_table(tmp_path: Path) -> None:
    picture = RAMP.astype(np.uint32) * 1_000_000

    shown = grey(tmp_path, image(picture, 32))

    np.testing.assert_allclose(shown, np.floor(RAMP / (2**32 - 1) * 1e6 * 255 + 0.5), atol=1e-3)


def test_a_model_that_takes_one_frame_skips_objects_of_several(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.NumberOfFrames = 2
    data.PixelData = RAMP.tobytes() * 2

    with pytest.raises(UnsupportedInputError, match="several frames"):
        grey(tmp_path, data)


def test_every_frame_is_prepared_where_the_model_takes_frames(tmp_path: Path) -> None:
    picture = (RAMP // 16).astype(np.uint8)
    data = image(picture, 8)
    data.NumberOfFrames = 2
    data.PixelData = picture.tobytes() + (255 - picture).tobytes()
    path = saved(tmp_path, data)

    prepared = prepare_image(path, PLAIN.model_copy(update={"takes": "frames"}))

    assert prepared.shape == (2, 1, 32, 32)
    np.testing.assert_allclose(prepared[:, 0] * 255, [picture, 255 - picture], atol=1e-3)


def test_an_enhanced_object_has_its_own_window_for_each_frame(tmp_path: Path) -> None:
    data = image(RAMP, 12)
    data.SOPClassUID = uid.EnhancedCTImageStorage
    data.NumberOfFrames = 2
    data.PixelData = RAMP.tobytes() * 2
    shared = Dataset()
    shared.PixelValueTransformationSequence = Sequence([Dataset()])
    shared.PixelValueTransformationSequence[0].RescaleSlope = 1
    shared.PixelValueTransformationSequence[0].RescaleIntercept = -1024
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    data.PerFrameFunctionalGroupsSequence = Sequence([Dataset(), Dataset()])
    for group, center in zip(data.PerFrameFunctionalGroupsSequence, (0, 1000), strict=True):
        group.FrameVOILUTSequence = Sequence([Dataset()])
        group.FrameVOILUTSequence[0].WindowCenter = center
        group.FrameVOILUTSequence[0].WindowWidth = 2000
    path = saved(tmp_path, data)

    prepared = prepare_image(path, PLAIN.model_copy(update={"takes": "frames"}))

    assert prepared[0, 0][RAMP == 1024] * 255 == pytest.approx(128)
    assert prepared[1, 0][RAMP == 2024] * 255 == pytest.approx(128)
