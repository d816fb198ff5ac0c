"""The header of an object as the ledger indexes it, and as we write it."""

import io

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from builders import CR_STORAGE
from medqueue.doors.header import part10_header, read_header, require_whole
from medqueue.errors import IdentityError, NotDicomError
from schemas.study import Announced, InstanceHeader
from schemas.work import Priority

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def an_object(**changes: object) -> Dataset:
    data_set = Dataset()
    data_set.SOPClassUID = CR_STORAGE
    data_set.SOPInstanceUID = "1.2.3.1.1"
    data_set.StudyInstanceUID = "1.2.3"
    data_set.SeriesInstanceUID = "1.2.3.1"
    data_set.PatientID = "P-1"
    data_set.IssuerOfPatientID = "HOSP"
    data_set.AccessionNumber = "A-1"
    data_set.Modality = "CR"
    data_set.BodyPartExamined = "CHEST"
    data_set.ViewPosition = "PA"
    data_set.InstanceNumber = 1
    data_set.PixelData = b"\x00" * 64
    data_set["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            delattr(data_set, keyword)
        else:
            setattr(data_set, keyword, value)
    return data_set


def encode(data_set: Dataset, syntax: str = EXPLICIT) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR = syntax == IMPLICIT
    buffer.is_little_endian = syntax != BIG
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def read(encoded: bytes, syntax: str = EXPLICIT, *, urgent: bool = False) -> InstanceHeader:
    file = io.BufferedReader(io.BytesIO(encoded))  # type: ignore[arg-type]
    return read_header(file, syntax, urgent=urgent)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_every_encoding_gives_the_same_header(syntax: str) -> None:
    assert read(encode(an_object(), syntax), syntax) == InstanceHeader(
        study_instance_uid="1.2.3",
        series_instance_uid="1.2.3.1",
        sop_instance_uid="1.2.3.1.1",
        sop_class_uid=CR_STORAGE,
        transfer_syntax_uid=syntax,
        patient_id="P-1",
        patient_id_issuer="HOSP",
        accession_number="A-1",
        modality="CR",
        body_part="CHEST",
        view_position="PA",
        instance_number=1,
        priority=Priority.ROUTINE,
    )


def test_the_urgency_of_the_request_overtakes() -> None:
    assert read(encode(an_object()), urgent=True).priority is Priority.URGENT


def test_a_stat_priority_among_the_request_attributes_overtakes() -> None:
    request = Dataset()
    request.RequestedProcedurePriority = "STAT"
    stat = an_object(RequestAttributesSequence=[Dataset(), request])
    assert read(encode(stat)).priority is Priority.URGENT


def test_a_patient_id_in_another_character_set_is_read() -> None:
    chinese = an_object(SpecificCharacterSet="GB18030", PatientID="\u80f8\u7247-1")
    assert read(encode(chinese)).patient_id == "\u80f8\u7247-1"


@pytest.mark.filterwarnings("ignore")
def test_a_patient_id_in_an_unknown_character_set_costs_no_object() -> None:
    strange = encode(an_object(SpecificCharacterSet="ISO_IR 999", PatientID="AB"))
    assert read(strange.replace(b"AB", b"\xff\xfe")).patient_id


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_an_object_without_one_of_its_uids_has_no_identity(keyword: str) -> None:
    with pytest.raises(IdentityError, match=keyword):
        read(encode(an_object(**{keyword: None})))


def test_a_path_is_not_a_uid() -> None:
    encoded = encode(an_object()).replace(b"1.2.3.1.1\x00", b"../../evil")
    with pytest.raises(IdentityError, match="SOPInstanceUID"):
        read(encoded)


@pytest.mark.parametrize("value", ["abc", "1e400", "99999999999"])
def test_a_strange_instance_number_costs_no_object(value: str) -> None:
    encoded = encode(an_object(InstanceNumber=123456789012))
    assert read(encoded.replace(b"123456789012", value.encode().ljust(12))).instance_number is None


def test_text_is_not_dicom() -> None:
    with pytest.raises(NotDicomError):
        read(b"<html><body>not found</body></html>" * 10)


def test_a_file_that_is_cut_off_is_told_before_it_is_sent() -> None:
    encoded = encode(an_object())
    require_whole(io.BufferedReader(io.BytesIO(encoded)), EXPLICIT)  # type: ignore[arg-type]
    with pytest.raises(NotDicomError, match="cut off"):
        require_whole(io.BufferedReader(io.BytesIO(encoded[:-1])), EXPLICIT)  # type: ignore[arg-type]


def test_the_file_header_is_read_by_another_implementation() -> None:
    encoded = part10_header(
        sop_class_uid=CR_STORAGE,
        sop_instance_uid="1.2.3.1.1",
        transfer_syntax_uid=EXPLICIT,
        calling_ae="PACS1",
    ) + encode(an_object())
    assert encoded.startswith(bytes(128) + b"DICM")
    read_back = dcmread(io.BytesIO(encoded))
    meta = read_back.file_meta
    assert meta.MediaStorageSOPClassUID == CR_STORAGE
    assert meta.MediaStorageSOPInstanceUID == "1.2.3.1.1"
    assert meta.TransferSyntaxUID == EXPLICIT
    assert meta.SourceApplicationEntityTitle == "PACS1"
    assert meta.FileMetaInformationVersion == b"\x00\x01"
    assert read_back.PatientID == "P-1"


def test_an_object_may_announce_how_many_there_are() -> None:
    data_set = an_object()
    assert read(encode(data_set, IMPLICIT), IMPLICIT).announced is None
    data_set.NumberOfStudyRelatedInstances = 120
    data_set.NumberOfSeriesRelatedInstances = 0
    announced = read(encode(data_set, IMPLICIT), IMPLICIT).announced
    assert announced == Announced(study_instances=120, study_series=None, series_instances=None)
