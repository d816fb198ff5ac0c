"""`medqueue failures`: what a person at a terminal sees and can do."""

import json
import sys

import pytest
from click.testing import CliRunner, Result

from builders import a_due_report, after, an_outcome, claim, fail
from medqueue import cli
from medqueue.cli.failures import failures
from medqueue.errors import NotFoundError, TransitionError
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from schemas.result import ResultError, ResultStatus


@pytest.fixture
def failed(sqlite_ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> str:
    """One failure in the ledger that the command reads."""
    monkeypatch.setenv("MEDQUEUE_DATABASE_URL", str(sqlite_ledger.engine.url))
    due = a_due_report(sqlite_ledger, patient_id="P-SECRET", text="A secret text.")
    fail(sqlite_ledger, claim(sqlite_ledger, due, worker="host:7"))
    return due


def run(*arguments: str) -> Result:
    return CliRunner().invoke(failures, arguments, catch_exceptions=False, env={"COLUMNS": "200"})


def test_the_list_is_a_table(failed: str) -> None:
    shown = run("list").output
    for expected in (failed, "diagnose-report", "report 1.0.0", "undecodable: broken", "1 of 3"):
        assert expected in shown


def test_the_list_as_json_is_what_show_shows(failed: str) -> None:
    (listed,) = json.loads(run("list", "--json").output)
    assert listed == json.loads(run("show", failed, "--json").output)
    assert (listed["id"], listed["worker"], listed["finished_at"]) == (
        failed,
        "host:7",
        "2026-03-01T12:00:11Z",
    )


def test_one_failure_is_shown_in_full_but_without_patient_data(failed: str) -> None:
    shown = run("show", failed).output
    assert "host:7" in shown
    assert "error detail" in shown
    assert "secret" not in (shown + run("list").output + run("list", "--json").output).lower()


def test_an_error_text_with_brackets_is_shown_as_it_is(sqlite_ledger: Ledger, failed: str) -> None:
    due = a_due_report(sqlite_ledger)
    held = claim(sqlite_ledger, due)
    error = ResultError(code="model", detail="shape [1, 2] is not [/3]")
    outcome = an_outcome(held, ResultStatus.FAILED, error)
    work.fail(sqlite_ledger, held, outcome, now=after(12))

    assert error.detail in run("list").output
    assert error.detail in run("show", due).output


def test_requeue_by_id_and_all(failed: str) -> None:
    assert json.loads(run("requeue", failed, "--json").output) == {"requeued": [failed]}
    assert run("list").output == "no failures\n"
    assert json.loads(run("list", "--json").output) == []
    assert run("requeue", "--all").output == "requeued: 0\n"


def test_requeue_wants_ids_or_all(failed: str) -> None:
    for arguments in ([], [failed, "--all"]):
        refused = run("requeue", *arguments)
        assert refused.exit_code == 2
        assert "--all" in refused.output


def test_discard_puts_away(failed: str) -> None:
    assert run("discard", failed).output == f"discarded: {failed}\n"
    assert run("list").output == "no failures\n"
    with pytest.raises(TransitionError):
        run("discard", failed)


def test_an_unknown_id_is_an_error(failed: str) -> None:
    for command in ("show", "requeue", "discard"):
        with pytest.raises(NotFoundError):
            run(command, "nothing")


def test_an_error_of_ours_is_one_line_and_exit_code_1(
    failed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["medqueue", "failures", "show", "nothing"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "medqueue: there is no work nothing; see: medqueue failures list\n"
    )


@pytest.mark.parametrize("command", ["", "list", "show", "requeue", "discard"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    shown = run(*command.split(), "--help")
    assert shown.exit_code == 0
    assert "Example: medqueue failures" in shown.output
