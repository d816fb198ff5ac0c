"""Cross-checks: planned when both partners are there, once for each pair of contents."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Row, update

from builders import (
    a_comparison,
    a_header,
    a_text_model,
    after,
    an_image_model,
    claim,
    complete,
    fail,
    finish,
    hand_on,
    only,
    receive,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.ledger import cross_checks, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import models as model_versions
from schemas.manifest import Engine
from schemas.result import ComparedModel, Outcome, ResultKind, ResultStatus
from schemas.work import Claim, Priority, Stage, WorkState

STUDY = "1.2.3"


@pytest.fixture(autouse=True)
def _models(ledger: Ledger) -> None:
    register(ledger, an_image_model(), a_text_model(), a_comparison())


def diagnose_images(ledger: Ledger, *, at: float = 10) -> None:
    """Let the image model end all that waits for it."""
    for row in work_rows(ledger, stage=Stage.PREPARE_SERIES, state=WorkState.PENDING):
        hand_on(ledger, claim(ledger, row.id, at=at), at=at + 1)
    for row in work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE, state=WorkState.PENDING):
        finish(ledger, claim(ledger, row.id, at=at + 2), at=at + 3)


def receive_study(ledger: Ledger, *, series: int = 1, at: float = 0, **changes: Any) -> None:
    receive(ledger, a_header(STUDY, series, **changes), at=at)
    complete(ledger, at=at + 10)


def read_texts(ledger: Ledger, *, at: float = 10) -> None:
    for row in work_rows(ledger, stage=Stage.DIAGNOSE_REPORT, state=WorkState.PENDING):
        finish(ledger, claim(ledger, row.id, at=at), at=at + 1)


def checks(ledger: Ledger) -> list[Row[Any]]:
    return work_rows(ledger, stage=Stage.CROSS_CHECK)


def test_images_first_and_text_first_plan_the_same_check(ledger: Ledger) -> None:
    first = submit(ledger, study_instance_uid=STUDY, report_id="R-1")
    read_texts(ledger)
    receive_study(ledger)
    assert checks(ledger) == []

    diagnose_images(ledger)

    assert only(checks(ledger)).subject_id == first
    second = submit(ledger, "Another text.", study_instance_uid=STUDY, report_id="R-2")
    read_texts(ledger)
    assert {row.subject_id for row in checks(ledger)} == {first, second}


def test_a_link_by_accession_number_and_patient_counts_too(ledger: Ledger) -> None:
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, accession_number="A-1", patient_id="P-1")

    read_texts(ledger)

    assert len(checks(ledger)) == 1


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"study_instance_uid": "9.9"},
        {"accession_number": "A-1", "patient_id": "P-2"},
        {"accession_number": "A-1"},
        {"study_instance_uid": STUDY, "patient_id": "P-2"},
    ],
)
def test_what_does_not_belong_together_is_not_compared(
    ledger: Ledger, named: dict[str, str]
) -> None:
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, **named)

    read_texts(ledger)

    assert checks(ledger) == []


def test_a_correction_makes_the_link_that_was_missing(ledger: Ledger) -> None:
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, report_id="R-1")
    read_texts(ledger)
    assert checks(ledger) == []

    corrected = submit(ledger, report_id="R-1", study_instance_uid=STUDY)
    read_texts(ledger)

    assert only(checks(ledger)).subject_id == corrected


def test_a_superseded_version_of_a_report_is_not_compared_with_new_images(ledger: Ledger) -> None:
    submit(ledger, report_id="R-1", study_instance_uid=STUDY)
    newer = submit(ledger, "No effusion.", report_id="R-1", study_instance_uid=STUDY)
    read_texts(ledger)
    receive_study(ledger)

    diagnose_images(ledger)

    assert only(checks(ledger)).subject_id == newer


def test_a_study_of_two_series_waits_for_both(ledger: Ledger) -> None:
    submit(ledger, study_instance_uid=STUDY)
    read_texts(ledger)
    receive(ledger, a_header(STUDY, 1))
    receive_study(ledger, series=2)
    one, two = (row.id for row in work_rows(ledger, stage=Stage.PREPARE_SERIES))
    hand_on(ledger, claim(ledger, one))
    first = only(work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)).id
    finish(ledger, claim(ledger, first, at=12), at=13)
    assert checks(ledger) == []

    fail(ledger, claim(ledger, two, at=14), at=15)

    assert len(checks(ledger)) == 1


def test_a_late_series_brings_one_more_check(ledger: Ledger) -> None:
    submit(ledger, study_instance_uid=STUDY)
    read_texts(ledger)
    receive_study(ledger)
    diagnose_images(ledger)

    receive_study(ledger, series=2, at=100)
    diagnose_images(ledger, at=120)

    assert len({row.input_digest for row in checks(ledger)}) == 2


def test_networks_that_read_texts_are_not_compared(ledger: Ledger) -> None:
    register(ledger, a_text_model("chest-rnn", engine=Engine.TORCH))
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, study_instance_uid=STUDY)

    read_texts(ledger)

    assert len(checks(ledger)) == 1


def test_nothing_is_planned_where_no_comparison_is_released(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(update(model_versions).values(released=False))
    register(ledger, an_image_model("heart"), a_text_model("read"))
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, study_instance_uid=STUDY)

    read_texts(ledger)

    assert checks(ledger) == []


def test_urgency_is_that_of_the_work_that_completed_the_pair(ledger: Ledger) -> None:
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, study_instance_uid=STUDY, urgent=True)

    read_texts(ledger)

    assert only(checks(ledger)).priority == Priority.URGENT


def test_a_comparison_reads_no_report_by_itself(ledger: Ledger) -> None:
    submit(ledger, language="de")

    assert work_rows(ledger) == []
    assert "cross-check" not in only(result_rows(ledger)).error["detail"]


def test_the_pair_is_found_again_by_its_digest(ledger: Ledger) -> None:
    receive_study(ledger)
    diagnose_images(ledger)
    report = submit(ledger, study_instance_uid=STUDY)
    read_texts(ledger)

    with ledger.read() as connection:
        (pair,) = cross_checks.pairs_of_report(connection, report)

    assert pair.digest == only(checks(ledger)).input_digest
    assert [row.model_name for row in (*pair.images, pair.text)] == ["chest", "report"]


def test_of_two_partners_that_end_at_the_same_moment_one_plans_the_check(ledger: Ledger) -> None:
    """Each would miss the other if it looked before the other's result is there for all."""
    both: list[tuple[Claim, Claim]] = []
    for number in range(12):
        study = f"1.2.{number + 1}"
        receive(ledger, a_header(study, accession_number=None))
        submit(ledger, study_instance_uid=study)
    complete(ledger)
    for row in work_rows(ledger, stage=Stage.PREPARE_SERIES):
        hand_on(ledger, claim(ledger, row.id))
    images = work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)
    texts = work_rows(ledger, stage=Stage.DIAGNOSE_REPORT)
    for image, text in zip(images, texts, strict=True):
        both.append((claim(ledger, image.id, at=12), claim(ledger, text.id, at=12)))

    def end(side: int, together: Barrier) -> None:
        for pair in both:
            together.wait(timeout=30)
            finish(ledger, pair[side], at=13)

    together = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(end, side, together) for side in (0, 1)]:
            ended.result(timeout=60)

    assert len(checks(ledger)) == len(both)


def compared(held: Claim, image_model: str) -> Outcome:
    model = a_comparison().reference()
    names = ComparedModel(kind=ResultKind.IMAGE, name=image_model, version="1.0.0")
    return Outcome(status=ResultStatus.FINAL, model=model.model_copy(update={"compared": (names,)}))


def test_a_check_of_another_image_model_amends_nothing(ledger: Ledger) -> None:
    register(ledger, an_image_model("heart"))
    receive_study(ledger)
    diagnose_images(ledger)
    submit(ledger, study_instance_uid=STUDY)
    read_texts(ledger)

    for row, name in zip(checks(ledger), ("chest", "heart"), strict=True):
        held = claim(ledger, row.id, at=20)
        work.finish(ledger, held, outcome=compared(held, name), now=after(21))

    results = result_rows(ledger, model_name="cross-check")
    assert [result.status for result in results] == [ResultStatus.FINAL] * 2
    assert {result.study_instance_uid for result in results} == {STUDY}
