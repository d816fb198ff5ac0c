"""Intake: what becomes of a report text that a door records."""

import pytest
from sqlalchemy import select

from builders import (
    a_text_model,
    after,
    claim,
    count,
    finish,
    only,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.errors import IdempotencyConflictError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.report_intake import ReceivedReport, record_reports
from medqueue.ledger.tables import reports
from schemas.report import ReportSubmission
from schemas.work import Priority, Stage, WorkState


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


def record(ledger: Ledger, *received: ReceivedReport) -> list[str]:
    with ledger.write() as connection:
        return record_reports(connection, received, max_attempts=3, now=after(0))


def received(text: str, key: str | None = None, **fields: str) -> ReceivedReport:
    return ReceivedReport(ReportSubmission(text=text, **fields), "hl7", key)


def test_texts_recorded_together_are_as_if_recorded_in_their_order(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    before = record(ledger, received("Old.", report_id="R-1"))

    ids = record(
        ledger,
        received("First.", "k-1", report_id="R-1"),
        received("Second.", "k-2", report_id="R-1"),
        received("First.", "k-1", report_id="R-1"),
        received("Second.", report_id="R-1"),
        received("Old.", report_id="R-2"),
        received("No id."),
    )

    assert (ids[2], ids[3]) == (ids[0], ids[1])
    with ledger.read() as connection:
        versions = dict(connection.execute(select(reports.c.id, reports.c.version)).all())
    assert versions == {before[0]: 1, ids[0]: 2, ids[1]: 3, ids[4]: 1, ids[5]: 1}
    assert {row.subject_id for row in work_rows(ledger)} == set(versions)


def test_a_conflict_leaves_nothing_of_what_is_recorded_together(ledger: Ledger) -> None:
    record(ledger, received("First.", "k-1"))
    with pytest.raises(IdempotencyConflictError):
        record(ledger, received("Another."), received("Second.", "k-1"))
    assert count(ledger, reports) == 1
