"""The header of a DICOM object: read from the data set, and written as File Meta Information."""

import io
import zlib
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from medqueue.errors import IdentityError, NotDicomError
from schemas.identifiers import UID_MAX_LENGTH, is_uid
from schemas.study import InstanceHeader
from schemas.work import Priority

IMPLEMENTATION_CLASS_UID = "2.25.228417632574392857110234987561203945771"
"""Made once from a random number (PS3.5 section B.2); names medqueue in the files it writes."""

# Invalid values are common in the field; what matters here is checked here.
config.settings.reading_validation_mode = config.IGNORE

_MAX_INFLATED_HEADER = 16 * 1024 * 1024
"""A deflated data set is inflated no further to read its header: it may be a bomb."""

_FIRST_PIXEL_TAG = Tag(0x7FE0, 0x0008)

_URGENT_PRIORITIES = frozenset({"STAT", "HIGH"})
"""Values of Requested Procedure Priority that overtake (PS3.3 section C.4.11)."""

_TAGS: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "AccessionNumber",
        "Modality",
        "PatientID",
        "BodyPartExamined",
        "ViewPosition",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "RequestAttributesSequence",
        "RequestedProcedurePriority",
    )
]


def read_header(data_set: bytes, transfer_syntax_uid: str, *, urgent: bool) -> InstanceHeader:
    """Read the attributes that the ledger indexes, without touching pixel data.

    Args:
        data_set: the encoded data set, without File Meta Information.
        transfer_syntax_uid: how it is encoded.
        urgent: the sender asked for urgency outside the object.

    Raises:
        NotDicomError: the bytes do not parse in this transfer syntax.
        IdentityError: a UID that the object must have is missing or malformed.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        data_set = _inflate_start(data_set)
    try:
        parsed = read_dataset(
            io.BytesIO(data_set),
            is_implicit_VR=transfer_syntax_uid == ImplicitVRLittleEndian,
            is_little_endian=transfer_syntax_uid != ExplicitVRBigEndian,
            stop_when=_at_pixels,
            specific_tags=_TAGS,
        )
        return _index(parsed, transfer_syntax_uid, urgent=urgent)
    except IdentityError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile bytes make the parser raise any type
        raise _not_dicom(type(error).__name__) from None


def part10_header(header: InstanceHeader, calling_ae: str) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 section 7.1).

    The preamble is zeros and the group is written anew, whatever the sender had: a preamble can
    hide a program (CVE-2019-11687).
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(header.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(header.sop_instance_uid)
    meta.TransferSyntaxUID = UID(header.transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = "MEDQUEUE"
    if calling_ae.isascii() and len(calling_ae) <= 16:  # noqa: PLR2004 - VR AE, PS3.5 section 6.2
        meta.SourceApplicationEntityTitle = calling_ae
    buffer = DicomBytesIO()
    buffer.write(b"\x00" * 128 + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return buffer.getvalue()


def _index(parsed: Dataset, transfer_syntax_uid: str, *, urgent: bool) -> InstanceHeader:
    urgent = urgent or _requested_priority(parsed) in _URGENT_PRIORITIES
    return InstanceHeader(
        study_instance_uid=_uid(parsed, "StudyInstanceUID"),
        series_instance_uid=_uid(parsed, "SeriesInstanceUID"),
        sop_instance_uid=_uid(parsed, "SOPInstanceUID"),
        sop_class_uid=_uid(parsed, "SOPClassUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        patient_id=_text(parsed, "PatientID", 128),
        accession_number=_text(parsed, "AccessionNumber", 128),
        modality=_code(parsed, "Modality", 16),
        body_part=_code(parsed, "BodyPartExamined", 64),
        view_position=_code(parsed, "ViewPosition", 16),
        instance_number=_number(parsed, "InstanceNumber"),
        priority=Priority.URGENT if urgent else Priority.ROUTINE,
    )


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag >= _FIRST_PIXEL_TAG)


def _inflate_start(deflated: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(deflated, _MAX_INFLATED_HEADER)
    except zlib.error:
        raise _not_dicom("broken deflate stream") from None


def _not_dicom(reason: str) -> NotDicomError:
    return NotDicomError(
        f"the data set cannot be read in its transfer syntax ({reason}); "
        "check the file with dcmdump, and send it again"
    )


def _uid(parsed: Dataset, keyword: str) -> str:
    text = _text(parsed, keyword, UID_MAX_LENGTH + 1)
    if text is None:
        raise IdentityError(f"the object has no {keyword}; an object without it has no place")
    if not is_uid(text):
        raise IdentityError(
            f"{keyword} is not a UID: digits and dots, 64 characters at most (PS3.5 section 9.1)"
        )
    return text


def _text(parsed: Dataset, keyword: str, longest: int) -> str | None:
    value: Any = parsed.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    if value is None:
        return None
    # PostgreSQL keeps no NUL, which some devices pad with.
    return str(value).replace("\x00", "").strip()[:longest] or None


def _code(parsed: Dataset, keyword: str, longest: int) -> str | None:
    text = _text(parsed, keyword, longest)
    return text.upper() if text else None


def _number(parsed: Dataset, keyword: str) -> int | None:
    text = _text(parsed, keyword, 12)
    try:
        number = int(float(text)) if text else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < 2**31 else None


def _requested_priority(parsed: Dataset) -> str | None:
    requests = [parsed, *(parsed.get("RequestAttributesSequence") or [])]
    priorities = [_code(request, "RequestedProcedurePriority", 16) for request in requests]
    return next((priority for priority in priorities if priority), None)
