"""What an order says of the study and the report that belong to it."""

from typing import Any

import pytest
from sqlalchemy import select

from builders import (
    a_header,
    a_text_model,
    after,
    an_image_model,
    complete,
    count,
    only,
    receive,
    register,
    submit,
    work_rows,
)
from medqueue.ledger.engine import Ledger
from medqueue.ledger.orders import ReceivedOrder, record_orders
from medqueue.ledger.tables import orders, reports
from medqueue.results.studies import find_study
from schemas.order import OrderSubmission
from schemas.work import Priority

PATIENT = {"patient_id": "P-1"}


def order(ledger: Ledger, key: str = "k-1", **fields: Any) -> None:
    received = ReceivedOrder(OrderSubmission(**{**PATIENT, **fields}), key)
    with ledger.write() as connection:
        record_orders(connection, [received], now=after(0))


def report_row(ledger: Ledger, id_: str) -> Any:
    with ledger.read() as connection:
        return connection.execute(select(reports).where(reports.c.id == id_)).one()


@pytest.mark.parametrize("order_first", [True, False])
@pytest.mark.parametrize("named", [{"accession_number": "A-1"}, {"study_instance_uid": "1.2.3"}])
def test_an_urgent_order_makes_its_study_urgent_whichever_comes_first(
    ledger: Ledger, order_first: bool, named: dict[str, str]
) -> None:
    register(ledger, an_image_model())
    if order_first:
        order(ledger, urgent=True, **named)
    receive(ledger)
    complete(ledger)
    if not order_first:
        order(ledger, urgent=True, **named)
    assert find_study(ledger, "1.2.3").urgent
    assert only(work_rows(ledger)).priority == Priority.URGENT


@pytest.mark.parametrize(
    "fields",
    [
        {"patient_id": "P-2"},
        {"patient_id": None},
        {"patient_id_issuer": "CLINIC"},
        {"accession_number": "A-2"},
        {"urgent": False},
        {"is_cancelled": True},
    ],
)
@pytest.mark.parametrize("order_first", [True, False])
def test_an_order_of_something_else_hastens_nothing(
    ledger: Ledger, fields: dict[str, Any], order_first: bool
) -> None:
    said = {"accession_number": "A-1", "patient_id_issuer": "HOSP", "urgent": True, **fields}
    if order_first:
        order(ledger, **said)
    receive(ledger, a_header(patient_id_issuer="HOSP"))
    if not order_first:
        order(ledger, **said)
    assert not find_study(ledger, "1.2.3").urgent


@pytest.mark.parametrize("order_first", [True, False])
@pytest.mark.parametrize("unsaid", ["accession_number", "patient_id"])
def test_what_neither_of_two_says_joins_nothing(
    ledger: Ledger, order_first: bool, unsaid: str
) -> None:
    said = {"accession_number": "A-1", "placer_number": "PL-1", "urgent": True, unsaid: None}
    if order_first:
        order(ledger, **said)
    receive(ledger, a_header(**{unsaid: None}))
    if not order_first:
        order(ledger, **said)
    assert not find_study(ledger, "1.2.3").urgent


def test_the_newest_order_counts(ledger: Ledger) -> None:
    order(ledger, "k-1", accession_number="A-1", urgent=True)
    order(ledger, "k-2", accession_number="A-1", is_cancelled=True)
    receive(ledger)
    assert not find_study(ledger, "1.2.3").urgent


def test_the_same_order_again_changes_nothing(ledger: Ledger) -> None:
    order(ledger, "k-1", accession_number="A-1")
    receive(ledger)
    order(ledger, "k-1", accession_number="A-1", urgent=True)
    assert count(ledger, orders) == 1
    assert not find_study(ledger, "1.2.3").urgent


@pytest.mark.parametrize("number", ["accession_number", "filler_number", "placer_number"])
def test_a_report_gets_its_study_and_urgency_from_its_order(ledger: Ledger, number: str) -> None:
    register(ledger, a_text_model())
    order(ledger, study_instance_uid="1.2.3", urgent=True, **{number: "N-1"})
    report = submit(ledger, accession_number="N-1", patient_id="P-1")
    row = report_row(ledger, report)
    assert (row.study_instance_uid, row.priority) == ("1.2.3", Priority.URGENT)
    assert only(work_rows(ledger)).priority == Priority.URGENT


def test_a_report_is_believed_before_its_order(ledger: Ledger) -> None:
    order(ledger, study_instance_uid="1.2.3", accession_number="A-1", filler_number="F-1")
    named = submit(ledger, report_id="F-1", study_instance_uid="1.2.9", patient_id="P-1")
    silent = submit(ledger, report_id="F-1", text="Other.", patient_id="P-1")
    stranger = submit(ledger, accession_number="A-1", patient_id="P-2")
    rows = [report_row(ledger, id_) for id_ in (named, silent, stranger)]
    assert [(row.study_instance_uid, row.accession_number) for row in rows] == [
        ("1.2.9", "A-1"),
        ("1.2.3", "A-1"),
        (None, "A-1"),
    ]


def test_a_report_sent_again_after_its_order_is_the_same_report(ledger: Ledger) -> None:
    first = submit(ledger, report_id="F-1", patient_id="P-1")
    order(ledger, study_instance_uid="1.2.3", filler_number="F-1")
    assert submit(ledger, report_id="F-1", patient_id="P-1") == first
