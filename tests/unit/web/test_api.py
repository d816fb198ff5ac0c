"""The API for readers."""

import asyncio
from pathlib import Path
from time import monotonic

import pytest

from builders import a_due_report, a_due_series, claim, finish, receive, submit
from http_client import Client, compose
from medqueue.ledger.engine import Ledger
from schemas.result import Result


def test_the_feed_over_http_holds_every_field_of_the_contract(
    ledger: Ledger, tmp_path: Path
) -> None:
    finish(ledger, claim(ledger, a_due_report(ledger, report_id="R-1")))
    answer = Client(compose(ledger, tmp_path)).get("/results")
    (result,) = answer.json()["results"]
    assert set(result) == {
        *("seq", "id", "kind", "status", "study_instance_uid", "series_instance_uid"),
        *("sop_instance_uids", "accession_number", "patient_id", "report_id", "model"),
        *("findings", "error", "received_at", "completed_at", "report_status", "receipt"),
        "cautions",
    }
    assert result["report_id"] == "R-1"
    assert result["completed_at"] == "2026-03-01T12:00:11Z"
    assert result["error"] is None
    assert answer.json()["next"] == str(result["seq"])
    assert Result.model_validate(result).model.sha256


def test_the_feed_goes_on_from_a_cursor(sqlite_ledger: Ledger, client: Client) -> None:
    for number in range(3):
        submit(sqlite_ledger, f"Text {number}.")
    first = client.get("/results", params={"limit": 2}).json()
    second = client.get("/results", params={"after": first["next"]}).json()
    assert (len(first["results"]), len(second["results"])) == (2, 1)
    end = client.get("/results", params={"after": second["next"]}).json()
    assert end == {"results": [], "next": second["next"]}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=x", "cursor"),
        ("after=", "cursor"),
        ("limit=0", "invalid-request"),
        ("limit=many", "invalid-request"),
        ("wait=-1", "invalid-request"),
        ("wait=nan", "invalid-request"),
        ("wait=9999", "invalid-request"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_problem(client: Client, query: str, code: str) -> None:
    answer = client.get(f"/results?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_waiting_reader_gets_a_result_when_it_comes(
    sqlite_ledger: Ledger, client: Client
) -> None:
    async def ask() -> tuple[list[dict[str, object]], float]:
        async with client.open() as asking:
            waiting = asyncio.create_task(asking.get("/results?wait=60"))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await asyncio.to_thread(submit, sqlite_ledger, "Clear.")
            begin = monotonic()
            return (await waiting).json()["results"], monotonic() - begin

    found, seconds = asyncio.run(ask())
    assert len(found) == 1
    assert seconds < 5


def test_a_wait_ends_without_a_result_when_its_time_is_over(client: Client) -> None:
    assert client.get("/results?wait=0.2").json() == {"results": [], "next": "0"}


def test_more_readers_than_threads_can_wait_and_others_are_served(
    sqlite_ledger: Ledger, client: Client
) -> None:
    async def ask() -> list[int]:
        async with client.open() as asking:
            waiting = [
                asyncio.create_task(asking.get("/results?wait=60", timeout=60)) for _ in range(100)
            ]
            await asyncio.sleep(0.1)
            assert (await asking.get("/studies")).status_code == 200
            await asyncio.to_thread(submit, sqlite_ledger, "Clear.")
            return [len((await one).json()["results"]) for one in waiting]

    assert asyncio.run(ask()) == [1] * 100


def test_a_stopping_server_lets_waiting_readers_go(client: Client) -> None:
    async def ask() -> int:
        async with client.open() as asking:
            waiting = asyncio.create_task(asking.get("/results?wait=60"))
            await asyncio.sleep(0.1)
            client.app.state.feed_watch.stop()
            return (await waiting).status_code

    assert asyncio.run(ask()) == 200
    assert client.get("/results?wait=60").status_code == 200


def test_a_waiting_reader_hears_of_a_ledger_that_goes_away(
    sqlite_ledger: Ledger, client: Client
) -> None:
    def lose() -> None:
        with sqlite_ledger.write() as connection:
            connection.exec_driver_sql("DROP VIEW results_feed")
            connection.exec_driver_sql("ALTER TABLE results RENAME TO elsewhere")

    async def ask() -> tuple[int, str]:
        async with client.open() as asking:
            waiting = asyncio.create_task(asking.get("/results?wait=60"))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(lose)
            answer = await waiting
            return answer.status_code, answer.headers["Retry-After"]

    assert asyncio.run(ask()) == (503, "5")


def test_a_study_and_its_list(sqlite_ledger: Ledger, client: Client) -> None:
    a_due_series(sqlite_ledger)
    study = client.get("/studies/1.2.3").json()
    assert (study["state"], study["progress"]) == ("complete", "waiting")
    assert study["series"][0]["work"][0]["stage"] == "prepare-series"
    listed = client.get("/studies", params={"state": "complete"}).json()
    assert [row["study_instance_uid"] for row in listed["studies"]] == ["1.2.3"]
    assert listed["next"] is None
    assert client.get("/studies?state=receiving").json()["studies"] == []


def test_lists_go_on_from_their_cursor(sqlite_ledger: Ledger, client: Client) -> None:
    for number in range(2):
        submit(sqlite_ledger, f"Text {number}.")
    first = client.get("/reports?limit=1").json()
    second = client.get("/reports", params={"limit": 1, "after": first["next"]}).json()
    assert second["next"] is None
    assert first["reports"][0]["id"] > second["reports"][0]["id"]
    assert client.get("/reports?after=%00").status_code == 422


@pytest.mark.parametrize("path", ["/studies/1.2.4", "/studies/x%00", "/reports/x", "/reports/%00"])
def test_what_is_not_known_is_not_found(sqlite_ledger: Ledger, client: Client, path: str) -> None:
    receive(sqlite_ledger)
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_senders_id_may_hold_slashes(sqlite_ledger: Ledger, client: Client) -> None:
    ours = submit(sqlite_ledger, "Clear.", report_id="2026/03 R?1")
    assert client.get("/reports/2026%2F03%20R%3F1").json()["id"] == ours


def test_a_report_over_http_does_not_carry_its_text(sqlite_ledger: Ledger, client: Client) -> None:
    ours = submit(sqlite_ledger, "Zacharias.")
    for path in (f"/reports/{ours}", "/reports"):
        assert "Zacharias" not in client.get(path).text
