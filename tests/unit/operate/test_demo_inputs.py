"""The demo's inputs: valid DICOM, clearly invented, each with an expected end."""

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import FileDataset, dcmread

from medqueue.operate.demo_inputs import DemoStudy, reports, single_chest, write_studies
from schemas.result import ResultStatus

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[DemoStudy]:
    return write_studies(tmp_path_factory.mktemp("demo"), now=NOW)


def read(study: DemoStudy) -> list[FileDataset]:
    return [dcmread(path) for path in study.files]


def by_title(studies: list[DemoStudy], part: str) -> DemoStudy:
    return next(study for study in studies if part in study.title)


def test_every_file_is_a_dicom_file_of_its_study(studies: list[DemoStudy]) -> None:
    for study in studies:
        for data_set in read(study):
            assert data_set.StudyInstanceUID == study.study_instance_uid
            assert data_set.file_meta.MediaStorageSOPInstanceUID == data_set.SOPInstanceUID


def test_every_identity_is_clearly_invented(studies: list[DemoStudy]) -> None:
    for data_set in (data_set for study in studies for data_set in read(study)):
        assert re.fullmatch(r"DEMO\^[A-Z]+", str(data_set.PatientName))
        assert data_set.PatientID.startswith("DEMO")
        assert data_set.SOPInstanceUID.startswith("2.25.")


def test_every_kind_of_end_is_among_the_expectations(studies: list[DemoStudy]) -> None:
    wanted = {ResultStatus.FINAL, ResultStatus.SKIPPED, ResultStatus.FAILED}
    assert {study.expected for study in studies} == wanted


def test_whole_images_decode_to_a_picture_with_contrast(studies: list[DemoStudy]) -> None:
    for part, shape in (("DX", (2000, 1700)), ("CR", (1024, 1024)), ("CT", (256, 256))):
        pixels = read(by_title(studies, part))[0].pixel_array
        assert pixels.shape == shape
        assert np.ptp(pixels) > pixels.max() / 2


def test_the_dx_is_monochrome1_of_16_bits(studies: list[DemoStudy]) -> None:
    (data_set,) = read(by_title(studies, "DX"))
    assert (data_set.PhotometricInterpretation, data_set.BitsStored) == ("MONOCHROME1", 16)


def test_the_ct_is_one_series_of_several_slices(studies: list[DemoStudy]) -> None:
    slices = read(by_title(studies, "CT"))
    assert len({data_set.SeriesInstanceUID for data_set in slices}) == 1
    assert [data_set.InstanceNumber for data_set in slices] == [1, 2, 3, 4, 5, 6]


def test_the_image_that_must_fail_lacks_pixels(studies: list[DemoStudy]) -> None:
    (data_set,) = read(by_title(studies, "cut off"))
    with pytest.raises(ValueError, match=r"less than expected|bytes"):
        _ = data_set.pixel_array


def test_two_builds_share_no_uid(tmp_path: Path) -> None:
    first, second = (single_chest(tmp_path, number, now=NOW) for number in (1, 2))
    assert first.study_instance_uid != second.study_instance_uid


def test_the_texts_are_english_chinese_and_urgent() -> None:
    texts = reports()
    assert {text.language for text in texts} == {"en", "zh"}
    assert any(text.urgent for text in texts)


def test_one_text_comes_as_hl7_in_the_character_set_of_a_chinese_hospital() -> None:
    (text,) = [text for text in reports() if text.charset is not None]
    assert (text.language, text.charset) == ("zh", "GB 18030-2000")
