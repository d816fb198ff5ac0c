"""Decoded pixels equal those of a second, independent decoder, on every file that can be decoded.

The second decoder is dcmtk for RLE, JPEG and JPEG-LS; OpenJPEG as pylibjpeg builds it for JPEG 2000
(imagecodecs builds its own); NumPy on the bytes for native pixel data. Equal means equal: lossy
files too, but for one with halved chroma that no decompression defines to the last bit.
"""

import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.data import DATA_ROOT
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import pixel_array

from medqueue.errors import UndecodableError
from workers.preprocess.decoding import decode_frames, read_data_set

pytestmark = pytest.mark.integration

SHARED = Path(__file__).parents[4] / "shared" / "data" / "dicom"

NOBODY_DECODES = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "a delimiter was written over the codestream",
    "MR_truncated.dcm": "the pixel data ends early",
    "badVR.dcm": "Number of Frames is no number",
    "chrJapMulti.dcm": "the header of an image without pixel data",
    "chrJapMultiExplicitIR6.dcm": "the header of an image without pixel data",
    "chrKoreanMulti.dcm": "the header of an image without pixel data",
}
DCMTK_DOES_NOT = {"SC_rgb_jpeg.dcm": "dcmtk does not parse its header: an element without a VR"}
HALVED_CHROMA = "SC_ybr_full_422_uncompressed.dcm"


def image_files(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = dcmread(path, stop_before_pixels=True, specific_tags=["Rows"])
        except (InvalidDicomError, IsADirectoryError):
            continue
        if "Rows" in header and "TransferSyntaxUID" in header.file_meta:
            found.append(path)
    return found


def name_of(path: Path) -> str:
    return path.name


PYDICOM_FILES = image_files(Path(DATA_ROOT))
SHARED_FILES = image_files(SHARED)


def compare(path: Path, scratch: Path) -> None:
    ours = decode_frames(read_data_set(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = second(path, scratch)
    assert ours.dtype == theirs.dtype.newbyteorder("=")
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1 if path.name == HALVED_CHROMA else 0)


def second(path: Path, scratch: Path) -> NDArray[np.integer]:
    data = dcmread(path)
    syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return native(data)
    if "JPEG 2000" in syntax.name:
        return shaped(data, pixel_array(data, decoding_plugin="pylibjpeg"))
    if path.name in DCMTK_DOES_NOT:
        return shaped(data, pixel_array(data, decoding_plugin="pillow"))
    expanded = scratch / "expanded.dcm"
    subprocess.run(
        [dcmtk(program_for(syntax)), str(path), str(expanded)], check=True, capture_output=True
    )
    return native(dcmread(expanded))


def program_for(syntax: uid.UID) -> str:
    if syntax == uid.RLELossless:
        return "dcmdrle"
    return "dcmdjpls" if "JPEG-LS" in syntax.name else "dcmdjpeg"


def dcmtk(program: str) -> str:
    found = shutil.which(program, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if found is None:
        reason = f"{program} of dcmtk is not installed"
        if os.environ.get("CI") == "true":  # noqa: TID251 - not a setting of medqueue
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


def shaped(data: Dataset, values: NDArray[np.integer]) -> NDArray[np.integer]:
    samples = [data.SamplesPerPixel] if data.SamplesPerPixel > 1 else []
    return values.reshape(int(data.get("NumberOfFrames") or 1), data.Rows, data.Columns, *samples)


def native(data: Dataset) -> NDArray[np.integer]:
    """Read native pixel data by PS3.5 section 8.1 and PS3.3 section C.7.6.3."""
    if data.BitsAllocated == 1:
        bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")
        return shaped(data, bits[: data.Rows * data.Columns])
    if data.PhotometricInterpretation == "YBR_FULL_422":
        return rgb_of_halved_chroma(data)
    content = data.PixelData
    swapped = data.file_meta.TransferSyntaxUID == uid.ExplicitVRBigEndian
    if swapped and data.BitsAllocated == 8 and data["PixelData"].VR == "OW":
        content = np.frombuffer(content, ">u2").astype("<u2").tobytes()
    order, kind = "<>"[swapped], "ui"[data.PixelRepresentation]
    frames, samples = int(data.get("NumberOfFrames") or 1), data.SamplesPerPixel
    values = np.frombuffer(
        content,
        np.dtype(f"{order}{kind}{data.BitsAllocated // 8}"),
        count=frames * samples * data.Rows * data.Columns,
    )
    if samples > 1 and data.PlanarConfiguration == 1:
        return values.reshape(frames, samples, data.Rows, data.Columns).transpose(0, 2, 3, 1)
    return shaped(data, values)


def rgb_of_halved_chroma(data: Dataset) -> NDArray[np.integer]:
    """Two luminances share a pair of chrominances (PS3.3 section C.7.6.3.1.2)."""
    groups = np.frombuffer(data.PixelData, np.uint8).reshape(-1, 4).astype(float)
    y = groups[:, :2].reshape(-1)
    blue, red = (np.repeat(groups[:, at], 2) - 128 for at in (2, 3))
    rgb = np.stack(
        [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1
    )
    return shaped(data, np.clip(np.round(rgb), 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "path", [one for one in PYDICOM_FILES if one.name not in NOBODY_DECODES], ids=name_of
)
def test_the_pixels_of_pydicoms_files_are_those_of_a_second_decoder(
    path: Path, tmp_path: Path
) -> None:
    compare(path, tmp_path)


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED_FILES, reason="needs ../shared/data")
@pytest.mark.parametrize("path", SHARED_FILES, ids=name_of)
def test_the_pixels_of_other_files_are_those_of_a_second_decoder(
    path: Path, tmp_path: Path
) -> None:
    compare(path, tmp_path)


@pytest.mark.parametrize("name", NOBODY_DECODES)
def test_what_nobody_decodes_is_undecodable_here_too(name: str) -> None:
    (path,) = [one for one in PYDICOM_FILES if one.name == name]
    with pytest.raises(UndecodableError):
        decode_frames(read_data_set(path))
