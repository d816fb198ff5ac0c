"""Intake: what becomes of an instance or a text that a door records."""

import pytest
from sqlalchemy import select

from builders import (
    a_header,
    a_text_model,
    after,
    an_image_model,
    claim,
    complete,
    count,
    finish,
    only,
    receive,
    register,
    result_rows,
    study_row,
    submit,
    work_rows,
)
from medqueue.errors import IdempotencyConflictError
from medqueue.ledger import dispatch
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import audit_events, instances, reports, series, studies
from schemas.report import ReportSubmission
from schemas.study import Disposition, StudyState
from schemas.work import Priority, Stage, WorkState


def test_the_first_instance_opens_the_study(ledger: Ledger) -> None:
    assert receive(ledger, at=3) is Disposition.KEPT

    study = study_row(ledger)
    assert study.state == StudyState.RECEIVING
    assert study.received_at == study.last_instance_at == after(3)
    assert (study.patient_id, study.accession_number, study.calling_ae) == ("P-1", "A-1", "PACS")
    assert count(ledger, series) == count(ledger, instances) == 1


def test_further_instances_join_the_study_and_prolong_its_wait(ledger: Ledger) -> None:
    receive(ledger)
    receive(ledger, a_header(instance=2), at=1)
    receive(ledger, a_header(series=2), at=2)

    assert (count(ledger, studies), count(ledger, series), count(ledger, instances)) == (1, 2, 3)
    assert study_row(ledger).last_instance_at == after(2)


def test_an_exact_duplicate_changes_nothing_but_its_count(ledger: Ledger) -> None:
    receive(ledger)
    before = study_row(ledger)

    assert receive(ledger, at=3) is None

    now = study_row(ledger)
    assert now.duplicates == 1
    assert {**now._mapping, "duplicates": 0} == {**before._mapping}
    assert count(ledger, instances) == 1


def test_a_duplicate_does_not_reopen_a_complete_study(ledger: Ledger) -> None:
    receive(ledger)
    complete(ledger)

    receive(ledger, at=20)

    assert study_row(ledger).state == StudyState.COMPLETE


def test_other_content_under_the_same_uid_is_kept_as_a_conflict_and_flagged(
    ledger: Ledger,
) -> None:
    receive(ledger, content="one")

    assert receive(ledger, content="other") is Disposition.CONFLICT

    with ledger.read() as connection:
        kept = connection.execute(select(instances.c.disposition, instances.c.sha256)).all()
        events = connection.execute(select(audit_events)).all()
    assert sorted(row.disposition for row in kept) == ["conflict", "kept"]
    event = only(events)
    assert (event.action, event.actor) == ("instance-conflict", "PACS")
    assert event.subject_id == study_row(ledger).id


def test_a_conflict_sent_again_is_a_duplicate(ledger: Ledger) -> None:
    receive(ledger, content="one")
    receive(ledger, content="other")

    assert receive(ledger, content="other") is None
    assert receive(ledger, content="one") is None
    assert (count(ledger, instances), count(ledger, audit_events)) == (2, 1)


def test_a_uid_taken_in_another_study_is_a_conflict_there(ledger: Ledger) -> None:
    receive(ledger, a_header(study="1.1", sop_instance_uid="9.9"), content="one")

    second = receive(ledger, a_header(study="1.2", sop_instance_uid="9.9"), content="other")

    assert second is Disposition.CONFLICT
    assert count(ledger, studies) == 2


def test_an_urgent_instance_raises_its_study_for_good(ledger: Ledger) -> None:
    receive(ledger)
    receive(ledger, a_header(instance=2, priority=Priority.URGENT))
    receive(ledger, a_header(instance=3))

    assert study_row(ledger).priority == Priority.URGENT


@pytest.mark.parametrize("published", [False, True])
def test_an_urgent_copy_raises_work_that_waits(ledger: Ledger, *, published: bool) -> None:
    register(ledger, an_image_model())
    receive(ledger)
    complete(ledger)
    if published:
        dispatch.take_unpublished(ledger, limit=10, now=after(10))

    receive(ledger, a_header(priority=Priority.URGENT), at=11)

    raised = only(dispatch.take_unpublished(ledger, limit=10, now=after(11)))
    assert raised.priority is Priority.URGENT


