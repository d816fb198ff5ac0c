"""Results over SQL: the views, the queries of the how-to, and a role that reads nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from builders import a_due_report, a_due_series, after, an_outcome, claim, fail, submit
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from schemas.finding import Code, Evidence, Finding, Presence
from schemas.result import ResultStatus

ROOT = Path(__file__).parents[3]
HOWTO = (ROOT / "docs" / "howto" / "read-results.md").read_text(encoding="utf-8")
READER = (ROOT / "deploy" / "sql" / "reader.sql").read_text(encoding="utf-8")
QUERIES = dict(re.findall(r"```sql\n-- (.*?)\n(.*?)```", HOWTO, re.DOTALL))
COLUMNS = [
    *("seq", "position", "result_id", "kind", "status", "study_instance_uid"),
    *("series_instance_uid", "accession_number", "patient_id", "report_id", "model_name"),
    *("model_version", "label", "code_system", "code", "code_display", "presence"),
    *("probability", "threshold", "completed_at"),
]
"""Integrators read them, so they may only grow at the end."""

EFFUSION = Finding(
    label="effusion",
    code=Code(system="http://snomed.info/sct", code="60046008", display="Pleural effusion"),
    probability=0.75,
    threshold=0.5,
    presence=Presence.PRESENT,
)
PNEUMOTHORAX = Finding(
    label="气胸",
    presence=Presence.ABSENT,
    evidence=(Evidence(start=0, end=3, text="无气胸"),),
)


@pytest.fixture
def reader(postgresql_ledger: Ledger) -> Iterator[Ledger]:
    """A ledger whose connections have the rights of the role, dropped afterwards."""
    with postgresql_ledger.write() as connection:
        connection.exec_driver_sql(READER)
    yield postgresql_ledger
    with postgresql_ledger.write() as connection:
        connection.exec_driver_sql("DROP OWNED BY medqueue_reader")
        connection.exec_driver_sql("DROP ROLE medqueue_reader")


def some_results(ledger: Ledger) -> None:
    """One with two findings, one skipped, one failed."""
    image = a_due_series(ledger)
    due = a_due_report(ledger, accession_number="A-9", study_instance_uid="1.2.9")
    held = claim(ledger, due)
    outcome = an_outcome(held, ResultStatus.FINAL)
    found = outcome.model_copy(update={"findings": (EFFUSION, PNEUMOTHORAX)})
    work.finish(ledger, held, outcome=found, now=after(11))
    submit(ledger, "无气胸。", report_id="R-2")
    fail(ledger, claim(ledger, image))


def rows(ledger: Ledger, query: str, **parameters: object) -> list[dict[str, Any]]:
    with ledger.read() as connection:
        return [dict(row) for row in connection.execute(text(query), parameters).mappings()]


def test_each_finding_is_a_row(ledger: Ledger) -> None:
    some_results(ledger)
    first, second = rows(ledger, "SELECT * FROM findings_flat ORDER BY seq, position")
    assert list(first) == COLUMNS
    assert (first["position"], second["position"]) == (1, 2)
    assert (first["label"], first["code"], first["code_display"]) == (
        "effusion",
        "60046008",
        "Pleural effusion",
    )
    assert (first["probability"], first["threshold"]) == (0.75, 0.5)
    assert (first["model_name"], first["model_version"]) == ("report", "1.0.0")
    assert (second["label"], second["presence"]) == ("气胸", "absent")
    assert (second["code"], second["code_system"], second["probability"]) == (None, None, None)
    feed = rows(ledger, "SELECT * FROM results_feed ORDER BY seq")
    same = {name: feed[0][name] for name in COLUMNS if name in feed[0]}
    assert {name: first[name] for name in same} == same
    assert first["result_id"] == feed[0]["id"]


def test_the_how_to_names_every_column() -> None:
    assert ", ".join(f"`{name}`" for name in COLUMNS) in HOWTO


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        (
            "Every present finding with its probability",
            [(1, "A-9", "report", "effusion", 0.75)],
        ),
        (
            "What ended without a diagnosis, and why",
            [
                (2, None, "R-2", "skipped", "no-model-applies"),
                (3, "1.2.3", None, "failed", "undecodable"),
            ],
        ),
        (
            "How often each version of a model says what",
            [
                ("report", "1.0.0", "effusion", "present", 1, 0.75),
                ("report", "1.0.0", "气胸", "absent", 1, None),
            ],
        ),
        (
            "The newest conclusion on each finding of one study",
            [("effusion", "present", 0.75), ("气胸", "absent", None)],
        ),
    ],
)
def test_a_query_of_the_how_to_answers(
    ledger: Ledger, title: str, expected: list[tuple[object, ...]]
) -> None:
    some_results(ledger)
    query = QUERIES[title]
    wanted = {"last": 0, "study": "1.2.9"}
    parameters = {name: value for name, value in wanted.items() if f":{name}" in query}
    found = [tuple(row.values())[: len(expected[0])] for row in rows(ledger, query, **parameters)]
    assert found == expected


def test_every_query_of_the_how_to_is_tested() -> None:
    assert len(QUERIES) == HOWTO.count("```sql") == 4


def test_the_role_reads_the_two_views(reader: Ledger) -> None:
    some_results(reader)
    with reader.read() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE medqueue_reader")
        for view, expected in (("results_feed", 3), ("findings_flat", 2)):
            counted = connection.exec_driver_sql(f"SELECT count(*) FROM {view}")  # noqa: S608
            assert counted.scalar_one() == expected


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT text FROM reports",
        "SELECT * FROM results",
        "SELECT * FROM audit_events",
        "DELETE FROM results_feed",
        "INSERT INTO results_feed (seq) VALUES (9)",
        "CREATE TABLE mine (a int)",
    ],
)
def test_the_role_can_do_nothing_else(reader: Ledger, statement: str) -> None:
    with reader.write() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE medqueue_reader")
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.exec_driver_sql(statement)


def test_the_script_may_run_again(reader: Ledger) -> None:
    with reader.write() as connection:
        connection.exec_driver_sql(READER)
