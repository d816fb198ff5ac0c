"""Shadows: a version runs beside the released one, and no reader of results or work meets it."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, select

from builders import (
    ATTEMPTS,
    a_comparison,
    a_due_report,
    a_header,
    a_text_model,
    after,
    an_image_model,
    claim,
    complete,
    fail,
    finish,
    lose_worker,
    only,
    receive,
    register,
    result_rows,
    submit,
    try_to_claim,
    work_rows,
)
from medqueue.doors.backlog import Backlog
from medqueue.errors import NotFoundError, OutOfResourcesError, TransitionError
from medqueue.ledger import dispatch, failures, models, planning
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, shadow_results
from medqueue.operate.audit import audit
from medqueue.results.history import Progress
from medqueue.results.overview import take_overview
from medqueue.results.reports import list_reports
from medqueue.results.studies import find_study, list_studies
from schemas.work import Priority, Stage, WorkState


def let_shadow(ledger: Ledger, name: str = "chest", version: str = "2.0.0") -> None:
    with ledger.write() as connection:
        models.let_shadow(connection, name, version, actor="anna", now=after(0))


def end_shadow(ledger: Ledger, name: str = "chest") -> str | None:
    with ledger.write() as connection:
        return models.end_shadow(connection, name, actor="anna", now=after(1))


def shadows(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        found = models.all_versions(connection)
    return [f"{m.manifest.name} {m.manifest.version}" for m in found if m.shadow]


def concluded(ledger: Ledger) -> list[Row[Any]]:
    with ledger.read() as connection:
        statement = select(shadow_results).order_by(shadow_results.c.completed_at)
        return list(connection.execute(statement).all())


@pytest.fixture
def images(ledger: Ledger) -> Ledger:
    """With a released version for images, and its shadow."""
    register(ledger, an_image_model(), an_image_model(version="2.0.0"))
    let_shadow(ledger)
    return ledger


@pytest.fixture
def texts(ledger: Ledger) -> Ledger:
    """With a released version for texts, and its shadow."""
    register(ledger, a_text_model(), a_text_model(version="2.0.0"))
    let_shadow(ledger, "report")
    return ledger


def a_shadowed_report(ledger: Ledger) -> str:
    """Submit a text and return the id of the shadow's work on it."""
    submit(ledger)
    return str(only(work_rows(ledger, stage=Stage.SHADOW_REPORT)).id)


def test_a_series_is_planned_for_the_shadow_too_and_never_urgent(images: Ledger) -> None:
    receive(images, a_header(priority=Priority.URGENT))
    complete(images)

    rows = {row.stage: row for row in work_rows(images)}
    assert rows.keys() == {Stage.PREPARE_SERIES, Stage.SHADOW_IMAGE}
    released, shadow = rows[Stage.PREPARE_SERIES], rows[Stage.SHADOW_IMAGE]
    assert (released.model_version, released.priority) == ("1.0.0", Priority.URGENT)
    assert (shadow.model_version, shadow.priority) == ("2.0.0", Priority.ROUTINE)
    assert shadow.input_digest == released.input_digest


def test_a_text_is_planned_for_the_shadow_too_and_never_urgent(texts: Ledger) -> None:
    submit(texts, urgent=True)

    found = {(row.stage, row.model_version, row.priority) for row in work_rows(texts)}
    assert found == {
        (Stage.DIAGNOSE_REPORT, "1.0.0", Priority.URGENT),
        (Stage.SHADOW_REPORT, "2.0.0", Priority.ROUTINE),
    }


def test_what_only_the_shadow_takes_is_skipped_for_every_reader(ledger: Ledger) -> None:
    wider = a_text_model(version="2.0.0", accepts={"languages": ("en", "de")})
    register(ledger, a_text_model(), wider)
    let_shadow(ledger, "report")

    submit(ledger, "Kein Erguss.", language="de")

    assert only(work_rows(ledger)).stage == Stage.SHADOW_REPORT
    skipped = only(result_rows(ledger))
    assert skipped.status == "skipped"
    assert "2.0.0" not in skipped.error["detail"]


def test_a_series_that_no_released_version_takes_is_skipped_without_a_word_of_the_shadow(
    ledger: Ledger,
) -> None:
    wider = an_image_model(version="2.0.0", accepts={"modalities": ("CR", "DX", "CT")})
    register(ledger, an_image_model(), wider)
    let_shadow(ledger)
    receive(ledger, a_header(series=1, modality="CT"))
    receive(ledger, a_header(series=2, modality="MR"))

    complete(ledger)

    assert only(work_rows(ledger)).stage == Stage.SHADOW_IMAGE
    skipped = result_rows(ledger)
    assert [row.status for row in skipped] == ["skipped", "skipped"]
    assert not any("2.0.0" in row.error["detail"] for row in skipped)


