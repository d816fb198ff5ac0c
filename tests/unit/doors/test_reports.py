"""The HTTP door for report texts: durable or refused, and never echoed."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from builders import count
from http_client import TERABYTES, Client, bearer, compose, tokens
from medqueue.doors.reports import MAX_BODY_BYTES
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, reports
from schemas.report import MAX_TEXT_CHARACTERS

SECRET = "Zacharias"


@pytest.fixture
def client(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path))


def refusals(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger.read() as connection:
        rows = connection.execute(select(audit_events).where(audit_events.c.action == "refused"))
        return [(row.code, row.detail) for row in rows]


def test_an_accepted_text_has_an_id_under_which_it_is_found(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    answer = client.post("/reports", json={"text": "Clear.", "report_id": "R-1", "urgent": True})
    assert answer.status_code == 202
    body = answer.json()
    assert body["status_url"] == answer.headers["Location"] == f"/reports/{body['id']}"
    found = client.get(body["status_url"]).json()
    assert (found["report_id"], found["urgent"], found["source"]) == ("R-1", True, "http")


def test_the_same_key_with_the_same_content_is_the_same_report(
    sqlite_ledger: Ledger, client: Client
) -> None:
    key = {"Idempotency-Key": "7c0f"}
    first = client.post("/reports", json={"text": "Clear."}, headers=key)
    again = client.post("/reports", json={"text": "Clear."}, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert count(sqlite_ledger, reports) == 1


def test_the_same_key_with_other_content_is_a_conflict_on_record(
    sqlite_ledger: Ledger, client: Client
) -> None:
    key = {"Idempotency-Key": "7c0f"}
    client.post("/reports", json={"text": "Clear."}, headers=key)
    answer = client.post("/reports", json={"text": f"{SECRET}."}, headers=key)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-conflict")
    assert [code for code, _ in refusals(sqlite_ledger)] == ["idempotency-conflict"]
    assert SECRET not in answer.text


def test_two_senders_may_use_the_same_key_for_different_texts(
    ledger: Ledger, tmp_path: Path
) -> None:
    senders = ("ris-with-the-longest-name-" + "x" * 38, "his")
    api_tokens = tokens(**dict.fromkeys(senders, "send"))
    client = Client(compose(ledger, tmp_path, api_tokens=api_tokens))
    key = {"Idempotency-Key": "k" * 255}
    ids = set()
    for sender in senders * 2:
        headers = {**key, **bearer(sender)}
        answer = client.post("/reports", json={"text": f"Text of {sender}."}, headers=headers)
        assert answer.status_code == 202
        ids.add(answer.json()["id"])
    assert len(ids) == count(ledger, reports) == 2


def test_without_a_key_each_text_is_a_report(sqlite_ledger: Ledger, client: Client) -> None:
    for _ in range(2):
        assert client.post("/reports", json={"text": "Clear."}).status_code == 202
    assert count(sqlite_ledger, reports) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.text"),
        ({"text": ""}, "body.text"),
        ({"text": " \n"}, "body.text"),
        ({"text": 7}, "body.text"),
        ({"text": "x" * (MAX_TEXT_CHARACTERS + 1)}, "body.text"),
        ({"text": f"{SECRET}\x00"}, "body.text"),
        ({"text": "x", "patient_id": f"{SECRET}\x07"}, "body.patient_id"),
        ({"text": "x", "patient_id": SECRET * 20}, "body.patient_id"),
        ({"text": "x", "language": SECRET}, "body.language"),
        ({"text": "x", "study_instance_uid": SECRET}, "body.study_instance_uid"),
        ({"text": "x", "urgent": SECRET}, "body.urgent"),
        ({"text": "x", SECRET: "1950"}, "body"),
        ([SECRET], "body"),
        (SECRET, "body"),
    ],
)
def test_an_invalid_submission_is_told_the_field_and_never_the_value(
    sqlite_ledger: Ledger, client: Client, body: Any, field: str
) -> None:
    answer = client.post("/reports", json=body)
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["status"]) == ("invalid-request", 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert SECRET not in answer.text
    ((code, detail),) = refusals(sqlite_ledger)
    assert code == "refused"
    assert field in detail
    assert SECRET not in detail
    assert count(sqlite_ledger, reports) == 0


@pytest.mark.parametrize(
    "content",
    [
        f'{{"text": "{SECRET}'.encode(),
        SECRET.encode(),
        b"",
        b'{"text": "\\ud800"}',
        b'{"text": "caf\xe9"}',
        b'{"text": ' + b"[" * 100_000,
        b'{"text": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_not_proper_json_is_refused_without_an_echo(client: Client, content: bytes) -> None:
    json_type = {"Content-Type": "application/json"}
    answer = client.post("/reports", content=content, headers=json_type)
    assert answer.status_code in {400, 422}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert SECRET not in answer.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_only_json_is_taken_so_that_no_foreign_web_page_can_post(
    client: Client, content_type: str | None
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post("/reports", content=b'{"text": "Clear."}', headers=headers)
    assert answer.status_code == 422


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "caf\xe9"])
def test_a_key_that_cannot_be_kept_is_refused(client: Client, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = client.post("/reports", json={"text": "Clear."}, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "header.idempotency-key"


def test_the_longest_text_passes_however_it_is_escaped(client: Client) -> None:
    body = json.dumps({"text": "\U0001f600" * MAX_TEXT_CHARACTERS})
    answer = client.post("/reports", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_the_limit_is_refused_before_it_is_parsed(
    sqlite_ledger: Ledger, client: Client, declared: bool
) -> None:
    async def pieces() -> Any:
        for _ in range(MAX_BODY_BYTES // 1024 + 2):
            yield b"x" * 1024

    content = b"x" * (MAX_BODY_BYTES + 1) if declared else pieces()
    json_type = {"Content-Type": "application/json"}
    answer = client.post("/reports", content=content, headers=json_type)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    assert [code for code, _ in refusals(sqlite_ledger)] == ["too-large"]


def test_a_full_disk_asks_the_sender_to_try_again(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(sqlite_ledger, tmp_path, min_free_mib=TERABYTES))
    answer = client.post("/reports", json={"text": "Clear."})
    assert (answer.status_code, answer.json()["code"]) == (503, "out-of-resources")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_ledger_that_is_away_asks_the_sender_to_try_again(
    sqlite_ledger: Ledger, client: Client
) -> None:
    with sqlite_ledger.write() as connection:
        connection.exec_driver_sql("ALTER TABLE reports RENAME TO elsewhere")
    answer = client.post("/reports", json={"text": SECRET})
    assert (answer.status_code, answer.json()["code"]) == (503, "out-of-resources")
    assert SECRET not in answer.text
