"""Ordinary pictures: grey, cropped and resized by the code that DICOM goes through."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dicom_files import an_image_data_set, saved
from medqueue.errors import UndecodableError, UnsupportedInputError
from schemas.manifest import ImagePreparation
from workers.preprocess import pictures
from workers.preprocess.pictures import fitted_picture
from workers.preprocess.pixels import fitted_frames

SMALL = ImagePreparation(size=(16, 16), mean=0.0, std=1.0)
SHADES = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) % 256


def test_a_picture_and_a_dicom_file_of_the_same_pixels_are_prepared_alike(tmp_path: Path) -> None:
    shades = SHADES.astype(np.uint8)
    Image.fromarray(shades).save(tmp_path / "picture.png")
    (frame,) = fitted_frames(saved(tmp_path, an_image_data_set(shades)), SMALL)

    np.testing.assert_array_equal(fitted_picture(tmp_path / "picture.png", SMALL), frame)


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(SHADES * 257).save(path)
    Image.fromarray(SHADES.astype(np.uint8)).save(tmp_path / "flat.png")

    np.testing.assert_array_equal(
        fitted_picture(path, SMALL), fitted_picture(tmp_path / "flat.png", SMALL)
    )


def test_grey_that_is_stored_as_colours_is_grey(tmp_path: Path) -> None:
    grey = SHADES.astype(np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=2)).save(tmp_path / "rgb.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")

    np.testing.assert_array_equal(
        fitted_picture(tmp_path / "rgb.png", SMALL), fitted_picture(tmp_path / "grey.png", SMALL)
    )


def test_colours_are_refused_unless_the_model_takes_their_luminance(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (20, 20), (255, 0, 0)).save(path)

    with pytest.raises(UnsupportedInputError, match="as-grey"):
        fitted_picture(path, SMALL)
    shown = fitted_picture(path, SMALL.model_copy(update={"colour": "as-grey"}))
    assert shown.max() == shown.min() == 76


@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)

    with pytest.raises(UndecodableError, match="neither DICOM nor"):
        fitted_picture(path, SMALL)


def test_a_picture_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(SHADES.astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-60])

    with pytest.raises(UndecodableError, match="damaged"):
        fitted_picture(path, SMALL)


def test_a_picture_beyond_the_limits_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(SHADES.astype(np.uint8)).save(path)

    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    with pytest.raises(UndecodableError, match="pixels"):
        fitted_picture(path, SMALL)
    monkeypatch.setattr(pictures, "MAX_FILE_BYTES", 100)
    with pytest.raises(UndecodableError, match="bytes"):
        fitted_picture(path, SMALL)
