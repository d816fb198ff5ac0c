"""The feed: each result once, in order, whatever cursor a reader comes with."""

import pytest

from builders import (
    a_due_report,
    a_due_series,
    a_text_model,
    after,
    an_image_model,
    claim,
    finish,
    register,
    submit,
    work_rows,
)
from medqueue.errors import CursorError
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from medqueue.results.feed import newest_seq, read_feed, results_of_reports
from schemas.finding import Code, Evidence, Finding, Presence
from schemas.result import Outcome, ResultKind, ResultStatus

PNEUMONIA = Finding(
    label="pneumonia",
    code=Code(system="http://snomed.info/sct", code="233604007", display="Pneumonia"),
    probability=0.25,
    threshold=0.5,
    presence=Presence.ABSENT,
    evidence=(Evidence(start=0, end=3, text="肺炎!"),),
)


def some_results(ledger: Ledger, count: int) -> None:
    """Texts that no model reads, so that each has its `skipped` result at once."""
    for number in range(count):
        submit(ledger, f"Text {number}.", report_id=f"R-{number}")


def test_an_empty_feed_has_a_cursor_that_can_be_used(ledger: Ledger) -> None:
    assert read_feed(ledger, after=None, limit=10) == ([], "0")
    some_results(ledger, 1)
    page, _ = read_feed(ledger, after="0", limit=10)
    assert len(page) == 1


def test_pages_join_to_the_whole_feed(ledger: Ledger) -> None:
    some_results(ledger, 5)
    cursor: str | None = None
    seen = []
    for expected in (2, 2, 1, 0):
        page, cursor = read_feed(ledger, after=cursor, limit=2)
        assert len(page) == expected
        seen += page
    assert [result.report_id for result in seen] == [f"R-{number}" for number in range(5)]
    assert [result.seq for result in seen] == sorted(result.seq for result in seen)


def test_the_end_of_the_feed_keeps_its_cursor(ledger: Ledger) -> None:
    some_results(ledger, 2)
    _, cursor = read_feed(ledger, after=None, limit=10)
    assert read_feed(ledger, after=cursor, limit=10) == ([], cursor)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", " 1", "\u0661", "1" * 19, "1\n"])
def test_a_cursor_of_another_make_is_refused(sqlite_ledger: Ledger, cursor: str) -> None:
    with pytest.raises(CursorError, match="give the `next` of an earlier answer"):
        read_feed(sqlite_ledger, after=cursor, limit=1)


def test_the_greatest_possible_cursor_is_just_the_end(ledger: Ledger) -> None:
    assert read_feed(ledger, after="9" * 18, limit=1) == ([], "9" * 18)


def test_a_result_comes_back_as_it_was_concluded(ledger: Ledger) -> None:
    held = claim(ledger, a_due_series(ledger))
    model = an_image_model().reference()
    outcome = Outcome(
        status=ResultStatus.FINAL,
        model=model,
        sop_instance_uids=("1.2.3.1.1",),
        findings=(PNEUMONIA,),
    )
    work.finish(ledger, held, outcome=outcome, now=after(11))
    page, _ = read_feed(ledger, after=None, limit=1)
    (result,) = page
    assert result.kind is ResultKind.IMAGE
    assert result.findings == (PNEUMONIA,)
    assert result.model == model
    assert result.sop_instance_uids == ("1.2.3.1.1",)
    assert (result.study_instance_uid, result.patient_id) == ("1.2.3", "P-1")
    assert (result.received_at, result.completed_at) == (after(0), after(11))
    assert result.error is None


def test_the_newest_number_grows_with_the_feed(ledger: Ledger) -> None:
    assert newest_seq(ledger) == 0
    finish(ledger, claim(ledger, a_due_report(ledger)))
    page, _ = read_feed(ledger, after=None, limit=1)
    assert newest_seq(ledger) == page[0].seq


def test_results_go_to_the_version_of_the_report_they_are_on(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    first = submit(ledger, "Clear.", report_id="R-1")
    second = submit(ledger, "Not clear.", report_id="R-1")
    for row in work_rows(ledger):
        finish(ledger, claim(ledger, row.id))
    with ledger.read() as connection:
        found = results_of_reports(connection, [first, second])
    assert [result.status for result in found[first]] == [ResultStatus.FINAL]
    assert [result.status for result in found[second]] == [ResultStatus.AMENDED]
