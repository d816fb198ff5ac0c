"""The headers of the images that were diagnosed, as far as objects made of a result repeat them."""

import re
from pathlib import Path

from pydicom import Dataset

from workers.preprocess.decoding import read_header

_PATIENT_AND_STUDY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
)
"""Type 2 in every composite object (PS3.3 sections C.7.1.1 and C.7.2.1): present, perhaps empty."""
_MORE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "InstanceNumber",
    "IssuerOfPatientID",
    "StudyDescription",
    "PatientAge",
    "Laterality",
)

_DATE = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?")
"""PS3.5 section 6.2, VR DA and TM."""


def read_evidence(path: Path) -> Dataset:
    """Read the header of one image, with empty values for what it lacks or has in no valid form.

    Raises:
        UndecodableError: it cannot be read.
    """
    header = read_header(path, (*_PATIENT_AND_STUDY, *_MORE))
    for keyword in _PATIENT_AND_STUDY:
        if keyword not in header:
            setattr(header, keyword, "")
    header.StudyDate = _in_form(header.StudyDate, _DATE)
    header.PatientBirthDate = _in_form(header.PatientBirthDate, _DATE)
    header.StudyTime = _in_form(header.StudyTime, _TIME)
    return header


def _in_form(value: object, form: re.Pattern[str]) -> str:
    """Return a date or time without the separators of ACR-NEMA, or nothing if it is none."""
    text = re.sub(r"[-:/]|(?<=^.{4})\.|(?<=^.{7})\.", "", str(value or "").strip())
    return text if form.fullmatch(text) else ""
