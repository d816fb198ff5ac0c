"""`medqueue results`."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from builders import a_due_report, a_text_model, after, claim, submit
from http_client import Client, compose
from medqueue.cli.results import results
from medqueue.errors import ConfigurationError, CursorError
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from schemas.finding import Finding, Presence
from schemas.result import Outcome, ResultStatus


@pytest.fixture
def ledger_at_hand(database_url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("MEDQUEUE_DATABASE_URL", database_url)
    return ledger


def test_json_lines_are_the_results_as_over_http(ledger_at_hand: Ledger, tmp_path: Path) -> None:
    for number in range(3):
        submit(ledger_at_hand, f"Text {number}.")
    outcome = CliRunner().invoke(results, ["--json"])
    lines = [json.loads(line) for line in outcome.stdout.splitlines()]
    over_http = Client(compose(ledger_at_hand, tmp_path)).get("/results").json()
    assert lines == over_http["results"]
    assert outcome.stderr == f"next cursor: {over_http['next']}\n"


def test_the_table_shows_what_was_found_and_the_next_cursor(ledger_at_hand: Ledger) -> None:
    held = claim(ledger_at_hand, a_due_report(ledger_at_hand, report_id="R-1"))
    effusion = Finding(label="effusion", probability=0.25, presence=Presence.UNCERTAIN)
    model = a_text_model().reference()
    concluded = Outcome(status=ResultStatus.FINAL, model=model, findings=(effusion,))
    work.finish(ledger_at_hand, held, outcome=concluded, now=after(11))
    outcome = CliRunner().invoke(results)
    for expected in ("R-1", "report 1.0.0", "final", "effusion uncertain 25%", "next cursor: 1"):
        assert expected in outcome.stdout


def test_a_limit_and_a_cursor_cut_the_feed(ledger_at_hand: Ledger) -> None:
    for number in range(3):
        submit(ledger_at_hand, f"Text {number}.", report_id=f"R-{number}")
    first = CliRunner().invoke(results, ["--json", "--limit", "2"])
    cursor = first.stderr.rpartition(" ")[2].strip()
    rest = CliRunner().invoke(results, ["--json", "--after", cursor])
    seen = [json.loads(line)["report_id"] for line in (first.stdout + rest.stdout).splitlines()]
    assert seen == ["R-0", "R-1", "R-2"]


def test_following_shows_what_comes_until_ctrl_c(
    ledger_at_hand: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = iter([lambda: submit(ledger_at_hand, "Clear.", report_id="R-1")])

    def pause(_seconds: float) -> None:
        event = next(pauses, None)
        if event is None:
            raise KeyboardInterrupt
        event()

    monkeypatch.setattr(time, "sleep", pause)
    outcome = CliRunner().invoke(results, ["--follow", "--json"])
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["report_id"] == "R-1"


def test_an_empty_feed_says_so(ledger_at_hand: Ledger) -> None:
    outcome = CliRunner().invoke(results)
    assert outcome.stdout == "no results\nnext cursor: 0\n"


def test_what_a_sender_named_cannot_steer_the_terminal(ledger_at_hand: Ledger) -> None:
    submit(ledger_at_hand, "Clear.", report_id="[red]\u202ex")
    outcome = CliRunner().invoke(results)
    assert "[red]\ufffdx" in outcome.stdout


def test_a_wrong_cursor_names_the_cure(ledger_at_hand: Ledger) -> None:
    outcome = CliRunner().invoke(results, ["--after", "x"])
    assert isinstance(outcome.exception, CursorError)


def test_a_ledger_without_schema_names_the_cure(
    empty_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDQUEUE_DATABASE_URL", empty_sqlite_url)
    outcome = CliRunner().invoke(results)
    assert isinstance(outcome.exception, ConfigurationError)
    assert "medqueue db upgrade" in outcome.exception.detail