def test_what_a_shadow_concludes_is_kept_apart(texts: Ledger) -> None:
    due = a_shadowed_report(texts)

    finish(texts, claim(texts, due))

    assert result_rows(texts) == []
    kept = only(concluded(texts))
    assert (kept.model_version, kept.status, kept.error) == ("2.0.0", "final", None)


def test_a_shadow_that_fails_is_a_failure_and_no_result(texts: Ledger) -> None:
    due = a_shadowed_report(texts)

    fail(texts, claim(texts, due))

    assert result_rows(texts) == []
    assert only(concluded(texts)).error == {"code": "undecodable", "detail": "broken"}
    assert only(failures.list_failures(texts, 10)).id == due

    assert failures.requeue(texts, [due], actor="anna", now=after(20)) == [due]
    finish(texts, claim(texts, due, at=21), at=22)
    assert [(row.status, row.round) for row in concluded(texts)] == [("failed", 0), ("final", 1)]
    assert result_rows(texts) == []


def test_a_shadow_that_kills_its_workers_leaves_no_failed_result(texts: Ledger) -> None:
    due, at = a_shadowed_report(texts), 10.0

    for _ in range(ATTEMPTS):
        at = lose_worker(texts, due, at=at)

    assert only(concluded(texts)).error["code"] == "worker-lost"
    assert result_rows(texts) == []


def test_a_report_is_done_though_its_shadow_waits_or_has_failed(
    texts: Ledger, tmp_path: Path
) -> None:
    due = a_shadowed_report(texts)
    finish(texts, claim(texts, only(work_rows(texts, stage=Stage.DIAGNOSE_REPORT)).id))

    def seen() -> tuple[Progress, int, int]:
        found = audit(texts, tmp_path)
        assert found.passed
        (one,), _ = list_reports(texts, limit=10)
        return one.state, found.open_inputs, found.results

    assert seen() == (Progress.DONE, 0, 1)
    fail(texts, claim(texts, due))
    assert seen() == (Progress.DONE, 0, 1)


def test_a_study_shows_neither_the_work_of_a_shadow_nor_its_end(images: Ledger) -> None:
    receive(images)
    complete(images)
    before = find_study(images, "1.2.3")
    assert [record.stage for record in only(before.series).work] == [Stage.PREPARE_SERIES]

    fail(images, claim(images, only(work_rows(images, stage=Stage.SHADOW_IMAGE)).id))

    assert find_study(images, "1.2.3") == before
    (summary,), _ = list_studies(images, limit=10)
    assert summary.progress is Progress.WAITING


def test_a_study_is_done_or_has_failed_though_its_shadow_waits(images: Ledger) -> None:
    receive(images)
    complete(images)

    fail(images, claim(images, only(work_rows(images, stage=Stage.PREPARE_SERIES)).id))

    (summary,), _ = list_studies(images, limit=10)
    assert summary.progress is Progress.FAILED
    balance = find_study(images, "1.2.3").balance
    assert (balance.failed, balance.waiting) == (1, 0)


def test_an_input_that_only_a_shadow_still_works_on_is_lost(texts: Ledger, tmp_path: Path) -> None:
    a_shadowed_report(texts)
    with texts.write() as connection:
        connection.exec_driver_sql("DELETE FROM work WHERE stage = 'diagnose-report'")

    assert len(audit(texts, tmp_path).lost) == 1


def test_the_backlog_of_shadows_closes_no_door_and_is_on_no_page(texts: Ledger) -> None:
    submit(texts)
    submit(texts)
    finish(texts, claim(texts, work_rows(texts, stage=Stage.DIAGNOSE_REPORT)[0].id))

    Backlog(texts, 2).require_room()
    with pytest.raises(OutOfResourcesError):
        Backlog(texts, 1).require_room()
    overview = take_overview(texts, now=after(40))
    assert overview.work_in(WorkState.PENDING) == 1
    assert overview.work[Stage.SHADOW_REPORT, WorkState.PENDING] == 2
    finish(texts, claim(texts, work_rows(texts, state="pending", stage="diagnose-report")[0].id))
    assert take_overview(texts, now=after(40)).longest_wait() == 0


