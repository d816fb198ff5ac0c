"""The reference says what the program does."""

import re
from http import HTTPStatus
from pathlib import Path

from http_client import Client
from medqueue.doors.reports import MAX_BODY_BYTES
from medqueue.web.problems import _STATUS
from schemas.result import Result

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "http.md").read_text(encoding="utf-8")


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
