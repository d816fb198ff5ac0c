"""Completeness and planning: when a study is complete, and what work that brings."""

import pytest
from sqlalchemy import select, update

from builders import (
    ATTEMPTS,
    CT_STORAGE,
    PATIENCE,
    QUIET,
    a_header,
    after,
    an_image_model,
    claim,
    complete,
    finish,
    hand_on,
    only,
    receive,
    register,
    result_rows,
    study_row,
    work_rows,
)
from medqueue.ledger import completeness, models
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import studies
from schemas.manifest import Accepts
from schemas.study import StudyState
from schemas.work import Priority, Stage, WorkState

A_CT = {"modality": "CT", "sop_class_uid": CT_STORAGE}


def diagnose_all(ledger: Ledger) -> None:
    """Walk all waiting work to its results."""
    while waiting := work_rows(ledger, state=WorkState.PENDING):
        for row in waiting:
            step = hand_on if row.stage == Stage.PREPARE_SERIES else finish
            step(ledger, claim(ledger, row.id, at=1000), at=1000)


def test_a_study_is_complete_once_it_has_been_quiet(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger)

    assert complete(ledger, at=QUIET - 0.001) == 0
    assert complete(ledger, at=QUIET) == 1
    assert complete(ledger, at=QUIET) == 0

    study = study_row(ledger)
    assert (study.state, study.completed_at) == (StudyState.COMPLETE, after(QUIET))


def test_each_series_of_a_complete_study_becomes_work_for_each_model(ledger: Ledger) -> None:
    register(ledger, an_image_model("a"), an_image_model("b"))
    receive(ledger, a_header(series=1, priority=Priority.URGENT))
    receive(ledger, a_header(series=2))
    complete(ledger)

    rows = work_rows(ledger)
    assert len({(row.subject_id, row.model_name) for row in rows}) == len(rows) == 4
    assert {row.stage for row in rows} == {Stage.PREPARE_SERIES}
    assert {(row.state, row.priority) for row in rows} == {("pending", Priority.URGENT)}
    assert {row.max_attempts for row in rows} == {ATTEMPTS}


def complete_some(ledger: Ledger, limit: int, *, at: float = 20) -> list[str]:
    return completeness.complete_studies(
        ledger, patience=PATIENCE, max_attempts=ATTEMPTS, limit=limit, now=after(at)
    )


def test_an_urgent_study_is_completed_before_routine_ones_that_are_due_longer(
    ledger: Ledger,
) -> None:
    for number in range(3):
        receive(ledger, a_header(study=f"1.{number}"), at=number / 1000)
    receive(ledger, a_header(study="2.0", priority=Priority.URGENT), at=1)

    completed = complete_some(ledger, limit=2)

    assert completed == [study_row(ledger, "2.0").id, study_row(ledger, "1.0").id]


def test_studies_that_a_door_holds_do_not_hold_up_the_others(ledger: Ledger) -> None:
    if ledger.is_sqlite:
        pytest.skip("SQLite has no row locks: one writer holds everything")
    for number in range(3):
        receive(ledger, a_header(study=f"1.{number}"), at=number / 1000)
    held = {study_row(ledger, f"1.{number}").id for number in range(2)}

    with ledger.write() as door:
        door.execute(select(studies.c.id).where(studies.c.id.in_(held)).with_for_update())
        assert complete_some(ledger, limit=2) == [study_row(ledger, "1.2").id]
        assert complete_some(ledger, limit=2) == []

    assert set(complete_some(ledger, limit=2)) == held


def test_the_relay_learns_when_the_next_study_may_be_complete(ledger: Ledger) -> None:
    def wait(at: float) -> float | None:
        return completeness.seconds_until_next(ledger, patience=PATIENCE, now=after(at))

    assert wait(0) is None
    receive(ledger, a_header(study="1.1"), at=1)
    receive(ledger, a_header(study="1.2"), at=2)
    assert wait(3) == pytest.approx(1 + QUIET - 3)
    assert wait(60) == 0
    complete(ledger, at=60)
    assert wait(60) is None