def test_released_work_is_published_before_any_shadow_that_is_older(texts: Ledger) -> None:
    submit(texts, at=1)
    submit(texts, at=2)

    first, second = (dispatch.take_unpublished(texts, limit=2, now=after(10)) for _ in range(2))

    assert {one.stage for one in first} == {Stage.DIAGNOSE_REPORT}
    assert {one.stage for one in second} == {Stage.SHADOW_REPORT}


def test_a_shadow_is_never_hastened(images: Ledger) -> None:
    receive(images)
    complete(images)
    due = only(work_rows(images, stage=Stage.SHADOW_IMAGE)).id

    dispatch.hasten_oldest(images, older_than_seconds=10, now=after(1000))
    with images.write() as connection:
        study = only(list_studies(images, limit=10)[0]).id
        planning.raise_work(connection, study, priority=Priority.URGENT)

    assert only(work_rows(images, id=due)).priority == Priority.ROUTINE
    released = only(work_rows(images, stage=Stage.PREPARE_SERIES))
    assert released.priority == Priority.URGENT


def test_a_promoted_shadow_is_no_shadow_and_what_waits_for_it_is_dropped(texts: Ledger) -> None:
    running, waiting = a_shadowed_report(texts), submit(texts)
    held = claim(texts, running)

    with texts.write() as connection:
        models.release(connection, "report", "2.0.0", actor="anna", now=after(11))

    assert shadows(texts) == []
    assert only(work_rows(texts, stage=Stage.SHADOW_REPORT)).id == running
    assert only(work_rows(texts, subject_id=waiting)).stage == Stage.DIAGNOSE_REPORT
    finish(texts, held, at=12)
    submit(texts, at=13)
    newest = work_rows(texts)[-1]
    assert (newest.stage, newest.model_version) == (Stage.DIAGNOSE_REPORT, "2.0.0")
    assert len(work_rows(texts)) == 4


def test_a_release_of_another_version_leaves_the_shadow(texts: Ledger) -> None:
    register(texts, a_text_model(version="3.0.0"))

    with texts.write() as connection:
        models.release(connection, "report", "3.0.0", actor="anna", now=after(1))

    assert shadows(texts) == ["report 2.0.0"]


def test_an_ended_shadow_gets_no_more_work_and_its_bell_finds_nothing(texts: Ledger) -> None:
    due = a_shadowed_report(texts)

    assert end_shadow(texts, "report") == "2.0.0"
    assert try_to_claim(texts, due) is None
    submit(texts)
    assert {row.stage for row in work_rows(texts)} == {Stage.DIAGNOSE_REPORT}
    assert end_shadow(texts, "report") is None
    with texts.read() as connection:
        events = connection.execute(select(audit_events).order_by(audit_events.c.seq)).all()
    assert [(event.actor, event.action, event.detail) for event in events[-2:]] == [
        ("anna", "shadow", "report 2.0.0"),
        ("anna", "end-shadow", "report 2.0.0"),
    ]


def test_a_name_has_one_shadow_and_asking_for_it_again_drops_nothing(images: Ledger) -> None:
    receive(images)
    complete(images)
    let_shadow(images)
    assert len(work_rows(images, stage=Stage.SHADOW_IMAGE)) == 1

    register(images, an_image_model(version="3.0.0"))
    let_shadow(images, version="3.0.0")

    assert shadows(images) == ["chest 3.0.0"]
    assert work_rows(images, stage=Stage.SHADOW_IMAGE) == []


@pytest.mark.parametrize(
    ("name", "version", "error"),
    [
        ("chest", "1.0.0", TransitionError),
        ("chest", "9.9.9", NotFoundError),
        ("waits", "1.0.0", NotFoundError),
        ("cross-check", "2.0.0", TransitionError),
    ],
    ids=["released", "unknown", "nothing-released", "comparison"],
)
def test_what_cannot_be_a_shadow_is_refused(
    ledger: Ledger, name: str, version: str, error: type[Exception]
) -> None:
    register(ledger, an_image_model(), an_image_model("waits", candidate=True))
    register(ledger, a_comparison(), a_comparison(version="2.0.0"))

    with pytest.raises(error):
        let_shadow(ledger, name, version)
    assert shadows(ledger) == []


def test_a_model_without_a_shadow_is_planned_as_ever(ledger: Ledger) -> None:
    a_due_report(ledger)
    assert only(work_rows(ledger)).stage == Stage.DIAGNOSE_REPORT
