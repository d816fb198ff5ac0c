"""The tasks that Celery finds: each does its stage, with what this machine has."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from builders import (
    ATTEMPTS,
    a_due_report,
    a_due_series,
    claim,
    hand_on,
    only,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import work
from schemas.result import ResultKind, ResultStatus
from schemas.work import Stage, WorkState
from workers.models.package import bundled_packages, read_manifest
from workers.tasks import process, registered


@pytest.fixture(autouse=True)
def _environment(
    ledger: Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The worker opens this very ledger by its settings, as in a process of its own."""
    monkeypatch.setenv("MEDQUEUE_DATABASE_URL", database_url)
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path / "data"))
    process.worker_process.cache_clear()
    yield
    process.worker_process().ledger.close()
    process.worker_process.cache_clear()


def deliver_until_it_fails(ledger: Ledger, task: Callable[[str], None], due: str) -> None:
    """Send the message as often as the work is tried, without waiting for its pauses."""
    for _ in range(ATTEMPTS):
        with ledger.write() as connection:
            connection.execute(
                update(work).where(work.c.id == due).values(next_try_at=datetime.now(UTC))
            )
        task(due)


def test_a_text_is_read_by_the_bundled_rules(ledger: Ledger) -> None:
    texts = [m for m in map(read_manifest, bundled_packages()) if m.kind is ResultKind.TEXT]
    register(ledger, *texts)
    submit(ledger, "No pneumothorax.", language="en")
    due = only(work_rows(ledger)).id

    registered.diagnose_report_text(due)

    finding = only(only(result_rows(ledger)).findings)
    assert (finding["label"], finding["presence"]) == ("pneumothorax", "absent")


@pytest.mark.parametrize(
    ("task", "prepare"),
    [
        (registered.diagnose_report_text, a_due_report),
        (registered.diagnose_image, "diagnosis"),
    ],
    ids=["rules", "network"],
)
def test_a_model_that_is_not_on_this_machine_is_asked_for_again_and_then_failed(
    ledger: Ledger, task: Callable[[str], None], prepare: Any
) -> None:
    if prepare == "diagnosis":
        hand_on(ledger, claim(ledger, a_due_series(ledger)))
        due = only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)).id
    else:
        due = prepare(ledger)

    task(due)
    row = only(work_rows(ledger, id=due))
    assert (row.state, row.error_code) == (WorkState.PENDING, "package")

    deliver_until_it_fails(ledger, task, due)
    assert only(work_rows(ledger, id=due)).state == WorkState.FAILED
    result = only(result_rows(ledger))
    assert (result.status, result.error["code"]) == (ResultStatus.FAILED, "package")
    assert "not on this machine" in result.error["detail"]


def test_a_file_that_is_gone_is_tried_again_and_then_failed(ledger: Ledger) -> None:
    due = a_due_series(ledger)
    deliver_until_it_fails(ledger, registered.prepare_series, due)
    assert only(work_rows(ledger)).state == WorkState.FAILED
    assert only(result_rows(ledger)).status == ResultStatus.FAILED


def test_a_process_opens_its_ledger_once_and_a_fork_of_it_anew() -> None:
    first = process.worker_process()
    assert process.worker_process() is first
    process._forget_parent()
    second = process.worker_process()
    first.ledger.close()
    assert second is not first
