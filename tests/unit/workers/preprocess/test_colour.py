"""Colour images: skipped by models of grey ones, or their luminance, however they are stored."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import convert_color_space

from dicom_files import an_image_data_set, saved
from medqueue.errors import UndecodableError, UnsupportedInputError
from schemas.manifest import ImagePreparation
from workers.preprocess.pixels import prepare_image

AS_GREY = ImagePreparation(size=(16, 16), mean=0.0, std=1.0, colour="as-grey")
GREY_ONLY = ImagePreparation(size=(16, 16), mean=0.0, std=1.0)

PICTURE = np.random.default_rng(4).integers(0, 256, (16, 16, 3), dtype=np.uint8)
LUMINANCE = PICTURE @ [0.299, 0.587, 0.114]


def a_colour_image(
    stored: NDArray[np.integer], interpretation: str = "RGB", **attributes: object
) -> Dataset:
    data = an_image_data_set(stored[..., 0])
    data.SamplesPerPixel, data.PlanarConfiguration = 3, 0
    data.PhotometricInterpretation = interpretation
    data.PixelData = stored.tobytes()
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return data


def compressed(frame: bytes, syntax: str, interpretation: str) -> Dataset:
    data = a_colour_image(PICTURE, interpretation)
    data.file_meta.TransferSyntaxUID = uid.UID(syntax)
    data.PixelData = encapsulate([frame])
    data["PixelData"].VR = "OB"
    return data


def luminance(folder: Path, data: Dataset) -> NDArray[np.float32]:
    """8-bit values (rows, columns)."""
    return prepare_image(saved(folder, data), AS_GREY)[0, 0] * 255


def test_a_model_of_grey_images_skips_colour(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedInputError, match="colour"):
        prepare_image(saved(tmp_path, a_colour_image(PICTURE)), GREY_ONLY)


def test_a_palette_is_colour(tmp_path: Path) -> None:
    name = get_testdata_file("examples_palette.dcm", download=False)
    assert name is not None

    with pytest.raises(UnsupportedInputError, match="colour"):
        prepare_image(Path(name), GREY_ONLY)


def test_the_luminance_of_rgb_is_that_of_bt_601(tmp_path: Path) -> None:
    np.testing.assert_allclose(luminance(tmp_path, a_colour_image(PICTURE)), LUMINANCE, atol=0.6)


def test_colour_by_plane_is_the_same_picture(tmp_path: Path) -> None:
    data = a_colour_image(PICTURE, PlanarConfiguration=1)
    data.PixelData = np.ascontiguousarray(PICTURE.transpose(2, 0, 1)).tobytes()

    np.testing.assert_allclose(luminance(tmp_path, data), LUMINANCE, atol=0.6)


def test_native_ybr_is_converted(tmp_path: Path) -> None:
    data = a_colour_image(convert_color_space(PICTURE, "RGB", "YBR_FULL"), "YBR_FULL")

    np.testing.assert_allclose(luminance(tmp_path, data), LUMINANCE, atol=1.6)


def test_sixteen_bits_are_shown_by_their_upper_eight(tmp_path: Path) -> None:
    data = a_colour_image(PICTURE.astype(np.uint16) * 257)

    np.testing.assert_allclose(luminance(tmp_path, data), LUMINANCE, atol=0.6)


@pytest.mark.parametrize(
    ("syntax", "frame", "interpretation"),
    [
        (uid.JPEGLSLossless, imagecodecs.jpegls_encode(PICTURE), "RGB"),
        (
            uid.JPEGLSLossless,
            imagecodecs.jpegls_encode(convert_color_space(PICTURE, "RGB", "YBR_FULL")),
            "YBR_FULL",
        ),
        (
            uid.JPEG2000Lossless,
            imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", level=0, mct=True),
            "YBR_RCT",
        ),
        (
            uid.JPEG2000Lossless,
            imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", level=0, mct=False),
            "RGB",
        ),
    ],
    ids=["JPEG-LS", "JPEG-LS of YBR", "JPEG 2000 transformed", "JPEG 2000 plain"],
)
def test_compressed_colour_is_the_same_picture(
    tmp_path: Path, syntax: str, frame: bytes, interpretation: str
) -> None:
    data = compressed(frame, syntax, interpretation)

    np.testing.assert_allclose(luminance(tmp_path, data), LUMINANCE, atol=1.6)


@pytest.mark.parametrize(
    ("inside", "interpretation"),
    [("RGB", "RGB"), ("YCBCR", "YBR_FULL"), ("YCBCR", "YBR_FULL_422")],
)
def test_jpeg_is_read_in_the_colours_that_the_header_says(
    tmp_path: Path, inside: str, interpretation: str
) -> None:
    smooth = np.repeat(PICTURE[:1, :1], 16, axis=0).repeat(16, axis=1)
    frame = imagecodecs.jpeg8_encode(smooth, level=100, colorspace="RGB", outcolorspace=inside)
    # libjpeg marks what it did: without the marks the header alone says it.
    start = frame.index(b"\xff\xdb")
    data = compressed(frame[:2] + frame[start:], uid.JPEGBaseline8Bit, interpretation)

    np.testing.assert_allclose(luminance(tmp_path, data), LUMINANCE[0, 0], atol=2)


def test_an_adobe_marker_is_believed_before_the_header(tmp_path: Path) -> None:
    smooth = np.repeat(PICTURE[:1, :1], 16, axis=0).repeat(16, axis=1)
    frame = imagecodecs.jpeg8_encode(smooth, level=100, colorspace="RGB", outcolorspace="RGB")
    assert b"Adobe" in frame[:40]
    data = compressed(frame, uid.JPEGBaseline8Bit, "YBR_FULL_422")

    np.testing.assert_allclose(luminance(tmp_path, data), LUMINANCE[0, 0], atol=2)


def a_palette_image(bits: int) -> Dataset:
    indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
    data = an_image_data_set(indices, PhotometricInterpretation="PALETTE COLOR")
    for name, factor in (("Red", 1.0), ("Green", 0.5), ("Blue", 0.25)):
        entries = (np.arange(256) * factor).astype("<u2") * (1 if bits == 8 else 257)
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        table = entries.astype("u1") if bits == 8 else entries
        setattr(data, f"{name}PaletteColorLookupTableData", table.tobytes())
    return data


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_is_looked_up(tmp_path: Path, bits: int) -> None:
    shown = luminance(tmp_path, a_palette_image(bits))

    index = np.arange(256).reshape(16, 16)
    np.testing.assert_allclose(
        shown, index * 0.299 + (index // 2) * 0.587 + (index // 4) * 0.114, atol=1.1
    )


def test_a_palette_image_without_its_table_is_undecodable(tmp_path: Path) -> None:
    data = a_palette_image(8)
    del data.RedPaletteColorLookupTableData

    with pytest.raises(UndecodableError, match="display"):
        luminance(tmp_path, data)


def test_an_interpretation_that_is_retired_is_unsupported(tmp_path: Path) -> None:
    data = an_image_data_set(PICTURE[..., 0], PhotometricInterpretation="ARGB")

    with pytest.raises(UnsupportedInputError, match="Photometric"):
        luminance(tmp_path, data)
