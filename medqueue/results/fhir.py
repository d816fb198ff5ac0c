"""Results as FHIR R4 (hl7.org/fhir/R4): each one DiagnosticReport that holds its Observations.

Observations and the Device are contained (references.html#contained): they do not exist apart
from the result, and a reader gets all of it with one resource. Patients, orders and studies are
the hospital's, so they are referred to by identifier, never by an address that we made up.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas.finding import Finding, Presence
from schemas.result import ModelReference, Result, ResultKind, ResultStatus

Json = dict[str, Any]

URI_SYSTEM = "urn:ietf:rfc:3986"
DICOM_UID_SYSTEM = "urn:dicom:uid"
SNOMED = "http://snomed.info/sct"
_LOINC = "http://loinc.org"
_UCUM = "http://unitsofmeasure.org"
_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_RESULT_STATUS = "urn:medqueue:result-status"
_COMPONENTS = "urn:medqueue:observation-component"

STATUS: dict[ResultStatus, str] = {
    ResultStatus.FINAL: "final",
    ResultStatus.AMENDED: "amended",
    # "The report is unavailable because the measurement was not started or not completed" (value
    # set diagnostic-report-status). Which of the two, `meta.tag` and `dataAbsentReason` say.
    ResultStatus.FAILED: "cancelled",
    ResultStatus.SKIPPED: "cancelled",
}
_ABSENT = {
    ResultStatus.FAILED: ("error", "Error"),
    ResultStatus.SKIPPED: ("not-performed", "Not Performed"),
}
_PRESENCE = {
    Presence.PRESENT: ("52101004", "Present"),
    Presence.ABSENT: ("2667000", "Absent"),
    Presence.UNCERTAIN: ("82334004", "Indeterminate"),
}


def diagnostic_report(result: Result) -> Json:
    """Return a result as a DiagnosticReport (R4, diagnosticreport.html)."""
    observations = _observations(result)
    return _without_nothing(
        {
            "resourceType": "DiagnosticReport",
            "id": result.id,
            "meta": {
                "versionId": "1",  # a result never changes; what corrects it is another
                "lastUpdated": instant(result.completed_at),
                "tag": [{"system": _RESULT_STATUS, "code": result.status.value}],
            },
            "contained": [_device(result.model), *observations],
            "identifier": _identifiers(result),
            "basedOn": [_order(result.accession_number)] if result.accession_number else None,
            "status": STATUS[result.status],
            "category": [_concept("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD")],
            "code": _report_code(result),
            "subject": _subject(result),
            "effectiveDateTime": instant(result.received_at),
            "issued": instant(result.completed_at),
            "result": [{"reference": f"#{found['id']}"} for found in observations],
            "imagingStudy": [_study(result.study_instance_uid)]
            if result.study_instance_uid
            else None,
            "conclusion": _conclusion(result),
        }
    )


def result_uri(result_id: str) -> str:
    """Return the identifier under which a result is known outside (RFC 9562 section 4)."""
    return f"urn:uuid:{UUID(result_id)}"


def instant(moment: datetime) -> str:
    """Return a moment as FHIR has it (R4, datatypes.html#instant)."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _identifiers(result: Result) -> list[Json]:
    found: list[Json] = [{"system": URI_SYSTEM, "value": result_uri(result.id)}]
    if result.accession_number:
        found.append(_accession(result.accession_number))
    if result.report_id:
        found.append({"type": {"text": "Report that was read"}, "value": result.report_id})
    return found


def _accession(number: str) -> Json:
    return {"type": _concept(_IDENTIFIER_TYPES, "ACSN", "Accession ID"), "value": number}


def _order(accession_number: str) -> Json:
    return {"type": "ServiceRequest", "identifier": _accession(accession_number)}


def _study(uid: str) -> Json:
    # R4, imagingstudy.html: the Study Instance UID as an identifier of ImagingStudy.
    return {
        "type": "ImagingStudy",
        "identifier": {"system": DICOM_UID_SYSTEM, "value": f"urn:oid:{uid}"},
    }


def _subject(result: Result) -> Json | None:
    if not result.patient_id:
        return None
    return {"type": "Patient", "identifier": {"value": result.patient_id}}


def _report_code(result: Result) -> Json:
    what = "images" if result.kind is ResultKind.IMAGE else "a report"
    return {
        "coding": [{"system": _LOINC, "code": "18748-4", "display": "Diagnostic imaging study"}],
        "text": f"Analysis of {what} by {result.model.name} {result.model.version}",
    }


def _device(model: ModelReference) -> Json:
    """Return the model as a Device (R4, device.html)."""
    cleared = model.cleared_for_clinical_use
    warning = {"text": "Not for clinical use"}
    return _without_nothing(
        {
            "resourceType": "Device",
            "id": "model",
            "identifier": [{"system": "urn:medqueue:model-sha256", "value": model.sha256}],
            "deviceName": [{"name": model.name, "type": "model-name"}],
            "type": {"text": "Software: model that reads images or reports"},
            "version": [{"value": model.version}],
            "safety": None if cleared else [warning],
            "note": [{"text": text} for text in (model.intended_use,) if text]
            + ([] if cleared else [warning]),
        }
    )


def _observations(result: Result) -> list[Json]:
    found = [_observation(result, finding) for finding in result.findings]
    if not found:
        # So that the report tells of its model, and why there is no finding.
        found = [_common(result) | {"code": _report_code(result), **_why_nothing(result)}]
    for number, observation in enumerate(found, start=1):
        observation["id"] = f"finding-{number}"
    return found


def _why_nothing(result: Result) -> Json:
    if result.status not in _ABSENT:
        return {"valueString": "No finding is reported"}
    code, display = _ABSENT[result.status]
    system = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    absent = _concept(system, code, display)
    return {"dataAbsentReason": absent | {"text": result.error.code if result.error else code}}


def _common(result: Result) -> Json:
    derived: list[Json] = []
    if result.study_instance_uid:
        derived.append(_study(result.study_instance_uid))
    if result.report_id:
        derived.append({"type": "DocumentReference", "identifier": {"value": result.report_id}})
    return _without_nothing(
        {
            "resourceType": "Observation",
            "status": STATUS[result.status],
            "subject": _subject(result),
            "effectiveDateTime": instant(result.received_at),
            "issued": instant(result.completed_at),
            "device": {"reference": "#model"},
            "derivedFrom": derived,
        }
    )


def _observation(result: Result, finding: Finding) -> Json:
    """Return a finding as an Observation (R4, observation.html)."""
    code: Json = {"text": finding.label}
    if finding.code is not None:
        code["coding"] = [finding.code.model_dump()]
    snomed, display = _PRESENCE[finding.presence]
    components = [
        _component("probability", valueQuantity=_ratio(finding.probability)),
        _component("threshold", valueQuantity=_ratio(finding.threshold)),
        *(
            _component("evidence", valueString=f"{span.start}-{span.end}: {span.text}")
            for span in finding.evidence
        ),
    ]
    return _common(result) | _without_nothing(
        {
            "code": code,
            "valueCodeableConcept": _concept(SNOMED, snomed, display)
            | {"text": finding.presence.value},
            "component": [found for found in components if len(found) > 1],
        }
    )


def _component(code: str, **value: object) -> Json:
    return _without_nothing({"code": _concept(_COMPONENTS, code), **value})


def _ratio(value: float | None) -> Json | None:
    if value is None:
        return None
    return {"value": value, "unit": "1", "system": _UCUM, "code": "1"}


def _conclusion(result: Result) -> str:
    if result.error is not None:
        said = f"No diagnosis ({result.status}, {result.error.code}): {result.error.detail}"
    elif result.findings:
        said = "; ".join(f"{found.label}: {found.presence}" for found in result.findings)
    else:
        said = "No finding is reported"
    warning = "" if result.model.cleared_for_clinical_use else " Not for clinical use."
    return f"{said.rstrip('.')}.{warning}"


def _concept(system: str, code: str, display: str | None = None) -> Json:
    return {"coding": [_without_nothing({"system": system, "code": code, "display": display})]}


def _without_nothing(element: Json) -> Json:
    """Leave out what is not there: FHIR has no null and no empty list (R4, json.html)."""
    return {name: value for name, value in element.items() if value not in (None, [])}
