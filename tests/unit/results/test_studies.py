"""Studies as readers see them."""

import pytest

from builders import (
    a_due_series,
    a_header,
    after,
    an_image_model,
    claim,
    complete,
    fail,
    finish,
    hand_on,
    receive,
    register,
    submit,
    work_rows,
)
from medqueue.errors import NotFoundError
from medqueue.ledger.engine import Ledger
from medqueue.results.history import Progress
from medqueue.results.studies import find_study, list_studies
from schemas.result import ResultKind, ResultStatus
from schemas.study import StudyState
from schemas.work import Stage, WorkState


def test_a_study_tells_what_came_of_every_object(ledger: Ledger) -> None:
    receive(ledger, a_header(instance=1))
    receive(ledger, a_header(instance=1))
    receive(ledger, a_header(instance=1), content="other")
    receive(ledger, a_header(series=2, instance=1, modality="CT"), at=3)
    study = find_study(ledger, "1.2.3")
    assert (study.instances.kept, study.instances.conflict, study.duplicates) == (2, 1, 1)
    assert [(series.modality, series.instances.kept) for series in study.series] == [
        ("CR", 1),
        ("CT", 1),
    ]
    assert (study.received_at, study.last_instance_at) == (after(0), after(3))
    assert (study.state, study.progress) == (StudyState.RECEIVING, Progress.RECEIVING)
    assert study.completed_at is None
    assert study.calling_ae == "PACS"


def test_progress_follows_the_work(ledger: Ledger) -> None:
    work_id = a_due_series(ledger)
    assert find_study(ledger, "1.2.3").progress is Progress.WAITING
    held = claim(ledger, work_id)
    assert find_study(ledger, "1.2.3").progress is Progress.RUNNING
    hand_on(ledger, held)
    assert find_study(ledger, "1.2.3").progress is Progress.WAITING
    (following,) = work_rows(ledger, stage=Stage.DIAGNOSE_IMAGE)
    finish(ledger, claim(ledger, following.id, at=12), at=13)
    study = find_study(ledger, "1.2.3")
    assert (study.state, study.progress) == (StudyState.COMPLETE, Progress.DONE)
    assert study.completed_at == after(10)


def test_the_history_of_work_has_its_model_attempts_and_times(ledger: Ledger) -> None:
    held = claim(ledger, a_due_series(ledger), at=12)
    fail(ledger, held, at=14)
    study = find_study(ledger, "1.2.3")
    (record,) = study.series[0].work
    assert (record.stage, record.state) == (Stage.PREPARE_SERIES, WorkState.FAILED)
    assert (record.model.name, record.model.version) == ("chest", "1.0.0")
    assert (record.attempts, record.max_attempts) == (1, 3)
    assert (record.created_at, record.started_at) == (after(10), after(12))
    assert (record.finished_at, record.next_try_at) == (after(14), None)
    assert record.error is not None
    assert record.error.code == "undecodable"
    assert study.progress is Progress.FAILED
    assert [result.status for result in study.results] == [ResultStatus.FAILED]


def test_a_study_that_no_model_takes_is_done(ledger: Ledger) -> None:
    receive(ledger)
    complete(ledger)
    study = find_study(ledger, "1.2.3")
    assert study.progress is Progress.DONE
    assert [result.status for result in study.results] == [ResultStatus.SKIPPED]


def test_results_on_a_text_about_the_study_stand_with_it(ledger: Ledger) -> None:
    receive(ledger)
    submit(ledger, "Clear.", study_instance_uid="1.2.3")
    assert [result.kind for result in find_study(ledger, "1.2.3").results] == [ResultKind.TEXT]


@pytest.mark.parametrize("uid", ["1.2.4", "", "x", "1.2.3\x00", "1" * 65])
def test_an_unknown_study_is_not_found(ledger: Ledger, uid: str) -> None:
    receive(ledger)
    with pytest.raises(NotFoundError):
        find_study(ledger, uid)


def test_the_list_has_the_newest_first_in_pages(ledger: Ledger) -> None:
    for number in range(5):
        receive(ledger, a_header(f"1.2.{number}"))
    first, cursor = list_studies(ledger, limit=3)
    assert [study.study_instance_uid for study in first] == ["1.2.4", "1.2.3", "1.2.2"]
    rest, end = list_studies(ledger, after=cursor, limit=3)
    assert [study.study_instance_uid for study in rest] == ["1.2.1", "1.2.0"]
    assert end is None


def test_the_list_can_be_narrowed_to_a_state(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    receive(ledger, a_header("1.2.1"))
    complete(ledger)
    receive(ledger, a_header("1.2.2"), at=20)
    receiving, _ = list_studies(ledger, state=StudyState.RECEIVING, limit=9)
    done, _ = list_studies(ledger, state=StudyState.COMPLETE, limit=9)
    assert [study.study_instance_uid for study in receiving] == ["1.2.2"]
    assert [(study.study_instance_uid, study.progress) for study in done] == [
        ("1.2.1", Progress.WAITING)
    ]
