"""`medqueue bench feed`: results as workers write them, and figures for each size."""

import pytest

from medqueue.ledger.engine import Ledger
from medqueue.operate.bench import databases, feed
from medqueue.results.feed import newest_seq, read_feed
from schemas.result import ResultStatus


def test_made_up_results_read_as_real_ones_do(ledger: Ledger) -> None:
    feed._fill(ledger, 250)
    page, cursor = read_feed(ledger, after="100", limit=100)
    assert (len(page), cursor, newest_seq(ledger)) == (100, "200", 250)
    assert {result.status for result in page} == {ResultStatus.FINAL}
    assert page[0].findings[0].label == "pneumonia"


def test_few_and_many_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    # PostgreSQL adds nothing here but the time of its start.
    monkeypatch.setattr(databases.importlib.util, "find_spec", lambda _name: None)
    for name, value in {"_FEW": 150, "_MANY": 300, "_POLLS": 3, "_WARM_UP": 1}.items():
        monkeypatch.setattr(feed, name, value)
    rows = feed.run()
    assert [row.case.partition(",")[0] for row in rows] == ["SQLite"] * 4
    for few, many in (rows[:2], rows[2:]):
        assert few.ratio is None
        assert many.against == "150 results"
        assert many.ratio is not None
        assert few.value > 0
