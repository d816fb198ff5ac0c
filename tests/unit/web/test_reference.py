"""The reference and the how-to say what the program does."""

import re
from http import HTTPStatus
from pathlib import Path

from builders import a_due_report, a_text_model, after, claim
from http_client import Client
from medqueue.doors.reports import MAX_BODY_BYTES
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from medqueue.web.problems import _STATUS
from schemas.finding import Finding, Presence
from schemas.result import Outcome, Result, ResultStatus

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "http.md").read_text(encoding="utf-8")
HOWTO = (DOCS / "howto" / "read-results.md").read_text(encoding="utf-8")


def test_every_route_stands_in_the_reference(client: Client) -> None:
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in REFERENCE


def test_every_code_stands_in_the_reference_with_its_status() -> None:
    listed = {
        code: int(status)
        for codes, status in re.findall(r"^\| (`[^|]+`) \| (\d{3}) \|", REFERENCE, re.MULTILINE)
        for code in re.findall(r"`([a-z-]+)`", codes)
    }
    assert all(HTTPStatus(status) for status in listed.values())
    for error, status in _STATUS.items():
        assert listed[error.code] == status


def test_every_metric_stands_in_the_reference(client: Client) -> None:
    for name in re.findall(r"^# TYPE (\w+)", client.get("/metrics").text, re.MULTILINE):
        assert f"`{name}`" in REFERENCE


def test_every_field_of_a_result_and_the_limit_stand_in_the_reference() -> None:
    for name in Result.model_fields:
        assert f"`{name}`" in REFERENCE
    assert f"{MAX_BODY_BYTES:,} bytes" in REFERENCE


def test_the_query_of_the_how_to_finds_present_findings(ledger: Ledger) -> None:
    held = claim(ledger, a_due_report(ledger, accession_number="A-1"))
    found = (
        Finding(label="effusion", probability=0.75, presence=Presence.PRESENT),
        Finding(label="pneumothorax", probability=0.1, presence=Presence.ABSENT),
    )
    model = a_text_model().reference()
    concluded = Outcome(status=ResultStatus.FINAL, model=model, findings=found)
    work.finish(ledger, held, outcome=concluded, now=after(11))
    name = "SQLite" if ledger.is_sqlite else "PostgreSQL"
    (query,) = re.findall(rf"```sql\n-- {name}: .*?\n(.*?)```", HOWTO, re.DOTALL)
    with ledger.read() as connection:
        rows = connection.exec_driver_sql(query).all()
    assert [tuple(row) for row in rows] == [(1, "A-1", "report", "effusion", 0.75)]
