"""FHIR over HTTP: bundles, pages, single reports, capabilities, and errors in FHIR's own form."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.operationoutcome import OperationOutcome

from builders import a_due_report, a_due_series, claim, fail, finish, submit
from http_client import BASE_URL, Client, bearer, compose, tokens
from medqueue.ledger.engine import Ledger

REPORTS = "/fhir/DiagnosticReport"


def bundle(client: Client, url: str) -> dict[str, Any]:
    answer = client.get(url)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/fhir+json"
    Bundle.model_validate(answer.json())
    return dict(answer.json())


def outcome(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, issue type and our code of an error."""
    assert answer.headers["Content-Type"] == "application/fhir+json"
    OperationOutcome.model_validate(answer.json())
    (issue,) = answer.json()["issue"]
    return answer.status_code, issue["code"], issue["details"]["coding"][0]["code"]


def test_a_search_answers_with_the_results_as_a_bundle(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    fail(ledger, claim(ledger, a_due_series(ledger)))
    finish(ledger, claim(ledger, a_due_report(ledger, patient_id="P-2")))
    found = bundle(client, REPORTS)
    assert [entry["resource"]["status"] for entry in found["entry"]] == ["cancelled", "final"]
    for entry in found["entry"]:
        assert entry["fullUrl"] == f"{BASE_URL}{REPORTS}/{entry['resource']['id']}"
        alone = client.get(entry["fullUrl"])
        assert alone.json() == entry["resource"]
        assert alone.headers["ETag"] == 'W/"1"'
        DiagnosticReport.model_validate(alone.json())


def test_an_empty_search_is_a_bundle_too(client: Client) -> None:
    found = bundle(client, f"{REPORTS}?patient=P-9&_count=5")
    assert found == {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": f"{BASE_URL}{REPORTS}?patient=P-9&_count=5"}],
    }


def test_next_links_lead_through_all_pages_once(sqlite_ledger: Ledger, client: Client) -> None:
    for number in range(5):
        submit(sqlite_ledger, "Clear.", report_id=f"R,{number} ü", patient_id="a&b")
    url: str | None = f"{REPORTS}?patient=a%26b&_count=2"
    seen = []
    while url is not None:
        found = bundle(client, url)
        seen += [entry["resource"]["identifier"][1]["value"] for entry in found["entry"]]
        links = {link["relation"]: link["url"] for link in found["link"]}
        assert links["self"].startswith(BASE_URL)
        url = links.get("next")
    assert seen == [f"R,{number} ü" for number in range(5)]


def test_the_number_alone_can_be_asked_for(sqlite_ledger: Ledger, client: Client) -> None:
    submit(sqlite_ledger, "Clear.")
    found = bundle(client, f"{REPORTS}?_count=0")
    assert (found["total"], "entry" in found) == (1, False)


def test_links_have_the_scheme_that_a_proxy_names(client: Client) -> None:
    headers = {"Host": "127.0.0.2", "X-Forwarded-Proto": "https"}
    links = client.get(REPORTS, headers=headers).json()["link"]
    assert links == [{"relation": "self", "url": f"https://127.0.0.2{REPORTS}"}]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{REPORTS}?Zacharias=1", (400, "invalid", "search")),
        (f"{REPORTS}?_lastUpdated=Zacharias", (400, "invalid", "search")),
        (f"{REPORTS}?_cursor=Zacharias", (422, "processing", "cursor")),
        (f"{REPORTS}/Zacharias", (404, "not-found", "not-found")),
        ("/fhir/Patient/Zacharias", (404, "not-found", "not-found")),
    ],
)
def test_an_error_is_an_operation_outcome_without_what_was_sent(
    client: Client, path: str, expected: tuple[int, str, str]
) -> None:
    answer = client.get(path)
    assert outcome(answer) == expected
    assert "Zacharias" not in answer.text


def test_a_ledger_that_is_away_is_transient(sqlite_ledger: Ledger, client: Client) -> None:
    with sqlite_ledger.write() as connection:
        connection.exec_driver_sql("DROP VIEW results_feed")
    answer = client.get(REPORTS)
    assert outcome(answer) == (503, "transient", "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_method_that_is_not_there_is_an_outcome(client: Client) -> None:
    assert outcome(client.request("DELETE", f"{REPORTS}/x"))[:2] == (405, "not-supported")


def test_reading_needs_the_role_and_the_capabilities_do_not(
    sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    api_tokens = tokens(pacs="send", ris="read")
    guarded = Client(compose(sqlite_ledger, tmp_path, api_tokens=api_tokens))
    assert outcome(guarded.get(REPORTS)) == (401, "login", "unauthorized")
    assert outcome(guarded.get(REPORTS, headers=bearer("pacs"))) == (403, "forbidden", "forbidden")
    assert guarded.get(REPORTS, headers=bearer("ris")).status_code == 200
    assert guarded.get("/fhir/metadata").status_code == 200


def test_the_capabilities_name_what_the_server_does(client: Client) -> None:
    answer = client.get("/fhir/metadata")
    CapabilityStatement.model_validate(answer.json())
    assert answer.json()["fhirVersion"] == "4.0.1"
    (resource,) = answer.json()["rest"][0]["resource"]
    codes = {interaction["code"] for interaction in resource["interaction"]}
    assert {"read", "search-type"} <= codes
    offered = client.get("/openapi.json").json()["paths"][REPORTS]
    assert ("create" in codes) == ("post" in offered)
    documented = {parameter["name"] for parameter in offered["get"]["parameters"]}
    assert documented - {"_count"} == {parameter["name"] for parameter in resource["searchParam"]}
