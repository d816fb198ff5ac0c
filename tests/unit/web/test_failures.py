"""Failed work over HTTP: who may decide, what a decision does, and no page of another site."""

import base64
from pathlib import Path

import pytest
from sqlalchemy import select

from builders import a_due_report, a_due_series, claim, fail, only, work_rows
from http_client import BASE_URL, Client, bearer, compose, tokens
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events

TOKENS = tokens(pacs="send", ris="read", boss="admin")
NO_WORK = "0" * 32


@pytest.fixture
def guarded(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path, api_tokens=TOKENS))


def a_failure(ledger: Ledger) -> str:
    work_id = a_due_series(ledger)
    fail(ledger, claim(ledger, work_id))
    return work_id


def login(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{token}".encode()).decode()}


def state_of(ledger: Ledger, work_id: str) -> str:
    return str(only(work_rows(ledger, id=work_id)).state)


def decisions(ledger: Ledger) -> list[tuple[str, str, str]]:
    wanted = audit_events.c.action.in_(["requeue", "discard"])
    statement = select(audit_events).where(wanted).order_by(audit_events.c.seq)
    with ledger.read() as connection:
        return [(row.actor, row.action, row.subject_id) for row in connection.execute(statement)]


def test_failures_are_listed_and_shown_with_their_input(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    work_id = a_failure(ledger)
    (listed,) = client.get("/failures").json()["failures"]
    assert (listed["id"], listed["error_code"]) == (work_id, "undecodable")
    assert listed["study_instance_uid"] == "1.2.3"
    assert client.get(f"/failures/{work_id}").json() == listed


def test_a_requeued_failure_is_open_again_and_off_the_list(ledger: Ledger, tmp_path: Path) -> None:
    client = Client(compose(ledger, tmp_path))
    work_id = a_failure(ledger)
    answer = client.post(f"/failures/{work_id}/requeue")
    assert (answer.status_code, answer.json()) == (200, {"requeued": [work_id]})
    assert client.get("/failures").json() == {"failures": []}
    assert decisions(ledger) == [("local", "requeue", work_id)]


def test_all_failures_are_requeued_at_once(sqlite_ledger: Ledger, client: Client) -> None:
    image, text = a_failure(sqlite_ledger), a_due_report(sqlite_ledger)
    fail(sqlite_ledger, claim(sqlite_ledger, text))
    assert set(client.post("/failures/requeue").json()["requeued"]) == {image, text}
    assert client.post("/failures/requeue").json() == {"requeued": []}


def test_a_discarded_failure_is_off_the_list_and_can_still_be_read(
    sqlite_ledger: Ledger, client: Client
) -> None:
    work_id = a_failure(sqlite_ledger)
    assert client.post(f"/failures/{work_id}/discard").json()["state"] == "discarded"
    assert client.get("/failures").json() == {"failures": []}
    assert client.get(f"/failures/{work_id}").json()["state"] == "discarded"


@pytest.mark.parametrize("decision", ["requeue", "discard"])
def test_what_has_not_failed_cannot_be_decided(
    sqlite_ledger: Ledger, client: Client, decision: str
) -> None:
    work_id = a_due_series(sqlite_ledger)
    answer = client.post(f"/failures/{work_id}/{decision}")
    assert (answer.status_code, answer.json()["code"]) == (409, "transition")
    missing = client.post(f"/failures/{NO_WORK}/{decision}")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    assert client.post(f"/failures/x%00/{decision}").status_code == 422


def test_only_administrators_read_and_decide_over_the_api(
    sqlite_ledger: Ledger, guarded: Client
) -> None:
    work_id = a_failure(sqlite_ledger)
    for token, status in ((None, 401), ("ris", 403), ("pacs", 403)):
        headers = bearer(token) if token else {}
        for path in ("/failures", f"/failures/{work_id}"):
            assert guarded.get(path, headers=headers).status_code == status
        for path in ("/failures/requeue", f"/failures/{work_id}/discard"):
            assert guarded.post(path, headers=headers).status_code == status
    assert state_of(sqlite_ledger, work_id) == "failed"
    guarded.post(f"/failures/{work_id}/requeue", headers=bearer("boss"))
    assert decisions(sqlite_ledger) == [("boss", "requeue", work_id)]


@pytest.mark.parametrize(("button", "state"), [("requeue", "pending"), ("discard", "discarded")])
def test_a_button_decides_and_leads_back_to_the_page(
    sqlite_ledger: Ledger, guarded: Client, button: str, state: str
) -> None:
    work_id = a_failure(sqlite_ledger)
    own = {"Sec-Fetch-Site": "same-origin", "Origin": BASE_URL}
    path = f"/view/failures/{work_id}/{button}"
    assert f'action="{path}"' in guarded.get("/view/failures", headers=login("boss")).text
    answer = guarded.post(path, headers={**login("boss"), **own})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/view/failures")
    assert state_of(sqlite_ledger, work_id) == state
    assert decisions(sqlite_ledger) == [("boss", button, work_id)]


def test_the_button_for_all_requeues_all(sqlite_ledger: Ledger, client: Client) -> None:
    work_id = a_failure(sqlite_ledger)
    assert client.post("/view/failures/requeue").status_code == 303
    assert state_of(sqlite_ledger, work_id) == "pending"


def test_readers_see_the_page_without_buttons(sqlite_ledger: Ledger, guarded: Client) -> None:
    work_id = a_failure(sqlite_ledger)
    page = guarded.get("/view/failures", headers=login("ris")).text
    assert work_id in page
    assert "<button" not in page.partition("<main")[2]
    answer = guarded.post(f"/view/failures/{work_id}/discard", headers=login("ris"))
    assert answer.status_code == 403
    assert state_of(sqlite_ledger, work_id) == "failed"


def test_a_button_that_comes_too_late_says_so(sqlite_ledger: Ledger, client: Client) -> None:
    work_id = a_failure(sqlite_ledger)
    client.post(f"/view/failures/{work_id}/requeue")
    for late in (work_id, NO_WORK):
        answer = client.post(f"/view/failures/{late}/discard")
        assert answer.status_code == 303
        page = client.get(answer.headers["Location"])
        assert 'role="alert"' in page.text
    assert 'role="alert"' not in client.get("/view/failures?notice=<script>").text


@pytest.mark.parametrize(
    "foreign",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.hospital.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": BASE_URL},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
@pytest.mark.parametrize("with_tokens", [True, False])
def test_no_page_of_another_site_can_decide(
    sqlite_ledger: Ledger, tmp_path: Path, foreign: dict[str, str], *, with_tokens: bool
) -> None:
    """On loopback without tokens a browser's place is its login, so the API is guarded too."""
    client = Client(compose(sqlite_ledger, tmp_path, api_tokens=TOKENS if with_tokens else None))
    work_id = a_failure(sqlite_ledger)
    for path in (f"/view/failures/{work_id}/discard", f"/failures/{work_id}/discard", "/reports"):
        headers = login("boss") if path.startswith("/view") else bearer("boss")
        answer = client.post(path, headers={**headers, **foreign})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert state_of(sqlite_ledger, work_id) == "failed"


@pytest.mark.parametrize(
    "own", [{}, {"Origin": BASE_URL}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}]
)
def test_own_pages_and_programs_can_decide(
    sqlite_ledger: Ledger, client: Client, own: dict[str, str]
) -> None:
    work_id = a_failure(sqlite_ledger)
    assert client.post(f"/failures/{work_id}/discard", headers=own).status_code == 200


def test_the_policies_of_pages_let_their_own_forms_work(client: Client) -> None:
    headers = client.get("/view/failures").headers
    assert "form-action 'self'" in headers["Content-Security-Policy"]
    # With `no-referrer`, browsers would send `Origin: null`.
    assert headers["Referrer-Policy"] == "same-origin"


def test_a_problem_with_a_failure_repeats_nothing_that_was_sent(client: Client) -> None:
    assert "Zacharias" not in client.get("/failures/Zacharias").text
