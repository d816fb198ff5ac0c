"""The audit: each way of losing or doubling an input is found in the ledger."""

from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from builders import (
    a_due_report,
    a_due_series,
    claim,
    complete,
    fail,
    finish,
    receive,
    submit,
)
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import instances, results, work
from medqueue.operate.audit import Audit, audit
from medqueue.storage.instances import InstanceStore


def look(ledger: Ledger, folder: Path) -> Audit:
    return audit(ledger, folder)


def lose_results(ledger: Ledger) -> None:
    with ledger.write() as connection:
        connection.execute(delete(results))


def test_an_empty_ledger_passes(ledger: Ledger, tmp_path: Path) -> None:
    assert look(ledger, tmp_path).passed


def test_open_work_is_not_lost(ledger: Ledger, tmp_path: Path) -> None:
    a_due_report(ledger)

    found = look(ledger, tmp_path)

    assert found.passed
    assert (found.reports, found.open_inputs, found.results) == (1, 1, 0)


def test_final_failed_and_skipped_inputs_are_accounted_for(ledger: Ledger, tmp_path: Path) -> None:
    submit(ledger, "Nothing is released yet: this one is skipped.")
    finish(ledger, claim(ledger, a_due_report(ledger)))
    fail(ledger, claim(ledger, a_due_report(ledger)))

    found = look(ledger, tmp_path)

    assert found.passed
    assert (found.reports, found.open_inputs, found.results) == (3, 0, 3)


def test_a_report_whose_result_vanished_is_lost(ledger: Ledger, tmp_path: Path) -> None:
    finish(ledger, claim(ledger, a_due_report(ledger)))
    lose_results(ledger)

    found = look(ledger, tmp_path)

    assert not found.passed
    assert len(found.lost) == 1


def test_a_series_whose_work_vanished_is_lost(ledger: Ledger, tmp_path: Path) -> None:
    a_due_series(ledger)
    with ledger.write() as connection:
        connection.execute(delete(work))

    assert len(look(ledger, tmp_path).lost) == 1


def test_a_study_that_is_still_received_is_open(ledger: Ledger, tmp_path: Path) -> None:
    receive(ledger)

    found = look(ledger, tmp_path)

    assert found.lost == ()
    assert found.open_inputs == 1


def test_two_results_for_one_content_are_doubled(sqlite_ledger: Ledger, tmp_path: Path) -> None:
    finish(sqlite_ledger, claim(sqlite_ledger, a_due_report(sqlite_ledger)))
    with sqlite_ledger.write() as connection:
        # The unique key forbids it, so it has to go first.
        connection.execute(text("CREATE TABLE copy AS SELECT * FROM results"))
        connection.execute(text("INSERT INTO copy SELECT * FROM results"))
        connection.execute(text("DROP VIEW IF EXISTS findings_flat"))
        connection.execute(text("DROP VIEW results_feed"))
        connection.execute(text("DROP TABLE results"))
        connection.execute(text("ALTER TABLE copy RENAME TO results"))

    assert len(look(sqlite_ledger, tmp_path).doubled) == 1


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_an_instance_whose_file_is_not_as_accepted_is_missing(
    sqlite_ledger: Ledger, tmp_path: Path, damage: str
) -> None:
    store = InstanceStore(tmp_path, min_free_mib=0)
    with store.receive(b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0\0\0\0\0") as incoming:
        incoming.write(b"the data set")
        stored = incoming.keep()
    receive(sqlite_ledger)
    complete(sqlite_ledger)
    with sqlite_ledger.write() as connection:
        connection.execute(update(instances).values(path=stored.path, sha256=stored.sha256))
    assert look(sqlite_ledger, tmp_path).missing_files == ()

    if damage == "gone":
        store.path_of(stored.path).unlink()
    else:
        store.path_of(stored.path).write_bytes(b"another")

    assert len(look(sqlite_ledger, tmp_path).missing_files) == 1
