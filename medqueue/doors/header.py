"""The header of a DICOM object: read from the data set, and written as File Meta Information."""

import io
import struct
from collections.abc import Mapping

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import TEXT_VR_DELIMS

from medqueue.doors.elements import Walk
from medqueue.doors.sources import InflatingSource, PlainSource
from medqueue.errors import IdentityError, NotDicomError
from schemas.application_entity import AE_TITLE_MAX_LENGTH
from schemas.identifiers import UID_MAX_LENGTH, is_uid
from schemas.study import Announced, InstanceHeader
from schemas.work import Priority

IMPLEMENTATION_CLASS_UID = "2.25.228417632574392857110234987561203945771"
"""Made once from a random number (PS3.5 section B.2); names medqueue in the files it writes."""

IMPLEMENTATION_VERSION_NAME = "MEDQUEUE"

_MAX_INFLATED_HEADER = 16 * 1024 * 1024
"""A deflated data set is inflated no further to read its header: it may be a bomb."""

_IMPLICIT = frozenset(
    {
        ImplicitVRLittleEndian,
        "1.2.840.10008.1.20",  # Papyrus 3 Implicit VR Little Endian, retired
    }
)
_DEFLATED = frozenset(
    {
        DeflatedExplicitVRLittleEndian,
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
    }
)

_URGENT_PRIORITIES = frozenset({"STAT", "HIGH"})
"""Values of Requested Procedure Priority that overtake (PS3.3 section C.4.11)."""

_TAGS = {
    keyword: tag_for_keyword(keyword) or 0
    for keyword in (
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "AccessionNumber",
        "Modality",
        "PatientID",
        "IssuerOfPatientID",
        "BodyPartExamined",
        "ViewPosition",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
        "RequestedProcedurePriority",
    )
}
_WANTED = frozenset(_TAGS.values())
_ANNOUNCING = frozenset(
    _TAGS[keyword]
    for keyword in (
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
    )
)
"""Attributes of queries that some senders write into their objects."""
_LAST = max(_WANTED)
"""The walk ends here: pixel data and the frames' groups of enhanced objects come later."""

_LAST_OF_ALL = 0xFFFFFFFF

_INSIDE = frozenset({tag_for_keyword("RequestAttributesSequence") or 0})


def read_header(
    data_set: io.BufferedIOBase, transfer_syntax_uid: str, *, urgent: bool
) -> InstanceHeader:
    """Read the attributes that the ledger indexes, without touching pixel data.

    Args:
        data_set: the encoded data set, without File Meta Information.
        transfer_syntax_uid: how it is encoded.
        urgent: the sender asked for urgency outside the object.

    Raises:
        NotDicomError: the bytes do not parse in this transfer syntax.
        IdentityError: a UID that the object must have is missing or malformed.
    """
    values = _walk(data_set, transfer_syntax_uid).values_of(_WANTED, inside=_INSIDE, last=_LAST)
    if not values:
        raise NotDicomError("there is no data set, or not in its transfer syntax")
    urgent = urgent or _code(values, "RequestedProcedurePriority", 16) in _URGENT_PRIORITIES
    return InstanceHeader(
        study_instance_uid=_uid(values, "StudyInstanceUID"),
        series_instance_uid=_uid(values, "SeriesInstanceUID"),
        sop_instance_uid=_uid(values, "SOPInstanceUID"),
        sop_class_uid=_uid(values, "SOPClassUID"),
        transfer_syntax_uid=transfer_syntax_uid,
        patient_id=_text(values, "PatientID", 128),
        patient_id_issuer=_text(values, "IssuerOfPatientID", 128),
        accession_number=_text(values, "AccessionNumber", 128),
        modality=_code(values, "Modality", 16),
        body_part=_code(values, "BodyPartExamined", 64),
        view_position=_code(values, "ViewPosition", 16),
        instance_number=_number(values, "InstanceNumber"),
        priority=Priority.URGENT if urgent else Priority.ROUTINE,
        announced=None if _ANNOUNCING.isdisjoint(values) else _announced(values),
    )


def require_whole(data_set: io.BufferedIOBase, transfer_syntax_uid: str) -> None:
    """Walk over all elements, pixel data too, to see that none is cut off.

    A deflated data set passes: its end is not known before it is inflated.

    Raises:
        NotDicomError: one is, or the bytes do not parse in this transfer syntax.
    """
    if transfer_syntax_uid not in _DEFLATED:
        _walk(data_set, transfer_syntax_uid).values_of((), inside=(), last=_LAST_OF_ALL)


