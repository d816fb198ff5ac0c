"""The FHIR door: `POST /fhir/DiagnosticReport`. From a resource to a report text, nothing else."""

import base64
import binascii
import re
from email.message import Message as ContentType
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ValidationError
from starlette.responses import JSONResponse

from medqueue.doors.admission import Admission
from medqueue.doors.fhir_resources import Attachment, DiagnosticReport, Identifier, explain
from medqueue.doors.hl7.charsets import codec_of
from medqueue.doors.idempotency import IdempotencyKey, scoped_key
from medqueue.doors.xhtml import text_of
from medqueue.errors import (
    MalformedRequestError,
    NoTextError,
    RefusedInputError,
    UnsupportedMediaError,
    UnsupportedMessageError,
)
from schemas.identifiers import is_uid
from schemas.report import Enclosure, ReportStatus, ReportSubmission

SOURCE = "fhir"
MEDIA_TYPE = "application/fhir+json"

_STATUS = {
    "registered": ReportStatus.PRELIMINARY,
    "partial": ReportStatus.PRELIMINARY,
    "preliminary": ReportStatus.PRELIMINARY,
    "final": ReportStatus.FINAL,
    "amended": ReportStatus.CORRECTED,
    "corrected": ReportStatus.CORRECTED,
    "appended": ReportStatus.CORRECTED,
}
"""Of diagnostic-report-status (R4); `unknown` says nothing."""
_WITHDRAWN = frozenset({"cancelled", "entered-in-error"})
_URGENT = frozenset({"urgent", "asap", "stat"})
"""Of request-priority (R4); the others are `routine`."""
_ACCESSION, _RECORD_NUMBER = "ACSN", "MR"
_DICOM_UID = "urn:oid:"
_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Za-z]{2,4})?")
_TEXTS = {"text/plain", "text/html", "application/xhtml+xml"}

_RESOURCE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {MEDIA_TYPE: {"schema": {"type": "object"}}},
    }
}


async def _body(request: Request) -> bytes:
    return await request.body()


