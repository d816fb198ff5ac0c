"""Searching results as FHIR: each parameter finds what it should, on both databases."""

from collections.abc import Iterable

import pytest

from builders import a_due_report, a_due_series, claim, fail, finish, submit
from medqueue.errors import CursorError, NotFoundError, SearchError
from medqueue.ledger.engine import Ledger
from medqueue.results.feed import read_feed
from medqueue.results.fhir import result_uri
from medqueue.results.fhir_search import MAX_COUNT, find_result, parse_search, run_search


def search(ledger: Ledger, *parameters: tuple[str, str]) -> list[str]:
    """The inputs that are found, each as the patient or report it is of."""
    return names(run_search(ledger, parse_search(parameters)).results)


def names(results: Iterable[object]) -> list[str]:
    return [found.report_id or found.patient_id for found in results]  # type: ignore[attr-defined]


def three_results(ledger: Ledger) -> None:
    """Of an image that failed, of a text of accession A-2, and of one that no model reads."""
    fail(ledger, claim(ledger, a_due_series(ledger)), at=11)
    due = a_due_report(
        ledger,
        report_id="R-1",
        accession_number="A-2",
        patient_id="P-2",
        study_instance_uid="1.2.9",
    )
    finish(ledger, claim(ledger, due), at=12.5)
    submit(ledger, "无气胸。", report_id="R-2", at=3600 * 24)


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("", "P-1 R-1 R-2"),
        ("patient=P-1", "P-1"),
        ("patient=|P-1", "P-1"),
        ("patient:identifier=P-2", "R-1"),
        ("subject.identifier=P-2", "R-1"),
        ("patient=urn:other|P-1", ""),
        ("patient=P-1,P-2", "P-1 R-1"),
        ("patient=", ""),
        ("identifier=A-2", "R-1"),
        ("identifier=|A-2", "R-1"),
        ("identifier=R-2", "R-2"),
        ("identifier=urn:other|A-2", ""),
        ("identifier=urn:uuid:no", ""),
        ("identifier=A-2\\,R-2", ""),
        ("study=1.2.3", "P-1"),
        ("study=urn:oid:1.2.9", "R-1"),
        ("study:identifier=urn:dicom:uid|urn:oid:1.2.9", "R-1"),
        ("study=urn:other|1.2.9", ""),
        ("status=final", "R-1"),
        ("status=cancelled", "P-1 R-2"),
        ("status=final,cancelled", "P-1 R-1 R-2"),
        ("status=preliminary", ""),
        ("status=cancelled&patient=P-1", "P-1"),
        ("_lastUpdated=2026-03-01", "P-1 R-1"),
        ("_lastUpdated=ne2026-03-01", "R-2"),
        ("_lastUpdated=2026-03", "P-1 R-1 R-2"),
        ("_lastUpdated=2026", "P-1 R-1 R-2"),
        ("_lastUpdated=gt2026-03-01", "R-2"),
        ("_lastUpdated=ge2026-03-01T12:00:12Z", "R-1 R-2"),
        ("_lastUpdated=gt2026-03-01T12:00:12Z", "R-2"),
        ("_lastUpdated=gt2026-03-01T12:00:12.5Z", "R-2"),
        ("_lastUpdated=gt2026-03-01T12:00:12.4999Z", "R-1 R-2"),
        ("_lastUpdated=2026-03-01T12:00:12.500Z", "R-1"),
        ("_lastUpdated=lt2026-03-01T12:00:12.500Z", "P-1"),
        ("_lastUpdated=le2026-03-01T12:00:12.500Z", "P-1 R-1"),
        ("_lastUpdated=ge2026-03-01T13:00:12+01:00", "R-1 R-2"),
        ("_lastUpdated=ge2026-03-01T13:00:12 01:00", "R-1 R-2"),
        ("_lastUpdated=ge2026-03-01T12:00&_lastUpdated=lt2026-03-01T12:01", "P-1 R-1"),
        ("_format=json&_pretty=true", "P-1 R-1 R-2"),
    ],
)
def test_a_search_finds(ledger: Ledger, parameters: str, found: str) -> None:
    three_results(ledger)
    pairs = [tuple(pair.split("=", 1)) for pair in parameters.split("&") if pair]
    assert search(ledger, *pairs) == found.split()  # type: ignore[arg-type]


def test_a_result_is_found_by_its_own_identifier(ledger: Ledger) -> None:
    three_results(ledger)
    (result, *_), _ = read_feed(ledger, after=None, limit=10)
    for value in (result_uri(result.id), f"urn:ietf:rfc:3986|{result_uri(result.id)}"):
        assert search(ledger, ("identifier", value)) == ["P-1"]
    assert search(ledger, ("_id", result.id)) == ["P-1"]
    assert find_result(ledger, result.id) == result


@pytest.mark.parametrize("unknown", ["x", "\x00", "0" * 32])
def test_an_unknown_id_is_not_found(ledger: Ledger, unknown: str) -> None:
    with pytest.raises(NotFoundError):
        find_result(ledger, unknown)


def test_pages_join_to_all_that_was_found(ledger: Ledger) -> None:
    for number in range(5):
        submit(ledger, "Clear.", report_id=f"R-{number}", patient_id="P")
        submit(ledger, "Clear.", report_id=f"other-{number}")
    seen: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        parameters = [("patient", "P"), ("_count", "2"), ("_cursor", cursor)]
        page = run_search(ledger, parse_search(parameters))
        seen += names(page.results)
        cursor = page.next
    assert seen == [f"R-{number}" for number in range(5)]


def test_pages_of_a_period_join_in_the_order_of_time(ledger: Ledger) -> None:
    """Which is not that of the feed where the clocks of workers differ."""
    for number, at in enumerate([5, 3, 3, 9, 1, 3]):
        submit(ledger, "Clear.", report_id=f"R-{number}", at=at)
    seen: list[str] = []
    cursor: str | None = "0"
    while cursor is not None:
        parameters = [("_lastUpdated", "ge2026-03-01T12:00:02Z"), ("_count", "2")]
        page = run_search(ledger, parse_search([*parameters, ("_cursor", cursor)]))
        seen += names(page.results)
        cursor = page.next
    assert seen == ["R-1", "R-2", "R-5", "R-0", "R-3"]


def test_a_count_of_nothing_asks_how_many_there_are(ledger: Ledger) -> None:
    three_results(ledger)
    page = run_search(ledger, parse_search([("_count", "0"), ("status", "cancelled")]))
    assert (page.results, page.total, page.next) == ([], 2, None)


def test_a_page_has_an_upper_bound() -> None:
    assert parse_search([("_count", "999999")]).count == MAX_COUNT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Zacharias", "1"),
        ("_sort", "-_lastUpdated"),
        ("_include", "*"),
        ("patient", "a\x00"),
        ("status", "done"),
        ("_count", "many"),
        ("_count", "-1"),
        ("_count", "\u0661"),
        ("_format", "xml"),
        ("_lastUpdated", "yesterday"),
        ("_lastUpdated", "sa2026-03-01"),
        ("_lastUpdated", "2026-13-01"),
        ("_lastUpdated", "2026-02-30"),
        ("_lastUpdated", "9999"),
        ("_lastUpdated", "0001-01-01T00:00:00+14:00"),
        ("_lastUpdated", "2026-03-01T12"),
    ],
)
def test_what_is_not_understood_is_refused_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(SearchError) as caught:
        parse_search([(name, value)])
    assert "Zacharias" not in caught.value.detail


def test_a_cursor_of_another_make_is_refused() -> None:
    with pytest.raises(CursorError):
        parse_search([("_cursor", "x")])