def test_a_late_instance_reopens_the_study_and_amends_its_result(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    complete(ledger)
    diagnose_all(ledger)

    receive(ledger, a_header(instance=2), at=200)
    assert study_row(ledger).state == StudyState.RECEIVING
    complete(ledger, at=210)
    diagnose_all(ledger)

    assert [row.status for row in result_rows(ledger)] == ["final", "amended"]
    assert len({row.input_digest for row in result_rows(ledger)}) == 2


def test_a_conflict_reopens_the_study_but_adds_neither_work_nor_result(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger, content="one")
    complete(ledger)
    diagnose_all(ledger)
    before = work_rows(ledger)

    receive(ledger, content="other", at=200)
    assert complete(ledger, at=210) == 1

    assert work_rows(ledger) == before
    assert len(result_rows(ledger)) == 1


def test_a_second_series_leaves_the_first_as_it_is(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    complete(ledger)
    diagnose_all(ledger)

    receive(ledger, a_header(series=2), at=200)
    complete(ledger, at=210)
    diagnose_all(ledger)

    assert [row.status for row in result_rows(ledger)] == ["final", "final"]
    assert len({row.series_instance_uid for row in result_rows(ledger)}) == 2


def test_a_series_that_no_model_takes_is_skipped_once_with_the_reason(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger, a_header(**A_CT))
    complete(ledger)
    receive(ledger, a_header(**A_CT), content="other", at=20)
    complete(ledger, at=30)

    result = only(result_rows(ledger))
    assert (result.kind, result.status, result.findings) == ("image", "skipped", [])
    assert result.error["code"] == "no-model-applies"
    assert result.error["detail"] == "chest 1.0.0: modality CT is not among CR, DX"
    assert result.sop_instance_uids == ["1.2.3.1.1"]
    assert result.model_name == "medqueue-router"
    assert work_rows(ledger) == []


def test_without_any_model_a_series_is_skipped_and_says_so(ledger: Ledger) -> None:
    receive(ledger)
    complete(ledger)

    assert only(result_rows(ledger)).error["detail"] == "no model of this kind is released"


def test_a_series_of_conflicts_alone_is_skipped(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger, a_header(study="1.1", sop_instance_uid="9.9"), content="one")
    receive(ledger, a_header(study="1.2", sop_instance_uid="9.9"), content="other")
    complete(ledger)

    result = only(result_rows(ledger))
    assert (result.study_instance_uid, result.status) == ("1.2", "skipped")
    assert result.error["code"] == "only-conflicts"
    assert result.sop_instance_uids == []


def test_only_the_instances_a_model_accepts_count_for_its_work(ledger: Ledger) -> None:
    accepts = Accepts(modalities=("CR",), excluded_views=("LL",))
    register(ledger, an_image_model(accepts=accepts))
    receive(ledger)
    complete(ledger)
    before = only(work_rows(ledger))

    receive(ledger, a_header(instance=2, view_position="LL"), at=20)
    complete(ledger, at=30)

    assert only(work_rows(ledger)) == before


def test_the_digest_of_a_series_does_not_depend_on_the_order_of_arrival(
    sqlite_ledger: Ledger, postgresql_ledger: Ledger
) -> None:
    digests = set()
    for ledger, order in ((sqlite_ledger, (1, 2, 3)), (postgresql_ledger, (3, 1, 2))):
        register(ledger, an_image_model())
        for instance in order:
            receive(ledger, a_header(instance=instance))
        complete(ledger)
        digests.add(only(work_rows(ledger)).input_digest)

    assert len(digests) == 1


def test_a_new_release_diagnoses_what_comes_after_it(ledger: Ledger) -> None:
    register(ledger, an_image_model(version="1.0.0"), an_image_model(version="2.0.0"))
    receive(ledger)
    complete(ledger)
    with ledger.write() as connection:
        models.release(connection, "chest", "2.0.0", actor="anna", now=after(20))
    receive(ledger, a_header(study="1.2.4"), at=20)
    complete(ledger, at=30)

    assert [row.model_version for row in work_rows(ledger)] == ["1.0.0", "2.0.0"]


def test_a_study_that_was_to_wait_long_is_judged_anew_when_quiet_times_may_have_changed(
    ledger: Ledger,
) -> None:
    receive(ledger)
    with ledger.write() as connection:
        connection.execute(update(studies).values(due_at=after(3600)))
    assert complete(ledger) == 0

    completeness.look_again(ledger)

    assert complete(ledger) == 1
