"""A result as HL7 v2.5.1 ORU^R01 (chapter 7), for hospital systems that take observations."""

from collections.abc import Iterator

from medqueue.operate.mllp_sender import ESCAPES
from schemas.finding import Finding, Presence
from schemas.result import Result, ResultStatus

_SCHEMES = {
    "http://snomed.info/sct": "SCT",
    "http://loinc.org": "LN",
    "http://radlex.org": "RADLEX",
}
_OWN_SCHEME = "99MEDQUEUE"
_PRESENCES = {
    Presence.PRESENT: "52101004^Present^SCT",
    Presence.ABSENT: "2667000^Absent^SCT",
    Presence.UNCERTAIN: "82334004^Indeterminate^SCT",
}
_UNVERIFIED, _CORRECTION = "R", "C"
"""Tables 0085 and 0123: entered and not verified, since no person has looked at it; corrected."""


def observation_message(result: Result, *, sending_facility: str) -> str:
    """Return the message; its control id is the id of the result, on every try.

    Args:
        result: with its findings.
        sending_facility: MSH-4, our AE title.
    """
    status = _CORRECTION if result.status is ResultStatus.AMENDED else _UNVERIFIED
    moment = f"{result.completed_at:%Y%m%d%H%M%S}+0000"
    header = f"MSH|^~\\&|MEDQUEUE|{_text(sending_facility)}|||{moment}||ORU^R01^ORU_R01"
    order = {
        1: "1",
        3: result.id,
        4: f"AI-{result.kind}^AI result^{_OWN_SCHEME}",
        7: f"{result.received_at:%Y%m%d%H%M%S}+0000",
        18: _text(result.accession_number),
        22: moment,
        25: status,
    }
    segments = [
        f"{header}|{result.id}|P|2.5.1||||||UNICODE UTF-8",
        f"PID|1||{_text(result.patient_id)}",
        _segment("OBR", order),
        f"NTE|1|L|{_text(_about(result))}",
        *_observations(result, status),
    ]
    return "".join(f"{segment}\r" for segment in segments)


def _about(result: Result) -> str:
    model = result.model
    use = "Cleared for clinical use" if model.cleared_for_clinical_use else "NOT FOR CLINICAL USE"
    return f"{use}. {model.name} {model.version}, SHA-256 {model.sha256}. {model.intended_use}"


def _observations(result: Result, status: str) -> Iterator[str]:
    rows = [
        ("ST", "113014^DICOM Study^DCM", "", _text(result.study_instance_uid), ""),
        ("ST", f"report-id^Report^{_OWN_SCHEME}", "", _text(result.report_id), ""),
    ]
    for at, finding in enumerate(result.findings, start=1):
        code = _code(finding)
        rows.append(("CWE", code, f"{at}", _PRESENCES[finding.presence], ""))
        if finding.probability is not None:
            rows.append(("NM", code, f"{at}.1", f"{finding.probability:.4f}", "1^no units^UCUM"))
    told = (row for row in rows if row[3])
    for number, (kind, code, sub_id, value, unit) in enumerate(told, start=1):
        fields = {1: f"{number}", 2: kind, 3: code, 4: sub_id, 5: value, 6: unit, 11: status}
        yield _segment("OBX", fields)


def _code(finding: Finding) -> str:
    if finding.code is None:
        return f"{_text(finding.label)}^{_text(finding.label)}^{_OWN_SCHEME}"
    scheme = _SCHEMES.get(finding.code.system, _OWN_SCHEME)
    return f"{_text(finding.code.code)}^{_text(finding.code.display)}^{scheme}"


def _segment(name: str, fields: dict[int, str]) -> str:
    """Return a segment of fields by their numbers in the standard."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def _text(value: str | None) -> str:
    return " ".join((value or "").split()).translate(ESCAPES)
