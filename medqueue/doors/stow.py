"""STOW-RS: DICOM objects over HTTP, each durable on its own (PS3.18 section 10.5).

Bytes go from the request into the instance store as they come; nothing holds a whole object.
"""

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydicom.filereader import read_dataset
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from medqueue.doors.admission import Admission, InstanceRequest
from medqueue.doors.consignment import Consignment
from medqueue.errors import (
    IdentityError,
    MalformedRequestError,
    NotDicomError,
    OutOfResourcesError,
    RefusedInputError,
    UnsupportedMediaError,
)
from medqueue.storage.instances import IncomingInstance
from schemas.identifiers import is_uid

_PREFIX = 132
"""Preamble and `DICM` (PS3.10 section 7.1)."""
_GROUP_LENGTH = 12
"""The element (0002,0000), which says how long the rest of the group is."""
_MAX_META = 64 * 1024
"""File Meta Information has some hundred bytes; more is an attack or a mistake."""
_MAX_PARTS = 10_000
"""A request that never ends must end; a sender of more objects makes several requests."""

_REASONS: dict[type[Exception], int] = {
    OutOfResourcesError: 0xA700,
    IdentityError: 0xA900,
    NotDicomError: 0xC000,
}
"""Failure Reason (0008,1197), as C-STORE has it (PS3.4 table B.2-1)."""
_PROCESSING_FAILURE = 0x0110

_STORED = "00081199"
"""Referenced SOP Sequence."""
_FAILED = "00081198"
"""Failed SOP Sequence."""
_FAILED_OTHER = "0008119A"
"""Other Failures Sequence: objects that could not even be named."""


@dataclass(frozen=True, slots=True)
class StowResponse:
    """The status and the DICOM JSON document of one request (PS3.18 section 10.5.3)."""

    status: HTTPStatus
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Ended:
    request: InstanceRequest | None
    error: Exception | None


def boundary_of(content_type: str) -> bytes:
    """Return the boundary of a request's Content-Type.

    Raises:
        UnsupportedMediaError: it is not multipart/related with DICOM objects.
    """
    kind, options = parse_options_header(content_type)
    inner = options.get(b"type", b"application/dicom").lower()
    boundary = options.get(b"boundary", b"")
    if kind.lower() != b"multipart/related" or inner != b"application/dicom" or not boundary:
        raise UnsupportedMediaError(
            'send multipart/related; type="application/dicom"; boundary=..., one object a part'
        )
    return boundary


