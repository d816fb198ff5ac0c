"""Results as FHIR R4: valid by the models of fhir.resources, and saying what the result says.

Their R4B models serve, since R4B changed neither DiagnosticReport nor Observation nor Device
(hl7.org/fhir/R4B/history.html).
"""

from typing import Any

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from builders import NOW, after, an_image_model
from medqueue.results.fhir import diagnostic_report
from schemas.finding import Code, Evidence, Finding, Presence
from schemas.result import ModelReference, Result, ResultError, ResultKind, ResultStatus

CODE = Code(system="http://snomed.info/sct", code="233604007", display="Pneumonia")
PNEUMONIA = Finding(
    label="pneumonia", code=CODE, probability=0.934, threshold=0.42, presence=Presence.PRESENT
)
NO_EFFUSION = Finding(
    label="effusion",
    presence=Presence.ABSENT,
    evidence=(Evidence(start=3, end=14, text="No effusion"),),
)


def a_result(**changes: Any) -> Result:
    values = {
        "seq": 7,
        "id": "019c9a0e5d0a7c3b8d0e8f1a2b3c4d5e",
        "kind": ResultKind.IMAGE,
        "status": ResultStatus.FINAL,
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.1",
        "sop_instance_uids": ("1.2.3.1.1",),
        "accession_number": "A-1",
        "patient_id": "P-1",
        "report_id": None,
        "model": an_image_model().reference(),
        "findings": (PNEUMONIA,),
        "error": None,
        "received_at": NOW,
        "completed_at": after(1.25),
    }
    return Result(**{**values, **changes})


def in_fhir(**changes: Any) -> dict[str, Any]:
    """Validated, and as it came, since the models would leave out what they do not know."""
    resource = diagnostic_report(a_result(**changes))
    DiagnosticReport.model_validate(resource)
    require_whole(resource)
    return resource


def require_whole(resource: dict[str, Any]) -> None:
    """What the models do not check: R4's dom-3, every contained resource is referred to."""
    contained = {f"#{found['id']}" for found in resource["contained"]}
    assert set(references(resource)) == contained
    for found in resource["contained"]:
        assert not {"contained", "meta", "text"} & set(found)


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if "reference" in node else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def observations(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for found in report["contained"] if found["resourceType"] == "Observation"]


def device(report: dict[str, Any]) -> dict[str, Any]:
    return next(found for found in report["contained"] if found["resourceType"] == "Device")


def test_a_report_says_what_it_is_about_and_when() -> None:
    report = in_fhir()
    assert report["id"] == "019c9a0e5d0a7c3b8d0e8f1a2b3c4d5e"
    assert report["identifier"][0] == {
        "system": "urn:ietf:rfc:3986",
        "value": "urn:uuid:019c9a0e-5d0a-7c3b-8d0e-8f1a2b3c4d5e",
    }
    assert report["subject"]["identifier"] == {"value": "P-1"}
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.3"
    assert report["basedOn"][0]["identifier"]["value"] == "A-1"
    assert report["effectiveDateTime"] == "2026-03-01T12:00:00Z"
    assert report["issued"] == report["meta"]["lastUpdated"] == "2026-03-01T12:00:01.250000Z"
    assert report["conclusion"] == "pneumonia: present. Not for clinical use."


def test_a_finding_is_an_observation_with_its_probability() -> None:
    (found,) = observations(in_fhir())
    assert found["code"]["text"] == "pneumonia"
    assert found["code"]["coding"][0]["code"] == "233604007"
    assert found["valueCodeableConcept"]["text"] == "present"
    components = {
        part["code"]["coding"][0]["code"]: part["valueQuantity"]["value"]
        for part in found["component"]
    }
    assert components == {"probability": 0.934, "threshold": 0.42}


def test_a_rule_has_evidence_and_no_probability() -> None:
    report = in_fhir(
        kind=ResultKind.TEXT, findings=(NO_EFFUSION,), report_id="R-1", study_instance_uid=None
    )
    (found,) = observations(report)
    (evidence,) = found["component"]
    assert evidence["valueString"] == "3-14: No effusion"
    assert found["derivedFrom"] == [{"type": "DocumentReference", "identifier": {"value": "R-1"}}]
    assert "imagingStudy" not in report


def test_every_report_names_its_model_and_whether_it_is_cleared() -> None:
    model = device(in_fhir())
    assert model["deviceName"] == [{"name": "chest", "type": "model-name"}]
    assert model["version"] == [{"value": "1.0.0"}]
    assert model["safety"] == [{"text": "Not for clinical use"}]
    cleared = ModelReference(
        name="chest", version="1.0.0", sha256="0" * 64, cleared_for_clinical_use=True
    )
    report = in_fhir(model=cleared)
    assert "safety" not in device(report)
    assert "clinical use" not in report["conclusion"]


@pytest.mark.parametrize(
    ("status", "theirs", "why"),
    [
        (ResultStatus.FINAL, "final", None),
        (ResultStatus.AMENDED, "amended", None),
        (ResultStatus.FAILED, "cancelled", "error"),
        (ResultStatus.SKIPPED, "cancelled", "not-performed"),
    ],
)
def test_every_status_has_its_code_and_is_kept_beside_it(
    status: ResultStatus, theirs: str, why: str | None
) -> None:
    error = ResultError(code="undecodable", detail="broken") if why else None
    report = in_fhir(status=status, error=error, findings=() if why else (PNEUMONIA,))
    (found,) = observations(report)
    assert report["status"] == found["status"] == theirs
    assert report["meta"]["tag"][0]["code"] == status
    if why:
        assert found["dataAbsentReason"]["coding"][0]["code"] == why
        assert "undecodable" in report["conclusion"]


def test_a_result_without_any_finding_or_identifier_is_valid_too() -> None:
    report = in_fhir(findings=(), patient_id=None, accession_number=None, study_instance_uid=None)
    assert observations(report)[0]["valueString"] == "No finding is reported"
    assert not {"subject", "basedOn", "imagingStudy"} & set(report)
