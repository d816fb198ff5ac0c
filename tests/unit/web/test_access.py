"""Access: who gets in with which token, and what is open."""

import base64
from pathlib import Path

import pytest

from builders import count
from http_client import Client, bearer, compose, tokens
from medqueue.errors import ConfigurationError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events
from medqueue.web.access import parse_tokens

TOKENS = tokens(pacs="send", ris="read", boss="admin")


@pytest.fixture
def guarded(sqlite_ledger: Ledger, tmp_path: Path) -> Client:
    return Client(compose(sqlite_ledger, tmp_path, api_tokens=TOKENS))


@pytest.mark.parametrize(
    ("token", "reading", "sending"),
    [
        (None, 401, 401),
        ("wrong", 401, 401),
        ("ris", 200, 403),
        ("pacs", 403, 202),
        ("boss", 200, 202),
    ],
)
def test_a_role_opens_its_doors_only(
    guarded: Client, token: str | None, reading: int, sending: int
) -> None:
    headers = bearer(token) if token else {}
    for path in ("/results", "/studies", "/reports", "/metrics", "/", "/view/failures"):
        assert guarded.get(path, headers=headers).status_code == reading
    answer = guarded.post("/reports", json={"text": "Clear."}, headers=headers)
    assert answer.status_code == sending


def test_refused_access_is_a_problem_with_a_challenge(guarded: Client) -> None:
    answer = guarded.get("/results")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="medqueue"'
    assert answer.json()["code"] == "unauthorized"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/static/style.css"])
def test_probes_and_the_description_are_open(guarded: Client, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_a_path_that_nobody_knows_is_closed(guarded: Client) -> None:
    assert guarded.get("/some/later/route").status_code == 401


def test_a_browser_logs_in_to_the_pages_with_the_token_as_password(guarded: Client) -> None:
    login = {"Authorization": "Basic " + base64.b64encode(b"me:ris").decode()}
    assert guarded.get("/", headers=login).status_code == 200
    assert guarded.get("/").headers["WWW-Authenticate"] == 'Basic realm="medqueue"'


def test_a_browsers_login_is_not_good_for_the_api(guarded: Client) -> None:
    login = {"Authorization": "Basic " + base64.b64encode(b"me:boss").decode()}
    assert guarded.get("/results", headers=login).status_code == 401
    assert guarded.post("/reports", json={"text": "x"}, headers=login).status_code == 401


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic !", "Basic /////w==", "Digest x", "ris", "Bearer r\xefs"]
)
def test_a_malformed_header_is_no_token(guarded: Client, header: str) -> None:
    headers = {"Authorization": header.encode("latin-1")}
    assert guarded.get("/", headers=headers).status_code == 401


def test_strangers_cannot_write_refusals_into_the_ledger(
    guarded: Client, sqlite_ledger: Ledger
) -> None:
    json_type = {"Content-Type": "application/json"}
    assert guarded.post("/reports", content=b"{", headers=json_type).status_code == 401
    assert count(sqlite_ledger, audit_events) == 0


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.7"])  # noqa: S104 - refused
def test_beyond_loopback_there_is_no_start_without_tokens(
    sqlite_ledger: Ledger, tmp_path: Path, bind: str
) -> None:
    with pytest.raises(ConfigurationError, match="MEDQUEUE_API_TOKENS"):
        compose(sqlite_ledger, tmp_path, bind=bind)
    compose(sqlite_ledger, tmp_path, bind=bind, api_tokens=TOKENS)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "192.0.2.7:80"])
def test_without_tokens_this_machine_may_ask(client: Client, host: str) -> None:
    assert client.get("/results", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8080", "127.0.0.1.evil"])
def test_without_tokens_a_foreign_name_is_refused(client: Client, host: str) -> None:
    answer = client.get("/results", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "text", ["a", "a:read", "a:root:" + "0" * 64, "a:read:" + "0" * 63, ":read:" + "0" * 64]
)
def test_malformed_tokens_stop_the_start_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError, match="entry 2 is malformed") as caught:
        parse_tokens(f"{TOKENS.partition(',')[0]},{text}")
    assert "0" * 60 not in caught.value.detail


def test_tokens_may_be_spread_with_spaces() -> None:
    assert [token.name for token in parse_tokens(TOKENS.replace(",", " , ") + ",")] == [
        "pacs",
        "ris",
        "boss",
    ]
