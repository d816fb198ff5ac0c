"""Results: numbered in the order of commit, so that no reader ever misses one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, event, select, text

from builders import (
    NOW,
    a_final,
    a_header,
    a_text_model,
    after,
    an_image_model,
    claim,
    complete,
    only,
    receive,
    register,
    result_rows,
    submit,
    work_rows,
)
from medqueue.ledger import results, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import results as results_table
from schemas.finding import Evidence, Finding, Presence
from schemas.result import Outcome, ResultKind, ResultStatus

FINAL = Outcome(status=ResultStatus.FINAL, model=a_text_model().reference())


def append(connection: Connection, subject: str, digest: str = "d", **more: object) -> None:
    outcome = FINAL.model_copy(update=more)
    results.append(connection, ResultKind.TEXT, subject, digest, outcome, now=NOW)


def seqs_after(ledger: Ledger, last: int) -> list[int]:
    with ledger.read() as connection:
        statement = select(results_table.c.seq).where(results_table.c.seq > last)
        return list(connection.execute(statement.order_by(results_table.c.seq)).scalars())


def test_a_reader_that_follows_the_feed_misses_no_result_of_eight_writers(ledger: Ledger) -> None:
    subjects = [submit(ledger) for _ in range(8)]  # no model: each leaves a `skipped` result
    rounds = range(6)
    seen: list[int] = []
    written = threading.Event()

    def read() -> None:
        while True:
            last_look = written.is_set()
            seen.extend(seqs_after(ledger, seen[-1] if seen else 0))
            if last_look:
                return

    def write(number: int) -> None:
        pause = threading.Event()
        for turn in rounds:
            with ledger.write() as connection:
                append(connection, subjects[number], digest=f"{turn}")
                # Between its number and its commit; without order, later numbers overtake here.
                pause.wait(0.001 * ((number * 5 + turn * 3) % 7))

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    written.set()
    reader.join()

    assert seen == seqs_after(ledger, 0)
    assert len(seen) == 8 * (1 + len(rounds))


def test_a_number_is_not_given_out_while_a_smaller_one_is_uncommitted(
    postgresql_ledger: Ledger,
) -> None:
    """The race above, step by step: the second writer waits until the first has committed."""
    first, second = submit(postgresql_ledger), submit(postgresql_ledger)
    before = seqs_after(postgresql_ledger, 0)
    asked, done = threading.Event(), threading.Event()

    def overtake() -> None:
        with postgresql_ledger.write() as connection:
            asked.set()
            append(connection, second)
        done.set()

    overtaker = threading.Thread(target=overtake)
    with postgresql_ledger.write() as connection:
        append(connection, first)
        overtaker.start()
        asked.wait(10)
        overtook = done.wait(0.3)
        visible = seqs_after(postgresql_ledger, before[-1])
    overtaker.join()

    assert not overtook
    assert visible == []
    assert [row.subject_id for row in result_rows(postgresql_ledger)[2:]] == [first, second]


def test_an_input_has_one_result_for_each_version_content_and_round(ledger: Ledger) -> None:
    report = submit(ledger)
    other_version = a_text_model(version="2.0.0").reference()
    with ledger.write() as connection:
        append(connection, report)
        append(connection, report, status=ResultStatus.FAILED)
        append(connection, report, model=other_version)
        append(connection, report, digest="other")
        results.append(connection, ResultKind.TEXT, report, "d", FINAL, now=NOW, round_=1)

    assert [
        (row.model_version, row.input_digest, row.round, row.status)
        for row in result_rows(ledger)[1:]
    ] == [
        ("1.0.0", "d", 0, "final"),
        ("2.0.0", "d", 0, "final"),
        ("1.0.0", "other", 0, "amended"),
        ("1.0.0", "d", 1, "amended"),
    ]


def test_findings_come_back_as_they_were_concluded(ledger: Ledger) -> None:
    finding = Finding(
        label="胸腔积液",
        presence=Presence.UNCERTAIN,
        evidence=(Evidence(start=3, end=9, text="“possible” 🫁"),),
    )
    report = submit(ledger)
    with ledger.write() as connection:
        append(connection, report, findings=(finding,))

    stored = result_rows(ledger)[1]
    assert [Finding.model_validate(found) for found in stored.findings] == [finding]
    assert stored.sop_instance_uids == []


def test_no_error_is_null_and_not_the_json_of_null(ledger: Ledger) -> None:
    report = submit(ledger)
    with ledger.write() as connection:
        append(connection, report)
    with ledger.read() as connection:
        without = connection.execute(text("SELECT seq FROM results_feed WHERE error IS NULL"))
        assert len(without.all()) == 1


def test_a_study_planned_again_and_a_worker_that_ends_do_not_wait_for_each_other(
    postgresql_ledger: Ledger,
) -> None:
    """The worker holds its row and wants the feed; planning must not hold the feed and want it."""
    ledger = postgresql_ledger
    register(ledger, an_image_model())
    receive(ledger, a_header(series=1, modality="SR"))  # planned first, and skipped
    receive(ledger, a_header(series=2))
    complete(ledger)
    held = claim(ledger, only(work_rows(ledger)).id)
    receive(ledger, a_header(series=3, modality="SR"), at=11)
    holds_its_row, planning_appends = threading.Event(), threading.Event()

    def end_work() -> None:
        with ledger.write() as connection:
            row = work._change(connection, held, work._FINISH, now=after(12))
            holds_its_row.set()
            planning_appends.wait(0.5)
            work.append_result(connection, row, a_final(held), now=after(12))

    @event.listens_for(ledger.engine, "after_cursor_execute")
    def watch(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "pg_advisory_xact_lock" in statement:
            planning_appends.set()

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end_work)
        assert holds_its_row.wait(10)
        complete(ledger, at=30)
        ending.result()

    assert sorted(row.status for row in result_rows(ledger)) == ["final", "skipped", "skipped"]


@pytest.mark.parametrize("status", [ResultStatus.SKIPPED, ResultStatus.FAILED])
def test_an_earlier_failure_does_not_make_a_result_amended(
    ledger: Ledger, status: ResultStatus
) -> None:
    report = submit(ledger)
    with ledger.write() as connection:
        append(connection, report, digest="before", status=status)
        append(connection, report, digest="after")

    assert result_rows(ledger)[-1].status == "final"
