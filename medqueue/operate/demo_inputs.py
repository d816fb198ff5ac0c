"""The inputs of `medqueue demo`: studies and texts as a hospital would send them, all invented."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from medqueue.operate import phantoms
from schemas.result import ResultKind, ResultStatus

_CT_SLICES = 6


@dataclass(frozen=True, slots=True)
class DemoStudy:
    """A study to push by C-STORE, and the status of the result that it must get."""

    title: str
    study_instance_uid: str
    files: tuple[Path, ...]
    expected: ResultStatus
    urgent: bool = False
    kind: ResultKind = ResultKind.IMAGE


@dataclass(frozen=True, slots=True)
class DemoReport:
    """A report text to hand in, and the status of the result that it must get."""

    title: str
    text: str
    language: str
    accession_number: str
    expected: ResultStatus
    urgent: bool = False
    charset: str | None = None
    """By HL7 v2 in this character set (table 0211); None is by HTTP."""
    kind: ResultKind = ResultKind.TEXT


def reports() -> list[DemoReport]:
    """Return the report texts."""
    final = ResultStatus.FINAL
    return [
        DemoReport(
            "report, English",
            "No pneumothorax. Possible small left effusion. Cardiomegaly.",
            "en",
            "DEMO-T1",
            final,
        ),
        DemoReport(
            "report, Chinese",
            "双肺纹理增多，右下肺可见斑片状密度增高影，考虑肺炎。未见气胸。",  # noqa: RUF001 - Chinese punctuation
            "zh",
            "DEMO-T2",
            final,
            charset="GB 18030-2000",
        ),
        DemoReport(
            "report, urgent",
            "FINDINGS: Large right pneumothorax with mediastinal shift. No pleural effusion.\n"
            "IMPRESSION: Tension pneumothorax cannot be excluded.",
            "en",
            "DEMO-T3",
            final,
            urgent=True,
        ),
    ]


def write_studies(folder: Path, *, now: datetime) -> list[DemoStudy]:
    """Build the studies as files below a folder, and return them."""
    return [
        _write("chest DX 2000x1700", [_dx(now)], folder, ResultStatus.FINAL),
        _write("chest CR, urgent", [_cr(now)], folder, ResultStatus.FINAL, urgent=True),
        _write(f"CT, {_CT_SLICES} slices", list(_ct(now)), folder, ResultStatus.SKIPPED),
        _write("chest, cut off", [_truncated(now)], folder, ResultStatus.FAILED),
        _write("structured report", [_sr(now)], folder, ResultStatus.SKIPPED),
    ]


def single_chest(folder: Path, number: int, *, now: datetime) -> DemoStudy:
    """Build one study of a single small chest image, for benchmarks."""
    data_set = _header("BENCH^STUDY", f"BENCH{number:05}", "CR", now)
    _describe_chest(data_set, ComputedRadiographyImageStorage, view="PA")
    _set_pixels(data_set, phantoms.chest(512, 512, bits=12, opacity=0.3, seed=number), bits=12)
    return _write(f"bench-{number:05}", [data_set], folder, ResultStatus.FINAL)


def _dx(now: datetime) -> FileDataset:
    data_set = _header("DEMO^ALPHA", "DEMO0001", "DX", now)
    _describe_chest(data_set, DigitalXRayImageStorageForPresentation, view="PA")
    pixels = phantoms.chest(2000, 1700, bits=16, opacity=0.0, seed=1)
    # Inverted, as many digital detectors send it: here air is bright (PS3.3 section C.7.6.3.1.2).
    _set_pixels(data_set, 65535 - pixels, bits=16, interpretation="MONOCHROME1")
    data_set.PresentationIntentType = "FOR PRESENTATION"
    data_set.PixelIntensityRelationship = "LOG"
    data_set.PixelIntensityRelationshipSign = -1
    data_set.ImagerPixelSpacing = [0.2, 0.2]
    data_set.WindowCenter, data_set.WindowWidth = 40000, 100000
    return data_set


def _cr(now: datetime) -> FileDataset:
    data_set = _header("DEMO^BRAVO", "DEMO0002", "CR", now)
    _describe_chest(data_set, ComputedRadiographyImageStorage, view="AP")
    pixels = phantoms.chest(1024, 1024, bits=12, opacity=0.9, seed=2)
    _set_pixels(data_set, pixels, bits=12)
    data_set.CassetteSize = "35CMX43CM"
    return data_set


def _ct(now: datetime) -> Iterator[FileDataset]:
    first = _header("DEMO^CHARLIE", "DEMO0003", "CT", now)
    frame_of_reference = generate_uid(prefix=None)
    for number in range(1, _CT_SLICES + 1):
        data_set = _header("DEMO^CHARLIE", "DEMO0003", "CT", now)
        data_set.StudyInstanceUID = first.StudyInstanceUID
        data_set.SeriesInstanceUID = first.SeriesInstanceUID
        _set_class(data_set, CTImageStorage)
        level = number / _CT_SLICES
        _set_pixels(data_set, phantoms.ct_slice(256, level=level, seed=number), bits=12)
        data_set.BodyPartExamined = "CHEST"
        data_set.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data_set.InstanceNumber = number
        data_set.FrameOfReferenceUID = frame_of_reference
        data_set.ImagePositionPatient = [-175.0, -175.0, -5.0 * number]
        data_set.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data_set.PixelSpacing = [1.367, 1.367]
        data_set.SliceThickness = 5
        data_set.KVP = 120
        data_set.RescaleIntercept, data_set.RescaleSlope = -1024, 1
        data_set.RescaleType = "HU"
        yield data_set


def _truncated(now: datetime) -> FileDataset:
    data_set = _header("DEMO^DELTA", "DEMO0004", "CR", now)
    _describe_chest(data_set, ComputedRadiographyImageStorage, view="PA")
    _set_pixels(data_set, phantoms.chest(512, 512, bits=12, opacity=0.2, seed=4), bits=12)
    # What a modality leaves that lost its network in the middle: a valid object, half an image.
    data_set.PixelData = data_set.PixelData[: len(data_set.PixelData) // 2]
    return data_set


def _sr(now: datetime) -> FileDataset:
    data_set = _header("DEMO^ECHO", "DEMO0005", "SR", now)
    _set_class(data_set, BasicTextSRStorage)
    data_set.InstanceNumber = 1
    data_set.CompletionFlag, data_set.VerificationFlag = "COMPLETE", "UNVERIFIED"
    data_set.ValueType, data_set.ContinuityOfContent = "CONTAINER", "SEPARATE"
    data_set.ConceptNameCodeSequence = [_code("11528-7", "LN", "Radiology Report")]
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    item.TextValue = "An invented finding of an invented patient."
    data_set.ContentSequence = [item]
    return data_set


def _header(name: str, patient_id: str, modality: str, now: datetime) -> FileDataset:
    """Return a data set with the patient, study, series and equipment modules."""
    data_set = FileDataset("", {}, preamble=b"\0" * 128)
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data_set.PatientName, data_set.PatientID = name, patient_id
    data_set.PatientBirthDate, data_set.PatientSex = "19700101", "O"
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = (
        generate_uid(prefix=None),
        generate_uid(prefix=None),
    )
    data_set.StudyID, data_set.SeriesNumber = "1", 1
    data_set.AccessionNumber = f"A-{patient_id}"
    data_set.ReferringPhysicianName = "DEMO^REFERRER"
    data_set.StudyDescription = "DEMONSTRATION"
    data_set.StudyDate = data_set.SeriesDate = data_set.ContentDate = f"{now:%Y%m%d}"
    data_set.StudyTime = data_set.SeriesTime = data_set.ContentTime = f"{now:%H%M%S}"
    data_set.Modality = modality
    data_set.Manufacturer, data_set.ManufacturerModelName = "MEDQUEUE", "DEMO"
    data_set.InstitutionName = "DEMO HOSPITAL"
    return data_set


def _describe_chest(data_set: Dataset, sop_class: str, *, view: str) -> None:
    _set_class(data_set, sop_class)
    data_set.ImageType = ["ORIGINAL", "PRIMARY"]
    data_set.InstanceNumber = 1
    data_set.BodyPartExamined, data_set.ViewPosition = "CHEST", view
    data_set.PatientOrientation = ["L", "F"]


def _set_class(data_set: Dataset, sop_class: str) -> None:
    data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, generate_uid(prefix=None)


def _set_pixels(
    data_set: Dataset,
    pixels: NDArray[np.uint16],
    *,
    bits: int,
    interpretation: str = "MONOCHROME2",
) -> None:
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, interpretation
    data_set.Rows, data_set.Columns = pixels.shape
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, bits, bits - 1
    data_set.PixelRepresentation = 0
    data_set.PixelData = pixels.astype("<u2").tobytes()
    data_set["PixelData"].VR = "OW"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _write(
    title: str,
    data_sets: list[FileDataset],
    folder: Path,
    expected: ResultStatus,
    *,
    urgent: bool = False,
) -> DemoStudy:
    paths = []
    for data_set in data_sets:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data_set.file_meta = meta
        path = folder / f"{data_set.PatientID}-{data_set.InstanceNumber}.dcm"
        data_set.save_as(path, enforce_file_format=True)
        paths.append(path)
    return DemoStudy(title, data_sets[0].StudyInstanceUID, tuple(paths), expected, urgent=urgent)
