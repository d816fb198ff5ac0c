"""The DICOM objects of a result: valid by another's judgement, complete, and the same each time."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage

from builders import after
from chest_images import an_image
from medqueue.errors import InstanceLostError
from medqueue.results.deliverable import Deliverable
from schemas.finding import Code, Finding, Presence
from schemas.result import ModelReference, Result, ResultKind, ResultStatus
from workers.delivery.objects import objects_of
from workers.preprocess.series import prepare_series

PNEUMONIA = Finding(
    code=Code(system="http://snomed.info/sct", code="233604007", display="Pneumonia"),
    label="Pneumonia",
    probability=0.83141,
    threshold=0.5,
    presence=Presence.PRESENT,
)
NODULE = Finding(label="A finding without a code that has a long name", presence=Presence.UNCERTAIN)
MODEL = ModelReference(
    name="chest", version="1.2.3", sha256="ab" * 32, intended_use="Research in children only."
)


def a_result(files: list[Path], *, findings: tuple[Finding, ...] = (PNEUMONIA, NODULE)) -> Result:
    images = [dcmread(file, stop_before_pixels=True) for file in files]
    return Result(
        seq=1,
        id="0123456789abcdef" * 2,
        kind=ResultKind.IMAGE,
        status=ResultStatus.FINAL,
        study_instance_uid=images[0].StudyInstanceUID,
        series_instance_uid=images[0].SeriesInstanceUID,
        sop_instance_uids=tuple(image.SOPInstanceUID for image in images),
        accession_number=None,
        patient_id=None,
        report_id=None,
        model=MODEL,
        findings=findings,
        error=None,
        received_at=after(0),
        completed_at=after(1),
    )


def made(files: list[Path], *, amends: str | None = None) -> tuple[Dataset, Dataset]:
    result = a_result(files)
    paths = {uid: str(file) for uid, file in zip(result.sop_instance_uids, files, strict=True)}
    report, capture = objects_of(
        Deliverable(result, paths, amends), Path, prepare_series, window=None
    )
    return report, capture


def texts(container: Dataset) -> list[str]:
    """Every concept, code meaning and text of a document, in its order."""
    found: list[str] = []
    for item in container.get("ContentSequence", []):
        for keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence"):
            found += [code.CodeMeaning for code in item.get(keyword, [])]
        found += [str(value.NumericValue) for value in item.get("MeasuredValueSequence", [])]
        found += [str(item.TextValue)] if "TextValue" in item else []
        found += texts(item)
    return found


def validated(folder: Path, made_object: Dataset) -> list[str]:
    """What dciodvfy of dicom3tools calls an error."""
    program = shutil.which("dciodvfy")
    if program is None:
        if os.environ.get("CI") == "true":  # noqa: TID251 - not a setting of medqueue
            pytest.fail("no dciodvfy in CI: apt-get install dicom3tools", pytrace=False)
        pytest.skip("no dciodvfy: apt-get install dicom3tools")
    path = folder / "made.dcm"
    made_object.save_as(path, enforce_file_format=True)
    judged = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    return [line for line in judged.stderr.splitlines() if line.startswith("Error")]


def test_the_report_tells_the_findings_and_who_found_them(tmp_path: Path) -> None:
    report, _ = made([an_image(tmp_path)])

    assert report.SOPClassUID == ComprehensiveSRStorage
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.SeriesDescription == "AI, not for clinical use: chest 1.2.3"
    said = texts(report)
    for expected in ("Pneumonia", "0.8314", "Present", NODULE.label, "Indeterminate"):
        assert expected in said
    for expected in ("chest", "1.2.3", "Not for clinical use", f"SHA-256 {MODEL.sha256}"):
        assert expected in said


def test_the_objects_are_valid(tmp_path: Path) -> None:
    files = [an_image(tmp_path, study="1.2.3", series="1.2.3.1", number=n) for n in (1, 2)]
    report, capture = made(files, amends="fedcba9876543210" * 2)
    assert validated(tmp_path, report) == []
    assert validated(tmp_path, capture) == []


def test_the_objects_lie_in_the_study_of_the_patient_and_name_their_evidence(
    tmp_path: Path,
) -> None:
    file = an_image(tmp_path, PatientName="王^小明", SpecificCharacterSet="GB18030")
    image = dcmread(file)
    for one in made([file]):
        assert one.StudyInstanceUID == image.StudyInstanceUID
        assert one.SeriesInstanceUID != image.SeriesInstanceUID
        assert (str(one.PatientName), one.PatientID) == ("王^小明", "T-1")
    report, capture = made([file])
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (referenced,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert referenced.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert capture.SourceImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID


def test_a_repeat_is_the_same_object_and_an_amendment_names_what_it_replaces(
    tmp_path: Path,
) -> None:
    files = [an_image(tmp_path)]
    first, again = made(files), made(files)
    assert [one.SOPInstanceUID for one in first] == [one.SOPInstanceUID for one in again]

    amended, _ = made(files, amends="fedcba9876543210" * 2)
    (predecessor,) = amended.PredecessorDocumentsSequence
    (series,) = predecessor.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")


def test_the_capture_shows_the_image_with_a_legend_below(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    _, capture = made([an_image(tmp_path, pixels=ramp)])

    assert capture.SOPClassUID == SecondaryCaptureImageStorage
    assert (capture.PhotometricInterpretation, capture.BurnedInAnnotation) == ("RGB", "NO")
    pixels = capture.pixel_array
    assert pixels.shape[:2] > (512, 511)
    image, legend = pixels[:512], pixels[512:]
    assert image[-1, -1].tolist() == [255, 255, 255], "the ramp ends white"
    assert (legend == (255, 214, 10)).all(axis=2).any(), "the warning is yellow"


@pytest.mark.parametrize(
    ("attributes", "date", "time"),
    [
        ({"StudyDate": "1999.05.05", "StudyTime": "10:52:34.5"}, "19990505", "105234.5"),
        ({"StudyDate": "19990505", "StudyTime": "1052"}, "19990505", "1052"),
        ({"StudyDate": "5 May 99", "StudyTime": "noon"}, "", ""),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_dates_in_other_forms_do_not_spoil_the_object(
    tmp_path: Path, attributes: dict[str, str], date: str, time: str
) -> None:
    report, capture = made([an_image(tmp_path, **attributes)])
    assert (str(report.StudyDate or ""), str(report.StudyTime or "")) == (date, time)
    assert validated(tmp_path, capture) == []


def test_without_the_image_there_is_no_object(tmp_path: Path) -> None:
    file = an_image(tmp_path)
    result = a_result([file])
    with pytest.raises(InstanceLostError):
        objects_of(Deliverable(result, {}, None), Path, prepare_series, window=None)
    gone = {result.sop_instance_uids[0]: str(tmp_path / "gone.dcm")}
    with pytest.raises(InstanceLostError):
        objects_of(Deliverable(result, gone, None), Path, prepare_series, window=None)