def test_a_text_is_recorded_with_its_work_at_once(ledger: Ledger) -> None:
    register(ledger, a_text_model())

    report = submit(ledger, "No effusion.", patient_id="P-1", urgent=True, at=2)

    row = only(work_rows(ledger))
    assert (row.subject_id, row.stage, row.state) == (
        report,
        Stage.DIAGNOSE_REPORT,
        WorkState.PENDING,
    )
    assert (row.priority, row.next_try_at) == (Priority.URGENT, after(2))


def test_the_same_report_id_with_the_same_text_is_the_same_report(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    first = submit(ledger, "No effusion.", report_id="R-1")

    assert submit(ledger, "No effusion.", report_id="R-1", at=9) == first
    assert count(ledger, reports) == 1
    assert len(work_rows(ledger)) == 1


def test_the_same_report_id_with_another_text_is_its_next_version(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    first = submit(ledger, "No effusion.", report_id="R-1")
    second = submit(ledger, "Small effusion.", report_id="R-1")

    assert second != first
    with ledger.read() as connection:
        versions = dict(connection.execute(select(reports.c.id, reports.c.version)).all())
    assert versions == {first: 1, second: 2}
    assert len(work_rows(ledger)) == 2


def test_texts_without_an_id_are_each_a_report_of_their_own(ledger: Ledger) -> None:
    assert submit(ledger) != submit(ledger)


def test_the_same_idempotency_key_gives_the_same_report(ledger: Ledger) -> None:
    first = submit(ledger, key="k-1")

    assert submit(ledger, key="k-1") == first
    assert count(ledger, reports) == 1


def test_an_idempotency_key_with_other_content_is_refused(ledger: Ledger) -> None:
    submit(ledger, "No effusion.", key="k-1")

    with pytest.raises(IdempotencyConflictError, match="use a new key"):
        submit(ledger, "Small effusion.", key="k-1")
    assert count(ledger, reports) == 1


def test_the_language_of_a_text_is_guessed_where_the_sender_does_not_say(ledger: Ledger) -> None:
    submit(ledger, "双肺未见异常。")
    submit(ledger, "Lungs clear.")
    submit(ledger, "Poumons clairs.", language="fr")

    with ledger.read() as connection:
        languages = connection.execute(select(reports.c.language)).scalars().all()
    assert sorted(languages) == ["en", "fr", "zh"]


def test_a_text_comes_back_as_it_was_sent(ledger: Ledger) -> None:
    text = "  FINDINGS:\r\n\t双肺 — “clear” 🫁\n "
    submit(ledger, text)

    with ledger.read() as connection:
        assert connection.execute(select(reports.c.text)).scalar_one() == text


def test_a_text_no_model_reads_is_skipped_with_the_reason(ledger: Ledger) -> None:
    register(ledger, a_text_model())

    submit(ledger, "双肺未见异常。")

    result = only(result_rows(ledger))
    assert (result.kind, result.status) == ("text", "skipped")
    assert result.error["code"] == "no-model-applies"
    assert "language ZH" in result.error["detail"]


def test_a_correction_ends_as_amended_under_the_same_report_id(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    for text in ("No effusion.", "Small effusion."):
        submit(ledger, text, report_id="R-1")
        finish(ledger, claim(ledger, work_rows(ledger, state=WorkState.PENDING)[0].id))

    assert [(row.report_id, row.status) for row in result_rows(ledger)] == [
        ("R-1", "final"),
        ("R-1", "amended"),
    ]


def test_a_submission_refuses_what_postgresql_cannot_keep() -> None:
    for field in ("text", "report_id", "patient_id", "accession_number"):
        with pytest.raises(ValueError, match=field):
            ReportSubmission(**{"text": "fine", field: "with\x00NUL"})
