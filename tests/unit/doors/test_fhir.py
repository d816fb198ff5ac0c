"""The FHIR door: the text of a DiagnosticReport is durable or refused, and never echoed."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, select

from builders import count
from http_client import TERABYTES, Client, bearer, compose, tokens
from medqueue.doors.fhir import MEDIA_TYPE
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, reports
from medqueue.results.documents import read_document

PATH = "/fhir/DiagnosticReport"
SECRET = "Zacharias"
UID = "1.2.840.99999.1"
ACSN = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}


def a_resource(**changes: Any) -> dict[str, Any]:
    """A chest report with everything that can be read."""
    resource = {
        "resourceType": "DiagnosticReport",
        "id": "server-id",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "30745-4"}]},
        "identifier": [
            {"system": "http://ris", "value": "R-0"},
            {"use": "official", "system": "http://ris", "value": "R-1"},
            {"type": ACSN, "value": "A-1"},
        ],
        "subject": {"identifier": {"value": "P-1"}, "display": SECRET},
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{UID}"}}],
        "conclusion": "No pneumothorax.",
    }
    return {name: value for name, value in (resource | changes).items() if value is not None}


def a_form(text: str | bytes, kind: str = "text/plain; charset=utf-8") -> dict[str, str]:
    content = text.encode() if isinstance(text, str) else text
    return {"contentType": kind, "data": base64.b64encode(content).decode()}


@pytest.fixture
def client(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path))


@pytest.fixture
def post(client: Client) -> Any:
    return lambda resource, **options: client.post(
        PATH,
        content=resource if isinstance(resource, str) else json.dumps(resource),
        headers={"Content-Type": MEDIA_TYPE} | options.pop("headers", {}),
    )


def row(ledger: Ledger) -> Row[Any]:
    with ledger.read() as connection:
        return connection.execute(select(reports)).one()


def test_an_accepted_resource_has_a_location_under_which_it_is_found(
    ledger: Ledger, tmp_path: Path
) -> None:
    client = Client(compose(ledger, tmp_path))
    answer = client.post(PATH, json=a_resource())
    assert answer.status_code == 201
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["Content-Type"].startswith(MEDIA_TYPE)
    found = client.get(answer.headers["Location"]).json()
    names = ("report_id", "accession_number", "patient_id", "study_instance_uid", "source")
    assert [found[name] for name in names] == ["R-1", "A-1", "P-1", UID, "fhir"]
    assert row(ledger).text == "No pneumothorax."


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"conclusion": "Clear."}, "Clear."),
        (
            {
                "conclusion": None,
                "text": {"status": "generated", "div": "<div><p>Clear.</p></div>"},
            },
            "Clear.",
        ),
        (
            {"conclusion": "Clear.", "text": {"div": "<div>Lungs <b>clear</b>.</div>"}},
            "Lungs clear.\n\nIMPRESSION:\nClear.",
        ),
        ({"conclusion": "Clear.", "text": {"div": "<div>All: Clear.</div>"}}, "All: Clear."),
        ({"conclusion": "Short.", "presentedForm": [a_form("The whole.\r\n")]}, "The whole."),
        (
            {"presentedForm": [a_form("未见气胸".encode("gbk"), "text/plain; charset=GBK")]},
            "未见气胸",
        ),
        ({"presentedForm": [a_form("<p>A<br/>B</p>", "text/html")]}, "A\nB"),
        ({"conclusion": "Clear.", "presentedForm": [a_form(b"%PDF", "application/pdf")]}, "Clear."),
    ],
)
def test_the_text_is_that_of_the_report_as_issued_else_of_its_parts(
    sqlite_ledger: Ledger, post: Any, changes: dict[str, Any], text: str
) -> None:
    assert post(a_resource(**changes)).status_code == 201
    assert row(sqlite_ledger).text == text


def test_a_pdf_beside_the_text_is_kept(sqlite_ledger: Ledger, post: Any) -> None:
    pdf = b"%PDF-1.4 made up"
    assert post(a_resource(presentedForm=[a_form(pdf, "application/pdf")])).status_code == 201
    kept = row(sqlite_ledger)
    assert kept.text == "No pneumothorax."
    assert read_document(sqlite_ledger, kept.id, 1)[1] == pdf


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"identifier": None}, "report_id", "server-id"),
        ({"subject": {"reference": "Patient/77"}}, "patient_id", "77"),
        (
            {"subject": {"identifier": {"value": "P-1", "assigner": {"display": "HOSP"}}}},
            "patient_id_issuer",
            "HOSP",
        ),
        ({"status": "partial"}, "status", "preliminary"),
        ({"status": "final"}, "status", "final"),
        ({"status": "amended"}, "status", "corrected"),
        ({"status": "unknown"}, "status", None),
        ({"subject": {"reference": "http://x/Patient/77/_history/2"}}, "patient_id", "77"),
        (
            {
                "subject": {"reference": "#p"},
                "contained": [
                    {
                        "resourceType": "Patient",
                        "id": "p",
                        "identifier": [
                            {"value": "insurance"},
                            {"type": {"coding": [{"code": "MR"}]}, "value": "P-9"},
                        ],
                    }
                ],
            },
            "patient_id",
            "P-9",
        ),
        (
            {"identifier": None, "basedOn": [{"identifier": {"value": "A-7"}}]},
            "accession_number",
            "A-7",
        ),
        (
            {"imagingStudy": None, "study": [{"identifier": {"value": f"urn:oid:{UID}"}}]},
            "study_instance_uid",
            UID,
        ),
        ({"imagingStudy": [{"reference": "ImagingStudy/1"}]}, "study_instance_uid", None),
        ({"language": "de-AT"}, "language", "de-AT"),
        ({"language": "tlh-x-field"}, "language", "en"),
        (
            {
                "basedOn": [{"reference": "#order"}],
                "contained": [{"id": "order", "priority": "stat"}],
            },
            "priority",
            1,
        ),
    ],
)
def test_identifiers_are_read_where_senders_put_them(
    sqlite_ledger: Ledger, post: Any, changes: dict[str, Any], field: str, value: object
) -> None:
    assert post(a_resource(**changes)).status_code == 201
    assert getattr(row(sqlite_ledger), field) == value


def test_a_correction_is_the_next_version(sqlite_ledger: Ledger, post: Any, client: Client) -> None:
    post(a_resource())
    answer = post(a_resource(status="corrected", conclusion="Small pneumothorax."))
    found = client.get(answer.headers["Location"]).json()
    assert [version["version"] for version in found["versions"]] == [1, 2]
    assert count(sqlite_ledger, reports) == 2


def test_the_same_key_with_the_same_content_adds_nothing(sqlite_ledger: Ledger, post: Any) -> None:
    key = {"Idempotency-Key": "7c0f"}
    resource = a_resource(identifier=None, id=None)
    first, again = post(resource, headers=key), post(resource, headers=key)
    assert first.headers["Location"] == again.headers["Location"]
    conflict = post(a_resource(identifier=None, conclusion=SECRET), headers=key)
    assert (conflict.status_code, count(sqlite_ledger, reports)) == (409, 1)
    assert conflict.json()["issue"][0]["code"] == "conflict"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (f'{{"{SECRET}', 400, "malformed-request"),
        (f'["{SECRET}"]', 400, "malformed-request"),
        (json.dumps({"resourceType": "Patient", "status": SECRET}), 400, "malformed-request"),
        (json.dumps(a_resource(status=None)), 400, "malformed-request"),
        (json.dumps(a_resource(subject=[SECRET])), 400, "malformed-request"),
        (json.dumps(a_resource(presentedForm=[a_form(b"\xff", "text/plain")])), 400, None),
        (json.dumps(a_resource(presentedForm=[a_form("x", "text/plain; charset=k")])), 201, None),
        (json.dumps(a_resource(conclusion=None)), 422, "no-text"),
        (json.dumps(a_resource(conclusion="  ", text={"div": "<p> </p>"})), 422, "no-text"),
        (json.dumps(a_resource(status="entered-in-error")), 422, "unsupported-message"),
        (json.dumps(a_resource(conclusion=SECRET * 30_000)), 422, "refused"),
        (json.dumps(a_resource(identifier=[{"value": SECRET * 20}])), 422, "refused"),
        ("[" * 100_000, 400, "malformed-request"),
    ],
)
def test_a_refusal_is_an_operation_outcome_without_what_was_sent(
    sqlite_ledger: Ledger, post: Any, body: str, status: int, code: str | None
) -> None:
    answer = post(body)
    assert answer.status_code == status
    assert SECRET not in answer.text
    if status == 201:
        return
    (issue,) = answer.json()["issue"]
    assert issue["severity"] == "error"
    assert code in {None, issue["details"]["coding"][0]["code"]}
    with sqlite_ledger.read() as connection:
        audited = connection.execute(select(audit_events)).all()
    assert [event.action for event in audited] == ["refused"]
    assert SECRET not in str(audited)


def test_xml_and_too_much_are_refused(client: Client, post: Any) -> None:
    xml = post("<DiagnosticReport/>", headers={"Content-Type": "application/fhir+xml"})
    assert xml.status_code == 415
    assert post("x" * 3_000_000).status_code == 413
    assert xml.json()["resourceType"] == "OperationOutcome"


def test_when_the_disk_is_full_the_sender_shall_try_again(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    client = Client(compose(sqlite_ledger, tmp_path, min_free_mib=TERABYTES))
    answer = client.post(PATH, json=a_resource())
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "transient")
    assert "Retry-After" in answer.headers


def test_a_reader_may_not_send(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(sqlite_ledger, tmp_path, api_tokens=tokens(ris="send", eye="read")))
    assert client.post(PATH, json=a_resource(), headers=bearer("eye")).status_code == 403
    assert client.post(PATH, json=a_resource(), headers=bearer("ris")).status_code == 201
