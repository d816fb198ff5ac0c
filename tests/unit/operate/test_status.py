"""The status: what counts as stuck, and what is said to do about it."""

from pathlib import Path

import pytest

from builders import (
    QUIET,
    a_due_report,
    a_text_model,
    after,
    claim,
    finish,
    only,
    receive,
    register,
    submit,
    work_rows,
)
from medqueue.broker.app import create_app
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.operate import data_folder, ports, status
from medqueue.operate.status import Status, take_status
from medqueue.settings import Settings
from schemas.study import StudyState
from schemas.work import Stage, WorkState


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    dimse, mllp, http, flower = ports.find_free(4)
    return Settings(
        data_dir=tmp_path / "data",
        dimse_port=dimse,
        mllp_port=mllp,
        http_port=http,
        flower_port=flower,
        study_quiet_seconds=QUIET,
    )


def look(ledger: Ledger, settings: Settings, *, at: float) -> Status:
    return take_status(settings, ledger, create_app(settings), now=after(at))


def test_an_empty_system_is_not_stuck(sqlite_ledger: Ledger, settings: Settings) -> None:
    found = look(sqlite_ledger, settings, at=0)
    assert found.stuck == ()
    assert not found.runs_here


def test_it_counts_studies_and_work_by_state(ledger: Ledger, settings: Settings) -> None:
    receive(ledger)
    a_due_report(ledger, urgent=True)
    found = look(ledger, settings, at=1)
    assert found.overview.studies[StudyState.RECEIVING] == 1
    (row,) = found.work
    assert (row.stage, row.state, row.urgent, row.count) == (
        Stage.DIAGNOSE_REPORT,
        WorkState.PENDING,
        True,
        1,
    )


def test_a_broker_that_does_not_answer_is_shown_as_such(
    sqlite_ledger: Ledger, settings: Settings
) -> None:
    assert look(sqlite_ledger, settings, at=0).queues is None


def test_work_that_waits_shortly_is_not_stuck(ledger: Ledger, settings: Settings) -> None:
    a_due_report(ledger)
    assert look(ledger, settings, at=status.STUCK_SECONDS - 1).stuck == ()


def test_work_that_nobody_takes_is_stuck(ledger: Ledger, settings: Settings) -> None:
    a_due_report(ledger)
    (reason,) = look(ledger, settings, at=status.STUCK_SECONDS + 1).stuck
    assert "diagnose-report has waited for 61 s" in reason.what
    assert "Redis does not answer" in reason.cure


@pytest.mark.parametrize(
    ("workers", "cure"),
    [(["gpu@here"], "medqueue worker --role cpu"), (["cpu@here"], "medqueue serve relay")],
)
def test_the_cure_depends_on_which_workers_answer(
    sqlite_ledger: Ledger,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    workers: list[str],
    cure: str,
) -> None:
    monkeypatch.setattr(status, "_queue_depths", lambda _: {})
    monkeypatch.setattr(status, "alive", lambda _: workers)
    a_due_report(sqlite_ledger)
    (reason,) = look(sqlite_ledger, settings, at=100).stuck
    assert cure in reason.cure


def test_a_long_queue_from_which_workers_take_is_not_stuck(
    ledger: Ledger, settings: Settings
) -> None:
    first = a_due_report(ledger)
    submit(ledger, "Small effusion.")
    claim(ledger, first, at=90)
    assert len(work_rows(ledger, state=WorkState.PENDING)) == 1
    assert look(ledger, settings, at=100).stuck == ()


def test_a_lease_that_nobody_frees_is_stuck(ledger: Ledger, settings: Settings) -> None:
    claim(ledger, a_due_report(ledger), at=1)
    (reason,) = look(ledger, settings, at=100).stuck
    assert "workers that are gone" in reason.what


def test_a_quiet_study_that_nobody_completes_is_stuck(ledger: Ledger, settings: Settings) -> None:
    receive(ledger)
    assert look(ledger, settings, at=QUIET + 10).stuck == ()
    (reason,) = look(ledger, settings, at=QUIET + status.STUCK_SECONDS + 1).stuck
    assert "relay" in reason.cure


def test_closed_doors_count_only_while_the_system_runs_here(
    sqlite_ledger: Ledger, settings: Settings
) -> None:
    data_folder.make(settings)
    with data_folder.held(settings):
        found = look(sqlite_ledger, settings, at=0)
    assert len(found.stuck) == len(ports.PORT_SETTINGS)


def test_a_shadow_that_waits_long_is_not_stuck(ledger: Ledger, settings: Settings) -> None:
    register(ledger, a_text_model(), a_text_model(version="2.0.0"))
    with ledger.write() as connection:
        models.let_shadow(connection, "report", "2.0.0", actor="anna", now=after(0))
    submit(ledger)
    finish(ledger, claim(ledger, only(work_rows(ledger, stage=Stage.DIAGNOSE_REPORT)).id))

    found = look(ledger, settings, at=1000)

    assert found.stuck == ()
    assert (Stage.SHADOW_REPORT, 1) in {(row.stage, row.count) for row in found.work}
