"""The engine: what a transaction of the ledger promises on either database."""

import multiprocessing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import DBAPIError

from builders import (
    NOW,
    a_header,
    after,
    an_image_model,
    complete,
    count,
    only,
    receive,
    register,
    study_row,
)
from medqueue.errors import ConfigurationError
from medqueue.ledger import audit, engine, schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.ledger.tables import audit_events, series, studies


def record(ledger: Ledger, actor: str = "anna", *, at: datetime = NOW) -> None:
    with ledger.write() as connection:
        audit.record(connection, now=at, actor=actor, action="x")


def test_what_raises_leaves_no_trace(ledger: Ledger) -> None:
    def write_then_raise() -> None:
        with ledger.write() as connection:
            audit.record(connection, now=NOW, actor="anna", action="x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_then_raise()
    assert count(ledger, audit_events) == 0


def test_a_reader_sees_one_state_while_others_write(ledger: Ledger) -> None:
    record(ledger)
    with ledger.read() as connection:
        before = connection.execute(select(audit_events.c.seq)).all()
        record(ledger)
        again = connection.execute(select(audit_events.c.seq)).all()

    assert before == again
    assert count(ledger, audit_events) == 2


def test_writing_in_a_reading_transaction_keeps_nothing(ledger: Ledger) -> None:
    with ledger.read() as connection:
        audit.record(connection, now=NOW, actor="anna", action="x")
    assert count(ledger, audit_events) == 0


def test_a_connection_that_read_can_write_afterwards(ledger: Ledger) -> None:
    for _ in range(3):
        with ledger.read() as connection:
            connection.execute(select(studies.c.id)).all()
        record(ledger)
    with ledger.write() as connection:
        if not ledger.is_sqlite:
            level = connection.execute(text("SHOW transaction_isolation")).scalar_one()
            assert level == "read committed"


def test_a_single_statement_is_kept_without_a_commit(ledger: Ledger) -> None:
    with ledger.statement() as connection:
        audit.record(connection, now=NOW, actor="anna", action="x")
    assert count(ledger, audit_events) == 1


def test_a_rested_connection_that_the_server_has_ended_is_replaced(
    postgresql_ledger: Ledger, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_RESTED_SECONDS", 0.0)
    ledger = postgresql_ledger
    with ledger.read() as one, ledger.read() as other:
        ids = [c.execute(text("SELECT pg_backend_pid()")).scalar_one() for c in (one, other)]
    with psycopg.connect(postgresql_url.replace("+psycopg", "")) as server:
        for pid in ids:
            server.execute("SELECT pg_terminate_backend(%s)", [pid])

    record(ledger)
    record(ledger)
    assert count(ledger, audit_events) == 2


def test_an_instant_comes_back_in_utc_to_the_microsecond(ledger: Ledger) -> None:
    local = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=8)))
    record(ledger, at=local)

    with ledger.read() as connection:
        moment = connection.execute(select(audit_events.c.at)).scalar_one()
    assert moment == local
    assert moment.tzinfo is UTC


def test_instants_sort_by_time_whatever_their_zone(ledger: Ledger) -> None:
    east, west = timezone(timedelta(hours=9)), timezone(timedelta(hours=-8))
    moments = [after(0).astimezone(west), after(0.000001).astimezone(east), after(1)]
    for number, moment in enumerate(moments):
        record(ledger, str(number), at=moment)

    with ledger.read() as connection:
        order = select(audit_events.c.actor).order_by(audit_events.c.at)
        assert list(connection.execute(order).scalars()) == ["0", "1", "2"]


def test_an_instant_without_a_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(Exception, match="needs a time zone"):
        record(ledger, at=datetime(2026, 3, 1))  # noqa: DTZ001 - the fault that is planted


def test_sqlite_is_told_to_wait_for_the_disk_and_for_other_writers(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    with ledger.read() as connection:
        values = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    ledger.close()

    full = 2
    assert values == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
    }


def test_foreign_keys_hold(ledger: Ledger) -> None:
    orphan = {"id": "1", "study_id": "none", "series_instance_uid": "1", "received_at": NOW}
    with pytest.raises(Exception, match=r"(?i)foreign key"), ledger.write() as connection:
        connection.execute(insert(series).values(orphan))


def test_six_processes_that_open_a_new_database_and_write_at_once_all_succeed(
    empty_database_url: str,
) -> None:
    processes, each = 6, 15
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        errors = pool.starmap(_open_and_write, [(empty_database_url, each)] * processes)

    assert errors == [""] * processes
    ledger = open_ledger(empty_database_url)
    assert count(ledger, audit_events) == processes * each
    ledger.close()


def _open_and_write(url: str, times: int) -> str:
    """Runs in a process of its own, as each of a door, a relay and the workers does."""
    ledger = open_ledger(url)
    try:
        schema.upgrade(ledger)
        for number in range(times):
            with ledger.write() as connection:
                connection.execute(select(audit_events.c.seq)).first()
                audit.record(connection, now=NOW, actor=str(number), action="x")
    except Exception as error:  # noqa: BLE001 - it may not cross to the parent as it is
        return f"{type(error).__name__}: {error}"
    finally:
        ledger.close()
    return ""


@pytest.mark.parametrize("url", ["mysql://host/name", "postgres", "", "oracle+what://x"])
def test_another_kind_of_database_is_refused_with_the_cure(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MEDQUEUE_DATABASE_URL"):
        open_ledger(url)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_usual_postgresql_url_is_opened_with_the_driver_we_have(scheme: str) -> None:
    ledger = open_ledger(f"{scheme}://user:secret@host/name")
    assert ledger.engine.url.drivername == "postgresql+psycopg"
    assert "secret" not in repr(ledger.engine)
    ledger.close()


def test_the_folder_of_a_new_sqlite_ledger_is_for_its_owner_alone(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/new/ledger.sqlite3")
    with ledger.write():
        pass
    ledger.close()
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_statements_are_not_repeated_for_each_instance_of_a_series(ledger: Ledger) -> None:
    register(ledger, an_image_model())
    statements = []

    @event.listens_for(ledger.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    costs = []
    for study, instances in (("1.1", 2), ("1.2", 20)):
        for number in range(instances):
            receive(ledger, a_header(study=study, instance=number))
        statements.clear()
        complete(ledger)
        costs.append(len(statements))

    assert costs[0] == costs[1]
    assert only({study_row(ledger, uid).state for uid in ("1.1", "1.2")}) == "complete"


def test_an_sql_error_does_not_list_what_was_to_be_written(ledger: Ledger) -> None:
    refused = text("INSERT INTO studies (no_such_column) VALUES (:patient)")

    with pytest.raises(DBAPIError) as raised, ledger.write() as connection:
        connection.execute(refused, {"patient": "MUSTERMANN"})

    assert "MUSTERMANN" not in str(raised.value)
