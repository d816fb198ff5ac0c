"""From a message to its orders: each field where senders put it."""

from typing import Any

import pytest

from hl7_sender import UID, a_message
from medqueue.doors.hl7.kinds import Kind, require_kind
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.message import Message
from medqueue.doors.hl7.orders import read_orders
from medqueue.errors import NotHl7Error, RefusedInputError
from schemas.order import OrderSubmission


def read_all(message: str) -> list[OrderSubmission]:
    parsed = Message(message.encode(), default_codec="utf-8", limits=Limits())
    assert require_kind(parsed.header) is Kind.ORDERS
    return [one.submission for one in read_orders(parsed)]


def read(*lines: str, order: str = "OBR|1|PL-1|FI-1", **parts: Any) -> OrderSubmission:
    (one,) = read_all(a_message(*(lines or ("NTE|1",)), order=order, kind="ORM^O01", **parts))
    return one


def test_an_order_of_ihe_names_its_study_and_numbers() -> None:
    order = f"ORC|NW|PL-1|FI-1\rTQ1|1||||||||S^STAT\rOBR|1|PL-1|FI-1|71020^CHEST{'|' * 14}A-1"
    assert read(f"ZDS|{UID}^100^Application^DICOM", order=order) == OrderSubmission(
        placer_number="PL-1",
        filler_number="FI-1",
        accession_number="A-1",
        study_instance_uid=UID,
        patient_id="P-1",
        patient_id_issuer="HOSP",
        urgent=True,
    )


def test_an_imaging_order_has_its_numbers_in_ipc() -> None:
    message = a_message(f"IPC|A-9^RIS|RP-1|{UID}", order="OBR|1|PL-1", kind="OMI^O23")
    (found,) = read_all(message)
    assert (found.accession_number, found.study_instance_uid) == ("A-9", UID)


def test_each_order_of_a_message_keeps_its_own_numbers() -> None:
    found = read_all(
        a_message("ORC|NW\rOBR|2|PL-2|FI-2", f"ZDS|{UID}", kind="ORM^O01", order="OBR|1|PL-1|FI-1")
    )
    assert [one.accession_number for one in found] == ["FI-1", "FI-2"]
    assert {one.study_instance_uid for one in found} == {None}


@pytest.mark.parametrize(
    ("control", "cancelled"),
    [("NW", False), ("XO", False), ("CA", True), ("dc", True), ("", False)],
)
def test_the_order_control_tells_whether_it_is_cancelled(control: str, cancelled: bool) -> None:
    assert read(order=f"ORC|{control}\rOBR|1|PL-1|FI-1").is_cancelled is cancelled


def test_what_is_no_order_is_refused() -> None:
    with pytest.raises(NotHl7Error, match="OBR"):
        read_all(a_message("NTE|1", order="ORC|CA|PL-1", kind="ORM^O01"))
    with pytest.raises(RefusedInputError, match="placer_number"):
        read(order=f"OBR|1|{'x' * 200}")