def fhir_door_router(admission: Admission) -> APIRouter:
    """Return the routes of this door."""
    router = APIRouter(tags=["fhir"])

    @router.post(
        "/fhir/DiagnosticReport",
        status_code=201,
        summary="Hand in a report text as a FHIR DiagnosticReport",
        response_model=None,
        openapi_extra=_RESOURCE,
        responses={201: {"content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}},
    )
    def submit_resource(
        request: Request,
        body: Annotated[bytes, Depends(_body)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Accept the text of a DiagnosticReport (R4) for diagnosis.

        The answer comes when text and record are durable. The text is the presented form if that
        is text, else the narrative and the conclusion.
        """
        try:
            _require_json(request.headers.get("content-type", ""))
            submission, documents = to_submission(body)
            key = scoped_key(idempotency_key, request, source=SOURCE)
            id_ = admission.admit_report(
                submission, source=SOURCE, idempotency_key=key, documents=documents
            )
        except RefusedInputError as error:
            admission.record_refusal(SOURCE, error)
            raise
        return JSONResponse(
            _accepted(id_), 201, headers={"Location": f"/reports/{id_}"}, media_type=MEDIA_TYPE
        )

    return router


def to_submission(body: bytes) -> tuple[ReportSubmission, list[Enclosure]]:
    """Return the report of a resource, and the documents beside its text.

    Raises:
        MalformedRequestError: it is no DiagnosticReport.
        UnsupportedMessageError: it withdraws a report.
        NoTextError: there is no text in it.
        RefusedInputError: an identifier or the text is not one that can be kept.
    """
    try:
        report = DiagnosticReport.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise MalformedRequestError(explain(faults)) from None
    if report.resourceType != "DiagnosticReport":
        raise MalformedRequestError("resourceType: only DiagnosticReport is taken here")
    if report.status in _WITHDRAWN:
        raise UnsupportedMessageError("status: a withdrawn report has nothing to diagnose")
    language = report.language or ""
    try:
        submission = ReportSubmission(
            text=_text(report),
            language=language if _LANGUAGE.fullmatch(language) else None,
            accession_number=_accession_number(report),
            study_instance_uid=_study_uid(report),
            patient_id=_patient_id(report),
            patient_id_issuer=_patient_id_issuer(report),
            report_id=_report_id(report),
            status=_STATUS.get(report.status),
            urgent=_is_urgent(report),
        )
        return submission, _documents(report)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        raise RefusedInputError(explain(faults)) from None


def _require_json(content_type: str) -> None:
    header = ContentType()
    header["Content-Type"] = content_type or MEDIA_TYPE
    if header.get_content_subtype() not in {"json", "fhir+json"}:
        raise UnsupportedMediaError(f"send {MEDIA_TYPE}; FHIR as XML is not spoken here")


def _text(report: DiagnosticReport) -> str:
    """Return the words of a report: as it was issued, else what its parts say."""
    presented = [text for text in map(_presented, report.presentedForm) if text]
    if presented:
        return "\n".join(presented)
    narrative, conclusion = "", (report.conclusion or "").strip()
    if report.text is not None and report.text.status != "empty":
        narrative = text_of(report.text.div or "")
    if conclusion and _one_line(conclusion) not in _one_line(narrative):
        narrative = f"{narrative}\n\nIMPRESSION:\n{conclusion}" if narrative else conclusion
    if narrative:
        return narrative
    reason = " that is text (a PDF is not read)" if report.presentedForm else ""
    raise NoTextError(f"no conclusion, text.div or presentedForm{reason}")


def _documents(report: DiagnosticReport) -> list[Enclosure]:
    forms = (form for form in report.presentedForm if form.data and not _is_text(form))
    return [Enclosure(_content(form)) for form in forms]


def _presented(form: Attachment) -> str:
    """Return the text of a document; empty for one that is none, such as a PDF."""
    if not form.data or not _is_text(form):
        return ""
    header = _content_type(form)
    try:
        text = _content(form).decode(codec_of(header.get_content_charset() or "utf-8") or "ascii")
    except UnicodeDecodeError:
        raise MalformedRequestError(
            "presentedForm.data: not text in the charset of its contentType"
        ) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return (text if header.get_content_type() == "text/plain" else text_of(text)).strip()


def _content_type(form: Attachment) -> ContentType:
    header = ContentType()
    header["Content-Type"] = form.contentType or ""
    return header


def _is_text(form: Attachment) -> bool:
    return bool(form.contentType) and _content_type(form).get_content_type() in _TEXTS


def _content(form: Attachment) -> bytes:
    try:
        return base64.b64decode("".join((form.data or "").split()), validate=True)
    except binascii.Error:
        raise MalformedRequestError("presentedForm.data: not base64") from None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _find(identifiers: tuple[Identifier, ...], *types: str | None) -> Identifier | None:
    """Return the first identifier of the most wanted of some types; None is any type."""
    for wanted in types:
        for one in identifiers:
            if one.value and (wanted is None or one.is_of_type(wanted)):
                return one
    return None


def _value(identifiers: tuple[Identifier, ...], *types: str | None) -> str | None:
    found = _find(identifiers, *types)
    return found.value if found is not None else None


def _report_id(report: DiagnosticReport) -> str | None:
    """Return what stays the same when the report is corrected: its official identifier."""
    own = tuple(one for one in report.identifier if not one.is_of_type(_ACCESSION))
    return _value(tuple(one for one in own if one.use == "official") + own, None) or report.id


def _accession_number(report: DiagnosticReport) -> str | None:
    orders = [one for order in report.basedOn for one in report.identifiers_of(order)]
    studies = [
        one
        for study in (*report.imagingStudy, *report.study)
        for one in report.identifiers_of(study)
    ]
    named = _value((*report.identifier, *orders, *studies), _ACCESSION)
    return named or _value(tuple(orders), None)


def _patient_id(report: DiagnosticReport) -> str | None:
    named = _value(report.identifiers_of(report.subject), _RECORD_NUMBER, None)
    if named or report.subject is None:
        return named
    reference = report.subject.reference or ""
    return reference.partition("Patient/")[2].partition("/")[0] or None


def _patient_id_issuer(report: DiagnosticReport) -> str | None:
    """Return the name of who gave the patient id.

    Not the `system`: DICOM has a name there too, and a URI would match none.
    """
    found = _find(report.identifiers_of(report.subject), _RECORD_NUMBER, None)
    return found.assigner.display if found is not None and found.assigner is not None else None


def _study_uid(report: DiagnosticReport) -> str | None:
    """Return the Study Instance UID if exactly one is named, as `urn:oid:` (R4 section 8.22.4)."""
    found = {
        (one.value or "").removeprefix(_DICOM_UID)
        for study in (*report.imagingStudy, *report.study)
        for one in report.identifiers_of(study)
        if (one.value or "").startswith(_DICOM_UID) or one.system == "urn:dicom:uid"
    }
    uids = {uid for uid in found if is_uid(uid)}
    return uids.pop() if len(uids) == 1 else None


def _is_urgent(report: DiagnosticReport) -> bool:
    orders = (report.contained_by(order) for order in report.basedOn)
    return any(order is not None and order.priority in _URGENT for order in orders)


def _accepted(id_: str) -> dict[str, Any]:
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "information",
                "code": "informational",
                "diagnostics": f"accepted; state and results: /reports/{id_}",
            }
        ],
    }
