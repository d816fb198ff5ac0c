"""Migrations: from nothing to the newest schema, on both databases."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from medqueue.errors import ConfigurationError
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import metadata
from schemas.result import Result

FEED_COLUMNS = [
    "seq",
    "id",
    "kind",
    "status",
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uids",
    "accession_number",
    "patient_id",
    "report_id",
    "model",
    "findings",
    "error",
    "received_at",
    "completed_at",
    "report_status",
    "receipt",
    "cautions",
]
"""Of the contract: integrators read them by SQL, so they may only grow at the end."""

UPGRADE = """
import sys
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
ledger = open_ledger(sys.argv[1])
input()  # both have started, and now go on together
schema.upgrade(ledger)
print(*schema.current(ledger))
"""


@pytest.fixture
def empty(empty_database_url: str) -> Ledger:
    return open_ledger(empty_database_url)


def test_an_empty_database_is_brought_to_the_newest_schema(empty: Ledger) -> None:
    has, wants = schema.current(empty)
    assert has is None

    schema.upgrade(empty)

    assert schema.current(empty) == (wants, wants)
    tables = set(inspect(empty.engine).get_table_names())
    assert tables == {*metadata.tables, "alembic_version"}
    empty.close()


def test_the_migrations_build_exactly_what_the_code_expects(ledger: Ledger) -> None:
    with ledger.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_index_of_the_code_is_there(ledger: Ledger) -> None:
    found = inspect(ledger.engine)
    for table in metadata.sorted_tables:
        built = {index["name"] for index in found.get_indexes(table.name)}
        assert {index.name for index in table.indexes} <= built


def test_upgrading_twice_changes_nothing(ledger: Ledger) -> None:
    before = schema.current(ledger)
    schema.upgrade(ledger)
    assert schema.current(ledger) == before


def test_an_upgrade_that_breaks_leaves_the_schema_as_it_was(
    empty: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_after_upgrading(*arguments: object) -> None:
        upgrade(*arguments)
        raise ZeroDivisionError

    upgrade = schema.command.upgrade
    monkeypatch.setattr(schema.command, "upgrade", break_after_upgrading)
    with pytest.raises(ZeroDivisionError):
        schema.upgrade(empty)

    assert inspect(empty.engine).get_table_names() == []
    empty.close()


def test_two_processes_that_upgrade_at_once_both_succeed(empty_database_url: str) -> None:
    command = [sys.executable, "-c", UPGRADE, empty_database_url]
    both = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in both]

    head = ScriptDirectory.from_config(schema._configuration()).get_current_head()
    assert [out.split() for out, _ in ends] == [[head, head]] * 2, ends


def test_the_feed_has_the_columns_of_the_contract_in_their_order(ledger: Ledger) -> None:
    with ledger.read() as connection:
        found = list(connection.execute(text("SELECT * FROM results_feed")).keys())

    assert found == FEED_COLUMNS
    assert list(Result.model_fields) == FEED_COLUMNS


def test_a_ledger_of_another_schema_is_refused_with_the_cure(empty: Ledger) -> None:
    with pytest.raises(ConfigurationError, match=r"schema is missing.*medqueue db upgrade"):
        schema.require_current(empty)
    schema.upgrade(empty)
    schema.require_current(empty)
    with empty.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="schema is 9999"):
        schema.require_current(empty)
    empty.close()


def test_there_is_one_line_of_migrations() -> None:
    assert len(ScriptDirectory.from_config(schema._configuration()).get_heads()) == 1
