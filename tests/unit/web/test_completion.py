"""Declaring a study complete: who may, what it does, and that it is on record."""

import base64
from pathlib import Path

import pytest
from sqlalchemy import select

from builders import a_header, after, complete, count, receive, study_row
from http_client import BASE_URL, Client, bearer, compose, tokens
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, study_evidence
from schemas.completeness import ClosedBy

TOKENS = tokens(pacs="send", ris="read", boss="admin")
COMPLETE = "/studies/1.2.3/complete"
PAGE = "/view/studies/1.2.3"


@pytest.fixture
def guarded(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path, api_tokens=TOKENS))


def login(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}


def test_a_sender_that_says_all_is_sent_closes_the_study_before_its_quiet_time(
    ledger: Ledger, tmp_path: Path
) -> None:
    client = Client(compose(ledger, tmp_path))
    receive(ledger)
    answer = client.post(COMPLETE)
    assert (answer.status_code, answer.json()["study_instance_uid"]) == (202, "1.2.3")
    assert complete(ledger, at=0.1) == 1
    assert study_row(ledger).closed_by == ClosedBy.DECLARED
    shown = client.get("/studies/1.2.3").json()["completeness"]
    assert (shown["closed_by"], shown["is_proven"]) == ("declared", True)


def test_a_number_holds_the_study_until_so_many_are_there(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    assert client.post(COMPLETE, json={"instances": 2, "series": 1}).status_code == 202
    receive(ledger)
    assert complete(ledger, at=6) == 0
    assert client.get("/studies/1.2.3").json()["balance"]["missing"] == 1
    receive(ledger, a_header(instance=2), at=7)
    complete(ledger, at=12)
    assert study_row(ledger).closed_by == ClosedBy.ALL_EXPECTED


@pytest.mark.parametrize("body", [{"instances": 0}, {"instances": 10**9}, {"objects": 1}, [1]])
def test_a_malformed_declaration_changes_nothing(
    sqlite_ledger: Ledger, client: Client, body: object
) -> None:
    assert client.post(COMPLETE, json=body).status_code == 422
    assert client.post("/studies/x/complete").json()["code"] == "identity"
    assert count(sqlite_ledger, study_evidence) == 0


def test_only_senders_declare_and_only_administrators_decide(
    sqlite_ledger: Ledger, guarded: Client
) -> None:
    receive(sqlite_ledger)
    for token, status in (("ris", 403), ("pacs", 202), ("boss", 202)):
        assert guarded.post(COMPLETE, headers=bearer(token)).status_code == status
    for token, status in (("ris", 403), ("pacs", 403), ("boss", 303)):
        answer = guarded.post(f"{PAGE}/complete", headers=login(token))
        assert answer.status_code == status
    with sqlite_ledger.read() as connection:
        said = connection.execute(select(audit_events.c.actor, audit_events.c.code)).all()
    assert said[-3:] == [("pacs", "declared"), ("boss", "declared"), ("boss", "person")]


def test_a_person_closes_an_open_study_by_a_button(sqlite_ledger: Ledger, guarded: Client) -> None:
    receive(sqlite_ledger)
    button = f'action="{PAGE}/complete"'
    assert button in guarded.get(PAGE, headers=login("boss")).text
    assert button not in guarded.get(PAGE, headers=login("ris")).text
    own = {"Sec-Fetch-Site": "same-origin", "Origin": BASE_URL}
    answer = guarded.post(f"{PAGE}/complete", headers={**login("boss"), **own})
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert complete(sqlite_ledger, at=0.1) == 1
    closed = study_row(sqlite_ledger)
    assert (closed.closed_by, closed.completed_at) == (ClosedBy.PERSON, after(0.1))
    assert button not in guarded.get(PAGE, headers=login("boss")).text


def test_no_page_of_another_site_can_close_a_study(sqlite_ledger: Ledger, client: Client) -> None:
    receive(sqlite_ledger)
    for path in (COMPLETE, f"{PAGE}/complete"):
        answer = client.post(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
    assert count(sqlite_ledger, study_evidence) == 0


def test_the_page_shows_the_balance_and_that_time_alone_closed_it(
    sqlite_ledger: Ledger, client: Client
) -> None:
    receive(sqlite_ledger)
    receive(sqlite_ledger)
    client.post(COMPLETE, json={"instances": 3})
    complete(sqlite_ledger, at=40)
    page = client.get(PAGE).text
    for expected in ("longest-wait", "without proof", "no-model-applies", "declared", "Missing"):
        assert expected in page