def part10_header(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae: str
) -> bytes:
    """Return preamble, prefix and File Meta Information (PS3.10 section 7.1).

    The preamble is zeros and the group is written anew, whatever the sender had: a preamble can
    hide a program (CVE-2019-11687).
    """
    elements = [
        (0x0001, b"OB", b"\x00\x01"),
        (0x0002, b"UI", _padded(sop_class_uid, b"\x00")),
        (0x0003, b"UI", _padded(sop_instance_uid, b"\x00")),
        (0x0010, b"UI", _padded(transfer_syntax_uid, b"\x00")),
        (0x0012, b"UI", _padded(IMPLEMENTATION_CLASS_UID, b"\x00")),
        (0x0013, b"SH", _padded(IMPLEMENTATION_VERSION_NAME, b" ")),
    ]
    if calling_ae.isascii() and len(calling_ae) <= AE_TITLE_MAX_LENGTH:
        elements.append((0x0016, b"AE", _padded(calling_ae, b" ")))
    group = b"".join(_encode(element, vr, value) for element, vr, value in elements)
    length = _encode(0x0000, b"UL", struct.pack("<L", len(group)))
    return b"\x00" * 128 + b"DICM" + length + group


def _encode(element: int, vr: bytes, value: bytes) -> bytes:
    """Encode one element of group 0002 in Explicit VR Little Endian."""
    if vr == b"OB":
        return struct.pack("<HH2sxxL", 0x0002, element, vr, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii")
    return value + padding * (len(value) % 2)


def _walk(data_set: io.BufferedIOBase, transfer_syntax_uid: str) -> Walk:
    source = (
        InflatingSource(data_set, _MAX_INFLATED_HEADER)
        if transfer_syntax_uid in _DEFLATED
        else PlainSource(data_set)
    )
    return Walk(
        source,
        implicit=transfer_syntax_uid in _IMPLICIT,
        big_endian=transfer_syntax_uid == ExplicitVRBigEndian,
    )


def _uid(values: Mapping[int, bytes], keyword: str) -> str:
    value = values.get(_TAGS[keyword], b"").partition(b"\\")[0]
    text = value.decode("ascii", "replace").strip("\x00 ")
    if not text:
        raise IdentityError(f"the object has no {keyword}, and so no place")
    if not is_uid(text):
        raise IdentityError(
            f"{keyword} is not a UID: digits and dots, {UID_MAX_LENGTH} at most (PS3.5 9.1)"
        )
    return text


def _text(values: Mapping[int, bytes], keyword: str, longest: int) -> str | None:
    """Return the first value as the Specific Character Set has it (PS3.3 section C.12.1.1.2)."""
    value = values.get(_TAGS[keyword], b"")
    if value.isascii() and b"\x1b" not in value:
        text = value.decode("ascii")
    else:
        text = _decode(value, values.get(_TAGS["SpecificCharacterSet"], b""))
    # PostgreSQL keeps no NUL, which some devices pad with.
    return text.partition("\\")[0].replace("\x00", "").strip()[:longest] or None


def _decode(value: bytes, character_sets: bytes) -> str:
    terms = [term.strip() for term in character_sets.decode("ascii", "replace").split("\\")]
    try:
        return decode_bytes(value, convert_encodings(terms), TEXT_VR_DELIMS)
    except (LookupError, UnicodeError, Warning):
        return value.decode("utf-8", "replace")


def _code(values: Mapping[int, bytes], keyword: str, longest: int) -> str | None:
    text = _text(values, keyword, longest)
    return text.upper() if text else None


def _announced(values: Mapping[int, bytes]) -> Announced:
    return Announced(
        study_instances=_count(values, "NumberOfStudyRelatedInstances"),
        study_series=_count(values, "NumberOfStudyRelatedSeries"),
        series_instances=_count(values, "NumberOfSeriesRelatedInstances"),
    )


def _count(values: Mapping[int, bytes], keyword: str) -> int | None:
    number = _number(values, keyword)
    return number if number is not None and number > 0 else None


def _number(values: Mapping[int, bytes], keyword: str) -> int | None:
    text = _text(values, keyword, 12)
    try:
        number = int(float(text)) if text else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < 2**31 else None
