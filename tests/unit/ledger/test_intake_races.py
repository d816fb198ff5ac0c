"""Intake under many senders at once: associations of one study, and retries that overlap."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import IntegrityError

from builders import (
    a_header,
    a_text_model,
    count,
    only,
    receive,
    register,
    study_row,
    submit,
    work_rows,
)
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import instances, reports, series, studies
from schemas.study import Disposition

SENDERS = 6
T = TypeVar("T")


def at_once(send: Callable[[int], T]) -> list[T]:
    """Let all senders begin together; what loses a race is tried again, as admission does."""
    start = threading.Barrier(SENDERS)

    def one(number: int) -> T:
        start.wait()
        for _ in range(SENDERS):
            try:
                return send(number)
            except IntegrityError:
                continue
        return send(number)

    with ThreadPoolExecutor(SENDERS) as pool:
        return list(pool.map(one, range(SENDERS)))


def test_associations_that_open_one_study_together_make_one_study(ledger: Ledger) -> None:
    became = at_once(lambda number: receive(ledger, a_header(instance=number)))

    assert became == [Disposition.KEPT] * SENDERS
    assert (count(ledger, studies), count(ledger, series), count(ledger, instances)) == (
        1,
        1,
        SENDERS,
    )


def test_one_instance_sent_by_all_is_recorded_once(ledger: Ledger) -> None:
    became = Counter(at_once(lambda _: receive(ledger)))

    assert became == {Disposition.KEPT: 1, None: SENDERS - 1}
    assert study_row(ledger).duplicates == SENDERS - 1


def test_of_different_contents_under_one_uid_one_is_kept(ledger: Ledger) -> None:
    became = Counter(at_once(lambda number: receive(ledger, content=str(number))))

    assert became == {Disposition.KEPT: 1, Disposition.CONFLICT: SENDERS - 1}


def test_of_studies_that_share_a_uid_one_keeps_it(ledger: Ledger) -> None:
    def send(number: int) -> Disposition | None:
        header = a_header(study=f"1.{number}", sop_instance_uid="9.9")
        return receive(ledger, header, content=str(number))

    assert Counter(at_once(send)) == {Disposition.KEPT: 1, Disposition.CONFLICT: SENDERS - 1}
    assert count(ledger, studies) == SENDERS


def test_one_text_retried_under_one_key_is_one_report(ledger: Ledger) -> None:
    register(ledger, a_text_model())

    ids = at_once(lambda _: submit(ledger, key="k-1"))

    assert len(set(ids)) == 1
    assert only(work_rows(ledger)).subject_id == ids[0]


def test_corrections_that_come_together_get_a_version_each(ledger: Ledger) -> None:
    ids = at_once(lambda number: submit(ledger, f"Text {number}.", report_id="R-1"))

    assert len(set(ids)) == count(ledger, reports) == SENDERS
