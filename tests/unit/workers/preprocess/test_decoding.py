"""Decoding: the same pixels as other decoders give, and refusals that come before the damage."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array

from dicom_files import an_image_data_set, saved
from medqueue.errors import UndecodableError, UnsupportedInputError
from workers.preprocess import decoding
from workers.preprocess.decoding import decode_frames, read_data_set

PICTURE = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(path)


def decoded(path: Path) -> NDArray[np.integer]:
    return decode_frames(read_data_set(path))


def compressed(folder: Path, picture: NDArray[np.integer], syntax: str, frame: bytes) -> Path:
    return saved(folder, an_image_data_set(picture, syntax, [frame]))


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "MR_small_jp2klossless.dcm",
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "MR_small_RLE.dcm",
        "MR_small.dcm",
        "MR_small_implicit.dcm",
        "examples_overlay.dcm",
        "rtdose_rle.dcm",
    ],
)
def test_frames_equal_those_of_pydicom_and_pylibjpeg(name: str) -> None:
    path = sample(name)

    frames = decoded(path)

    expected = pixel_array(path)
    np.testing.assert_array_equal(frames.reshape(expected.shape), expected)
    assert frames.dtype == expected.dtype


@pytest.mark.parametrize(
    "name", ["MR_small_jpeg_ls_lossless.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm"]
)
def test_lossless_forms_of_one_image_give_one_picture(name: str) -> None:
    np.testing.assert_array_equal(decoded(sample(name)), decoded(sample("MR_small.dcm")))


def test_a_deflated_data_set_is_read() -> None:
    assert decoded(sample("image_dfl.dcm")).shape == (1, 512, 512)


def test_twelve_bit_jpeg_is_decoded() -> None:
    frames = decoded(sample("JPGExtended.dcm"))

    assert frames.shape == (1, 1024, 256)
    assert frames.max() > 255


@pytest.mark.parametrize(
    ("syntax", "frame"),
    [
        (uid.JPEGLosslessSV1, imagecodecs.ljpeg_encode(PICTURE, bitspersample=16)),
        (uid.JPEGLSLossless, imagecodecs.jpegls_encode(PICTURE)),
        (uid.JPEG2000Lossless, imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", level=0)),
        (uid.HTJ2KLossless, imagecodecs.htj2k_encode(PICTURE)),
    ],
)
def test_lossless_compression_gives_the_picture_back(
    tmp_path: Path, syntax: str, frame: bytes
) -> None:
    frames = decoded(compressed(tmp_path, PICTURE, syntax, frame))

    np.testing.assert_array_equal(frames[0], PICTURE)


def test_signed_samples_survive_a_codec_that_knows_none(tmp_path: Path) -> None:
    signed = (PICTURE.astype(np.int16) - 900).astype(np.int16)
    frame = imagecodecs.jpegls_encode(signed.view(np.uint16))

    frames = decoded(compressed(tmp_path, signed, uid.JPEGLSLossless, frame))

    np.testing.assert_array_equal(frames[0], signed)


@pytest.mark.parametrize("inside", [np.int16, np.uint16])
@pytest.mark.parametrize("said", [np.int16, np.uint16])
def test_the_header_is_right_where_jpeg_2000_has_another_sign(
    tmp_path: Path, inside: type[np.integer], said: type[np.integer]
) -> None:
    picture = (PICTURE.astype(np.int32) - 900).astype(np.int16)
    frame = imagecodecs.jpeg2k_encode(picture.view(inside), codecformat="j2k", level=0)

    frames = decoded(compressed(tmp_path, picture.view(said), uid.JPEG2000Lossless, frame))

    np.testing.assert_array_equal(frames[0], picture.view(said))


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm"])
@pytest.mark.parametrize("kept", [0.99, 0.7, 0.4])
def test_a_file_that_is_cut_off_is_undecodable(tmp_path: Path, name: str, kept: float) -> None:
    content = sample(name).read_bytes()
    pixels_at = content.index(b"\xe0\x7f\x10\x00")
    # Some samples end with padding elements after the pixels: cut inside the pixel data itself.
    length = len(dcmread(sample(name)).PixelData)
    path = tmp_path / "cut.dcm"
    path.write_bytes(content[: pixels_at + 12 + int(length * kept)])

    with pytest.raises(UndecodableError):
        decoded(path)


@pytest.mark.parametrize(
    "frame",
    [
        imagecodecs.jpeg8_encode((PICTURE % 256).astype(np.uint8)),
        imagecodecs.jpeg2k_encode((PICTURE % 256).astype(np.uint8), codecformat="j2k"),
    ],
)
def test_a_frame_without_its_end_is_undecodable(tmp_path: Path, frame: bytes) -> None:
    syntax = uid.JPEGBaseline8Bit if frame.startswith(b"\xff\xd8") else uid.JPEG2000
    picture = (PICTURE % 256).astype(np.uint8)

    path = compressed(tmp_path, picture, syntax, frame[: len(frame) * 3 // 4])

    with pytest.raises(UndecodableError, match="cut off"):
        decoded(path)


def test_the_sample_that_is_known_to_be_truncated_is_undecodable() -> None:
    with pytest.raises(UndecodableError):
        decoded(sample("MR_truncated.dcm"))


def test_a_header_that_promises_too_many_pixels_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = an_image_data_set(PICTURE)
    data.Rows = data.Columns = 65535
    path = saved(tmp_path, data)
    monkeypatch.setattr(decoding, "pixel_array", lambda _: pytest.fail("it was decoded"))

    with pytest.raises(UndecodableError, match="nothing was decoded"):
        decoded(path)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless])
def test_a_codestream_of_another_size_than_its_header_is_refused_undecoded(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = np.zeros((4000, 4000), dtype=np.uint16)
    frame = (
        imagecodecs.jpegls_encode(bomb)
        if syntax == uid.JPEGLSLossless
        else imagecodecs.jpeg2k_encode(bomb, codecformat="j2k", level=0)
    )
    path = compressed(tmp_path, PICTURE, syntax, frame)
    for decoder in ("jpegls_decode", "jpeg2k_decode"):
        monkeypatch.setattr(imagecodecs, decoder, lambda _: pytest.fail("it was decoded"))

    with pytest.raises(UndecodableError, match="4000 x 4000"):
        decoded(path)


def test_a_deflated_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_INFLATED_BYTES", 1024**2)
    data = an_image_data_set(PICTURE)
    content = saved(tmp_path, data).read_bytes()
    group_length = struct.unpack("<I", content[140:144])[0]
    meta_end = 144 + group_length
    meta = content[:meta_end].replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.1.99")
    growth = len(meta) - meta_end
    meta = meta[:140] + struct.pack("<I", group_length + growth) + meta[144:]
    at = meta.index(b"1.2.840.10008.1.2.1.99")
    meta = meta[: at - 2] + struct.pack("<H", 22) + meta[at:]
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path = tmp_path / "bomb.dcm"
    path.write_bytes(meta + squeeze.compress(bytes(5 * 1024**2)) + squeeze.flush())

    with pytest.raises(UndecodableError, match="deflated"):
        read_data_set(path)


@pytest.mark.parametrize("name", ["test-SR.dcm", "no_meta.dcm", "badVR.dcm"])
def test_what_is_no_image_is_undecodable(name: str) -> None:
    with pytest.raises(UndecodableError):
        decoded(sample(name))


def test_a_missing_frame_is_noticed(tmp_path: Path) -> None:
    frame = imagecodecs.jpegls_encode(PICTURE)
    data = an_image_data_set(PICTURE, uid.JPEGLSLossless, [frame])
    data.NumberOfFrames = 2

    with pytest.raises(UndecodableError):
        decoded(saved(tmp_path, data))


def test_the_message_quotes_no_value_of_the_data_set(tmp_path: Path) -> None:
    data = an_image_data_set(PICTURE)
    content = saved(tmp_path, data).read_bytes()
    data.NumberOfFrames = 1234
    content = saved(tmp_path, data).read_bytes().replace(b"1234", b"Ross")
    path = tmp_path / "odd.dcm"
    path.write_bytes(content)

    with pytest.raises(UndecodableError) as caught:
        read_data_set(path)

    assert "Ross" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["MR_small_jp2klossless.dcm", "JPGExtended.dcm", "MR_small_RLE.dcm"]
)
def test_flipped_bytes_end_in_pixels_or_in_our_errors(tmp_path: Path, name: str) -> None:
    content = sample(name).read_bytes()
    chance = np.random.default_rng(7)
    path = tmp_path / "flipped.dcm"
    for _ in range(40):
        broken = bytearray(content)
        for at in chance.integers(132, len(broken), size=6):
            broken[at] = chance.integers(256)
        path.write_bytes(broken)
        try:
            frames = decoded(path)
        except (UndecodableError, UnsupportedInputError):
            continue
        assert frames.ndim == 3