class StowRequest:
    """One request in progress. `feed` it to its end, then `finish`; `close` it in any case."""

    def __init__(
        self, admission: Admission, *, boundary: bytes, study_instance_uid: str | None, sender: str
    ) -> None:
        """Begin a request.

        Args:
            admission: where the objects go.
            boundary: what separates the parts.
            study_instance_uid: the study that the URL names, if it does.
            sender: who sends, for the record.

        Raises:
            IdentityError: the study of the URL is not a UID.
        """
        if study_instance_uid is not None and not is_uid(study_instance_uid):
            raise IdentityError("the study in the URL is not a UID (PS3.5 section 9.1)")
        self._admission = admission
        self._study = study_instance_uid
        self._sender = sender
        self._consignment = admission.consign(sender)
        self._is_whole = False
        self._part: _Part | None = None
        self._ended: list[_Ended] = []
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            MalformedRequestError: the body is not multipart as announced.
        """
        try:
            self._parser.write(piece)
        except MultipartParseError:
            raise MalformedRequestError(
                "the body does not follow its boundary (RFC 2046 section 5.1); send it again whole"
            ) from None

    def finish(self) -> StowResponse:
        """Return what became of every object.

        Raises:
            MalformedRequestError: the body held no whole part.
        """
        if not self._ended:
            raise MalformedRequestError("the body holds no whole part; send it again")
        self._is_whole = True
        return _respond(self._ended)

    def close(self) -> None:
        """Throw away an object that did not come to its end, and say how the request ended."""
        self._close_part()
        self._consignment.end(is_orderly=self._is_whole)

    def _begin(self) -> None:
        if len(self._ended) >= _MAX_PARTS:
            raise MalformedRequestError(f"a request may have {_MAX_PARTS} parts; make several")
        self._part = _Part(self._admission, self._consignment, self._study, self._sender)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.write(memoryview(data)[start:end])

    def _end(self) -> None:
        if self._part is not None:
            self._ended.append(self._part.end())
            self._close_part()

    def _close_part(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None


class _Part:
    """One object: first its File Meta Information, then its data set."""

    def __init__(
        self, admission: Admission, consignment: Consignment, study: str | None, sender: str
    ) -> None:
        self._admission = admission
        self._consignment = consignment
        self._study = study
        self._sender = sender
        self._head = bytearray()
        self._open = ExitStack()
        self._request: InstanceRequest | None = None
        self._incoming: IncomingInstance | None = None
        self._error: Exception | None = None

    def write(self, piece: memoryview) -> None:
        if self._incoming is not None:
            self._incoming.write(piece)
        elif self._error is None:
            self._head += piece
            try:
                self._read_head()
            except (RefusedInputError, OutOfResourcesError) as error:
                self._refuse(error)

    def end(self) -> _Ended:
        if self._error is None:
            try:
                if self._incoming is None or self._request is None:
                    raise NotDicomError("the part ends within its File Meta Information")
                self._admission.admit_instance(self._request, self._incoming, self._consignment)
            except OutOfResourcesError as error:
                self._error = error
            except RefusedInputError as error:
                # Admission has put it on record already, unless the part never got there.
                if self._incoming is None:
                    self._refuse(error)
                self._error = error
        return _Ended(self._request, self._error)

    def close(self) -> None:
        self._open.close()

    def _refuse(self, error: RefusedInputError | OutOfResourcesError) -> None:
        self._error = error
        self._head.clear()
        if isinstance(error, RefusedInputError):
            self._admission.record_refusal(self._sender, error)

    def _read_head(self) -> None:
        begin = _PREFIX + _GROUP_LENGTH
        if len(self._head) < begin:
            return
        if self._head[_PREFIX - 4 : _PREFIX + 4] != b"DICM\x02\x00\x00\x00":
            raise NotDicomError("a part is not a DICOM file with File Meta Information (PS3.10)")
        length = int.from_bytes(self._head[begin - 4 : begin], "little")
        if length > _MAX_META:
            raise NotDicomError("the File Meta Information is larger than any can be")
        if len(self._head) < begin + length:
            return
        self._request = self._read_meta(bytes(self._head[begin : begin + length]))
        incoming = self._admission.receive_instance(self._request)
        self._incoming = self._open.enter_context(incoming)
        self._incoming.write(memoryview(bytes(self._head))[begin + length :])
        self._head.clear()

    def _read_meta(self, meta: bytes) -> InstanceRequest:
        try:
            group = read_dataset(io.BytesIO(meta), is_implicit_VR=False, is_little_endian=True)
            return InstanceRequest(
                sop_class_uid=str(group.MediaStorageSOPClassUID),
                sop_instance_uid=str(group.MediaStorageSOPInstanceUID),
                transfer_syntax_uid=str(group.TransferSyntaxUID),
                study_instance_uid=self._study,
                calling_ae=self._sender,
            )
        except Exception:  # noqa: BLE001 - hostile bytes make the parser raise any type
            raise NotDicomError("the File Meta Information cannot be read (PS3.10)") from None


def _respond(ended: list[_Ended]) -> StowResponse:
    document: dict[str, Any] = {}
    for part in ended:
        item = _reference(part.request)
        tag = _STORED
        if part.error is not None:
            item |= _element("00081197", "US", _reason(part.error))
            tag = _FAILED if part.request is not None else _FAILED_OTHER
        document.setdefault(tag, {"vr": "SQ", "Value": []})["Value"].append(item)
    return StowResponse(_status(ended), document)


def _status(ended: list[_Ended]) -> HTTPStatus:
    errors = [part.error for part in ended if part.error is not None]
    if not errors:
        return HTTPStatus.OK
    if len(errors) < len(ended):
        return HTTPStatus.ACCEPTED
    if all(isinstance(error, OutOfResourcesError) for error in errors):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.CONFLICT


def _reference(request: InstanceRequest | None) -> dict[str, Any]:
    if request is None:
        return {}
    return _element("00081150", "UI", request.sop_class_uid) | _element(
        "00081155", "UI", request.sop_instance_uid
    )


def _element(tag: str, vr: str, value: str | int) -> dict[str, Any]:
    return {tag: {"vr": vr, "Value": [value]}}


def _reason(error: Exception) -> int:
    return _REASONS.get(type(error), _PROCESSING_FAILURE)
