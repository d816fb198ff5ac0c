"""The tasks that Celery finds: each does its stage, with what this machine has."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from builders import (
    ATTEMPTS,
    NOW,
    a_due_report,
    a_due_series,
    a_final,
    after,
    claim,
    hand_on,
    only,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import shadow_results, work
from medqueue.ledger.work import finish as finish_work
from medqueue.storage.packages import read_manifest
from schemas.finding import Code, Finding, Presence
from schemas.result import ResultKind, ResultStatus
from schemas.work import Stage, WorkState
from workers.models.package import bundled_packages
from workers.tasks import process, registered
from workers.tasks.performing import WorkFailed


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
        with suppress(WorkFailed):
            task(due)


def test_a_text_is_read_by_the_bundled_rules(ledger: Ledger) -> None:
    texts = [m for m in map(read_manifest, bundled_packages()) if m.kind is ResultKind.TEXT]
    register(ledger, *texts)
    submit(ledger, "No pneumothorax.", language="en")
    due = only(work_rows(ledger)).id

    registered.diagnose_report_text(due)

    finding = only(only(result_rows(ledger)).findings)
    assert (finding["label"], finding["presence"]) == ("pneumothorax", "absent")


def test_a_promoted_network_reads_a_text_beside_the_rules(ledger: Ledger) -> None:
    texts = [m for m in map(read_manifest, bundled_packages()) if m.kind is ResultKind.TEXT]
    register(ledger, *texts)
    with ledger.write() as connection:
        models.release(connection, "chest-rnn", "0.1.0", actor="anna", now=NOW)
    submit(ledger, "FINDINGS: There is a small pleural effusion.", language="en")

    for row in work_rows(ledger):
        registered.diagnose_report_text(row.id)

    by_model = {row.model_name: row for row in result_rows(ledger)}
    assert by_model.keys() == {"chest-rules-en", "chest-rnn"}
    for row in by_model.values():
        found = {f["label"]: f["presence"] for f in row.findings}
        assert found["pleural effusion"] == "present"
    probabilities = [f["probability"] for f in by_model["chest-rnn"].findings]
    assert all(0 <= probability <= 1 for probability in probabilities)


def test_a_cross_check_is_made_once_however_often_its_bell_rings(ledger: Ledger) -> None:
    texts = [m for m in map(read_manifest, bundled_packages()) if m.kind is ResultKind.TEXT]
    register(ledger, *texts)
    hand_on(ledger, claim(ledger, a_due_series(ledger)))
    held = claim(ledger, only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)).id, at=12)
    pneumonia = Finding(
        label="Pneumonia",
        code=Code(system="http://snomed.info/sct", code="233604007", display="Pneumonia"),
        probability=0.9,
        threshold=0.5,
        presence=Presence.PRESENT,
    )
    seen = a_final(held).model_copy(update={"findings": (pneumonia,)})
    finish_work(ledger, held, outcome=seen, now=after(13))
    submit(ledger, "No pneumonia.", language="en", study_instance_uid="1.2.3")
    registered.diagnose_report_text(only(work_rows(ledger, stage=Stage.DIAGNOSE_REPORT)).id)
    due = only(work_rows(ledger, stage=Stage.CROSS_CHECK)).id

    for _ in range(3):
        registered.cross_check_report(due)

    assert only(work_rows(ledger, id=due)).state == WorkState.DONE
    (verdict,) = only(result_rows(ledger, model_name="cross-check")).findings
    assert verdict["label"] == "denied-in-text: pneumonia"


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


def test_a_shadow_reads_a_text_and_nobody_sees_what_it_says(ledger: Ledger) -> None:
    (rules,) = [m for m in map(read_manifest, bundled_packages()) if m.name == "chest-rules-en"]
    older = rules.model_copy(update={"version": "0.0.1"})
    register(ledger, older, rules)
    with ledger.write() as connection:
        models.let_shadow(connection, rules.name, rules.version, actor="anna", now=NOW)
    submit(ledger, "No pneumothorax.", language="en")
    due = only(work_rows(ledger, stage=Stage.SHADOW_REPORT)).id

    registered.shadow_report(due)

    assert result_rows(ledger) == []
    with ledger.read() as connection:
        (kept,) = connection.execute(select(shadow_results)).all()
    assert (kept.model_version, kept.status) == (rules.version, ResultStatus.FINAL)
    assert [finding["label"] for finding in kept.findings] == ["pneumothorax"]
