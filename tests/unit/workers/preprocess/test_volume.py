"""Volumes: slices in the order of space with their spacing, and every doubt refused by name."""

import re
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, uid
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from dicom_files import an_image_data_set, saved
from medqueue.errors import NotAVolumeError, UndecodableError
from schemas.manifest import ImagePreparation
from workers.preprocess import volume
from workers.preprocess.series import prepare_series
from workers.preprocess.volume import read_volume

AXIAL = [1, 0, 0, 0, 1, 0]
CORONAL = [1, 0, 0, 0, 0, -1]


def a_slice(number: int, z: float, level: int | None = None, **attributes: Any) -> Dataset:
    """A CT slice all of one value, which is its number unless told."""
    picture = np.full((6, 8), number if level is None else level, dtype=np.uint16)
    return an_image_data_set(
        picture,
        **{
            "SOPClassUID": uid.CTImageStorage,
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "BitsStored": 12,
            "InstanceNumber": number,
            "ImagePositionPatient": [-100, -120, z],
            "ImageOrientationPatient": AXIAL,
            "PixelSpacing": [0.7, 0.8],
            "FrameOfReferenceUID": "1.2.3.9",
            "RescaleSlope": 1,
            "RescaleIntercept": -1024,
            **attributes,
        },
    )


def written(folder: Path, *slices: Dataset) -> list[Path]:
    return [saved(folder, one) for one in slices]


def test_slices_stand_in_the_order_of_space_whatever_their_numbers(tmp_path: Path) -> None:
    paths = written(tmp_path, a_slice(7, 10.0), a_slice(1, 5.0), a_slice(4, 7.5))

    read = read_volume(paths)

    assert read.values[:, 0, 0].tolist() == [1 - 1024, 4 - 1024, 7 - 1024]
    assert (read.values.dtype, read.values.shape) == (np.int16, (3, 6, 8))
    assert read.spacing == pytest.approx((2.5, 0.7, 0.8))


def test_the_order_follows_the_normal_and_not_an_axis(tmp_path: Path) -> None:
    slices = [
        a_slice(n, 0, ImageOrientationPatient=CORONAL, ImagePositionPatient=[0, y, 50])
        for n, y in ((1, 30.0), (2, 10.0), (3, 20.0))
    ]

    # Left to right times head to feet is front to back.
    assert read_volume(written(tmp_path, *slices)).values[:, 0, 0].tolist() == [-1022, -1021, -1023]


def test_a_slope_that_is_no_integer_makes_a_volume_of_floats(tmp_path: Path) -> None:
    slices = [a_slice(n, n, RescaleSlope=0.5 * n, RescaleIntercept=0) for n in (1, 2)]

    read = read_volume(written(tmp_path, *slices))

    assert read.values.dtype == np.float32
    assert read.values[:, 0, 0].tolist() == [0.5, 2.0]


def test_a_modality_lut_overrides_slope_and_intercept(tmp_path: Path) -> None:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4, 0, 16])
    item.add_new("LUTData", "US", [0, 100, 200, 300])
    slices = [a_slice(n, n, ModalityLUTSequence=Sequence([item])) for n in (1, 2)]

    assert read_volume(written(tmp_path, *slices)).values[:, 0, 0].tolist() == [100, 200]


def test_padding_becomes_the_least_value_that_is_none(tmp_path: Path) -> None:
    padded = a_slice(1, 1.0, PixelPaddingValue=4095)
    picture = np.full((6, 8), 30, dtype=np.uint16)
    picture[0] = 4095
    picture[1] = 20
    padded.PixelData = picture.tobytes()

    read = read_volume(written(tmp_path, padded, a_slice(2, 2.0)))

    assert read.values[0, :3, 0].tolist() == [-1004, -1004, -994]


def test_values_beyond_bits_stored_do_not_wrap_around(tmp_path: Path) -> None:
    slices = [a_slice(n, n) for n in (1, 2)]
    frame = imagecodecs.jpegls_encode(np.full((6, 8), 65535, dtype=np.uint16))
    for one in slices:
        one.file_meta.TransferSyntaxUID = uid.JPEGLSLossless
        one.PixelData = encapsulate([frame])

    assert read_volume(written(tmp_path, *slices)).values.min() == 32767


