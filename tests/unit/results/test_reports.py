"""Report texts as readers see them."""

import pytest

from builders import a_due_report, a_text_model, after, claim, finish, register, submit
from medqueue.errors import NotFoundError
from medqueue.ledger.engine import Ledger
from medqueue.results.history import Progress
from medqueue.results.reports import find_report, list_reports, read_text
from schemas.result import ResultStatus


def test_a_report_is_found_by_our_id_and_by_the_senders(ledger: Ledger) -> None:
    ours = submit(ledger, "Clear.", report_id="R/1 ?", patient_id="P-1", at=2)
    by_ours, by_theirs = find_report(ledger, ours), find_report(ledger, "R/1 ?")
    assert by_ours == by_theirs
    assert (by_ours.id, by_ours.version, by_ours.source) == (ours, 1, "http")
    assert (by_ours.language, by_ours.patient_id) == ("en", "P-1")
    assert by_ours.received_at == after(2)


def test_the_senders_id_leads_to_the_newest_version(ledger: Ledger) -> None:
    first = submit(ledger, "Clear.", report_id="R-1")
    second = submit(ledger, "Not clear.", report_id="R-1", at=5)
    newest = find_report(ledger, "R-1")
    assert newest.id == second
    assert [version.id for version in newest.versions] == [first, second]
    assert find_report(ledger, first).version == 1


def test_its_state_follows_the_work(ledger: Ledger) -> None:
    work_id = a_due_report(ledger, report_id="R-1")
    assert find_report(ledger, "R-1").state is Progress.WAITING
    held = claim(ledger, work_id)
    assert find_report(ledger, "R-1").state is Progress.RUNNING
    finish(ledger, held)
    done = find_report(ledger, "R-1")
    assert done.state is Progress.DONE
    assert [record.id for record in done.work] == [work_id]
    assert [result.status for result in done.results] == [ResultStatus.FINAL]


def test_the_text_comes_back_exactly(ledger: Ledger) -> None:
    text = "  Éffusion\r\n\t“右肺”\U0001f600 \n"
    assert read_text(ledger, submit(ledger, text)) == text


@pytest.mark.parametrize("unknown", ["", "R-2", "x\x00"])
def test_an_unknown_report_is_not_found(ledger: Ledger, unknown: str) -> None:
    submit(ledger, "Clear.", report_id="R-1")
    with pytest.raises(NotFoundError):
        find_report(ledger, unknown)


def test_the_list_has_the_newest_first_in_pages(ledger: Ledger) -> None:
    register(ledger, a_text_model())
    for number in range(3):
        submit(ledger, f"Text {number}.", report_id=f"R-{number}")
    first, cursor = list_reports(ledger, limit=2)
    assert [(report.report_id, report.state) for report in first] == [
        ("R-2", Progress.WAITING),
        ("R-1", Progress.WAITING),
    ]
    rest, end = list_reports(ledger, after=cursor, limit=2)
    assert [report.report_id for report in rest] == ["R-0"]
    assert end is None
