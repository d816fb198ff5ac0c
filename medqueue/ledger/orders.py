"""Orders: what is known of a study before its images and its report come, and what follows of it.

The newest order of a number counts. An urgent one makes its study urgent, whichever of the two
comes first, and the reports that come after it; it names the study of reports that do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    true,
    update,
)

from medqueue.ledger import planning
from medqueue.ledger.engine import insert_if_new
from medqueue.ledger.tables import orders, studies
from schemas.identifiers import new_id
from schemas.order import OrderSubmission
from schemas.study import InstanceHeader
from schemas.work import Priority

_BY_NUMBER = (
    select(orders)
    .where(
        or_(
            *(
                column.in_(bindparam("numbers", expanding=True))
                for column in (
                    orders.c.accession_number,
                    orders.c.filler_number,
                    orders.c.placer_number,
                )
            )
        )
    )
    .order_by(orders.c.id.desc())
)


@dataclass(frozen=True, slots=True)
class ReceivedOrder:
    """An order as a door hands it in."""

    submission: OrderSubmission
    idempotency_key: str
    """What is the same when the sender sends it again; then it changes nothing."""


def record_orders(
    connection: Connection, received: Sequence[ReceivedOrder], *, now: datetime
) -> list[None]:
    """Record orders, and hasten the studies of urgent ones that are here already."""
    insert = insert_if_new(connection, orders)
    for one in received:
        said = one.submission.model_dump(exclude={"urgent"})
        priority = Priority.URGENT if one.submission.urgent else Priority.ROUTINE
        row = {
            **said,
            "id": new_id(),
            "priority": priority,
            "idempotency_key": one.idempotency_key,
            "received_at": now,
        }
        is_new = connection.execute(insert, row).rowcount == 1
        if is_new and priority is Priority.URGENT and not one.submission.is_cancelled:
            _hasten(connection, one.submission)
    return [None] * len(received)


def priority_of_study(connection: Connection, header: InstanceHeader) -> Priority:
    """Return how urgent the order of a study is that is new; routine where there is none."""
    newest = connection.execute(
        select(orders.c.priority, orders.c.is_cancelled)
        .where(_belongs(orders, header))
        .order_by(orders.c.id.desc())
        .limit(1)
    ).first()
    if newest is None or newest.is_cancelled:
        return Priority.ROUTINE
    return Priority(newest.priority)


def complete_reports(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Give new reports what their orders know and they do not: study, accession number, urgency."""
    numbers = {number for row in rows for number in _numbers(row)}
    if not numbers:
        return
    found = connection.execute(_BY_NUMBER, {"numbers": sorted(numbers)}).all()
    for row in rows:
        order = next((one for one in found if _is_order_of(one, row)), None)
        if order is None or order.is_cancelled:
            continue
        for name in ("study_instance_uid", "accession_number"):
            row[name] = row[name] or getattr(order, name)
        row["priority"] = max(row["priority"], order.priority)


def _numbers(row: Mapping[str, Any]) -> set[str]:
    return {number for number in (row["accession_number"], row["report_id"]) if number}


def _is_order_of(order: Row[Any], report: Mapping[str, Any]) -> bool:
    issuers = {
        (issuer or "").lower() for issuer in (order.patient_id_issuer, report["patient_id_issuer"])
    } - {""}
    return (
        order.patient_id is not None
        and order.patient_id == report["patient_id"]
        and len(issuers) <= 1
        and not _numbers(report).isdisjoint(
            {order.accession_number, order.filler_number, order.placer_number}
        )
    )


def _hasten(connection: Connection, order: OrderSubmission) -> None:
    found = connection.execute(
        select(studies.c.id).where(studies.c.priority < Priority.URGENT, _belongs(studies, order))
    )
    for study_id in found.scalars().all():
        connection.execute(
            update(studies).where(studies.c.id == study_id).values(priority=Priority.URGENT)
        )
        planning.raise_work(connection, study_id, priority=Priority.URGENT)


def _belongs(table: Table, other: InstanceHeader | OrderSubmission) -> ColumnElement[bool]:
    """Tell which rows are the partners of a study or an order.

    By the rule of `linking`: what one of the two does not say joins nothing, but for the issuer.
    """
    rules: list[ColumnElement[bool]] = [false()]
    if other.study_instance_uid is not None:
        rules.append(table.c.study_instance_uid == other.study_instance_uid)
    if other.accession_number is not None and other.patient_id is not None:
        issuer = (other.patient_id_issuer or "").lower()
        rules.append(
            and_(
                table.c.accession_number == other.accession_number,
                table.c.patient_id == other.patient_id,
                func.coalesce(func.lower(table.c.patient_id_issuer), issuer) == issuer
                if issuer
                else true(),
            )
        )
    return or_(*rules)