def test_an_enhanced_object_is_a_volume_by_the_positions_of_its_frames(tmp_path: Path) -> None:
    frames = np.stack([np.full((6, 8), n, dtype=np.uint16) for n in range(3)])
    data = an_image_data_set(frames, SOPClassUID=uid.EnhancedCTImageStorage, BitsStored=12)
    shared, groups = Dataset(), []
    shared.PixelMeasuresSequence = [Dataset()]
    shared.PixelMeasuresSequence[0].PixelSpacing = [0.5, 0.6]
    shared.PlaneOrientationSequence = [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = AXIAL
    for z in (4.0, 0.0, 2.0):
        group = Dataset()
        group.PlanePositionSequence = [Dataset()]
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, z]
        group.PixelValueTransformationSequence = [Dataset()]
        group.PixelValueTransformationSequence[0].RescaleIntercept = z
        group.PixelValueTransformationSequence[0].RescaleSlope = 1
        groups.append(group)
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = groups

    read = read_volume(written(tmp_path, data))

    assert read.values[:, 0, 0].tolist() == [1, 4, 4]
    assert read.spacing == pytest.approx((2.0, 0.5, 0.6))


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        ([a_slice(1, 0)], "one slice"),
        (
            [a_slice(n, z) for n, z in ((1, 0), (2, 2), (3, 4), (4, 10), (5, 12))],
            "gap between slice 3 and slice 4: 6.00 mm where others are 2.00 mm apart, so some 2",
        ),
        (
            [a_slice(n, z) for n, z in ((1, 0), (2, 2), (3, 4), (4, 5), (5, 7))],
            "not evenly spaced: slice 3 and slice 4 are 1.00 mm apart",
        ),
        (
            [a_slice(n, z) for n, z in ((1, 0), (2, 2), (8, 2), (3, 4))],
            "slice 2 and slice 8 lie at one position (1 such pairs)",
        ),
        ([a_slice(n, 3) for n in (1, 2, 3)], "slice 1 and slice 2 lie at one position (2"),
        (
            [
                a_slice(10 * phase + n, n, TemporalPositionIdentifier=phase)
                for phase in (1, 2)
                for n in (1, 2, 3)
            ],
            "several phases: TemporalPositionIdentifier has 2 values",
        ),
        (
            [a_slice(10 * a + n, n, AcquisitionNumber=a) for a in (1, 2) for n in (1, 2, 3)],
            "several phases: AcquisitionNumber has 2 values",
        ),
        (
            [a_slice(1, 0), a_slice(2, 2), a_slice(3, 4, ImageOrientationPatient=CORONAL)],
            "mixed orientations: 1 of 3 differ from slice 1",
        ),
        (
            [a_slice(n, 2 * n, ImagePositionPatient=[0, n, 2 * n]) for n in (1, 2, 3)],
            "26.6 degrees askew of their normal: the gantry was tilted",
        ),
        ([a_slice(1, 0), a_slice(2, 2, PixelSpacing=[0.9, 0.9])], "2 different pixel spacings"),
        ([a_slice(1, 0), a_slice(2, 2, FrameOfReferenceUID="1.2.4")], "2 different frames of ref"),
        (
            [a_slice(1, 0), a_slice(2, 2), a_slice(3, 4, ImageType=["ORIGINAL", "X", "LOCALIZER"])],
            "1 of 3 images are localizers",
        ),
        ([a_slice(1, 0), a_slice(2, 2, ImagePositionPatient=None)], "lacks ImagePositionPatient"),
        (
            [a_slice(n, n, ImageOrientationPatient=[1, 0, 0, 1, 0, 0]) for n in (1, 2)],
            "perpendicular",
        ),
        ([a_slice(1, 0), a_slice(2, 2, PhotometricInterpretation="MONOCHROME1")], "MONOCHROME2"),
    ],
    ids=[
        "single slice", "gap", "uneven", "double", "all at one place", "temporal phases",
        "acquisitions", "orientations", "tilt", "spacings", "frames of reference", "localizer",
        "no position", "no orientation", "inverted",
    ],
)  # fmt: skip
def test_what_is_no_volume_is_refused_by_name(
    tmp_path: Path, slices: list[Dataset], said: str
) -> None:
    with pytest.raises(NotAVolumeError, match=re.escape(said)):
        read_volume(written(tmp_path, *slices))


def test_slices_of_other_sizes_are_refused(tmp_path: Path) -> None:
    other = a_slice(2, 2.0)
    other.Rows, other.Columns = 8, 6

    with pytest.raises(NotAVolumeError, match="2 different sizes"):
        read_volume(written(tmp_path, a_slice(1, 0.0), other))


def test_positions_that_are_rounded_are_evenly_spaced(tmp_path: Path) -> None:
    slices = [a_slice(n, round(n * 0.625, 2)) for n in range(1, 9)]

    assert read_volume(written(tmp_path, *slices)).spacing[0] == pytest.approx(0.62, abs=0.01)


def test_a_volume_beyond_the_limit_is_not_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volume, "MAX_VOLUME_BYTES", 100)

    with pytest.raises(UndecodableError, match="limit of 100 bytes"):
        read_volume(written(tmp_path, a_slice(1, 0.0), a_slice(2, 2.0)))


def test_a_damaged_slice_fails_the_volume(tmp_path: Path) -> None:
    paths = written(tmp_path, a_slice(1, 0.0), a_slice(2, 2.0))
    paths[1].write_bytes(paths[1].read_bytes()[:-20])

    with pytest.raises(UndecodableError):
        read_volume(paths)


def test_a_model_of_volumes_sees_the_slices_in_order_through_its_window(tmp_path: Path) -> None:
    levels = {0.0: 924, 5.0: 1024, 10.0: 1124}
    paths = written(tmp_path, *(a_slice(n, z, levels[z]) for n, z in enumerate((10.0, 0.0, 5.0))))
    preparation = ImagePreparation(
        size=(4, 4), mean=0, std=1, takes="volume", window=(0.5, 201), crop="none"
    )

    prepared = prepare_series(paths, preparation)

    assert prepared.shape == (3, 1, 4, 4)
    np.testing.assert_allclose(prepared[:, 0, 0, 0] * 255, [0, 128, 255], atol=0.01)
