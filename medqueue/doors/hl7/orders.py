"""From a message to the orders in it: what they say of studies and reports to come."""

from dataclasses import dataclass

from pydantic import ValidationError

from medqueue.doors.hl7 import fields
from medqueue.doors.hl7.groups import Group, groups
from medqueue.doors.hl7.message import Message
from medqueue.errors import NotHl7Error
from schemas.order import OrderSubmission

_CANCELLING = frozenset({"CA", "CR", "DC", "DR", "OC", "OD"})
"""ORC-1, table 0119: cancelled or discontinued, by either side."""


@dataclass(frozen=True, slots=True)
class KeyedOrder:
    """An order, and the key under which it is never taken twice."""

    submission: OrderSubmission
    key: str


def read_orders(message: Message) -> list[KeyedOrder]:
    """Return the orders of a message, in their order.

    Raises:
        NotHl7Error: there is none in it.
        RefusedInputError: an identifier is not one that can be kept.
    """
    found = [one for one in groups(message) if one.order is not None]
    if not found:
        raise NotHl7Error("an order has a segment OBR (HL7 v2 section 4.5.3)")
    alone = len(found) == 1
    return [
        KeyedOrder(_order(one, message, alone=alone), fields.key(message, number))
        for number, one in enumerate(found)
    ]


def _order(group: Group, message: Message, *, alone: bool) -> OrderSubmission:
    patient_id, issuer = fields.patient_id(group.patient)
    control = fields.first((group.common_order, 1)) or ""
    # IPC and ZDS stand for the whole message.
    procedure = message.first("IPC") if alone else None
    try:
        return OrderSubmission(
            placer_number=fields.first((group.order, 2), (group.common_order, 2)),
            filler_number=fields.first((group.order, 3), (group.common_order, 3)),
            accession_number=fields.first(
                (group.order, 18), (procedure, 1), (group.order, 3), (group.common_order, 3)
            ),
            study_instance_uid=fields.study_uid(message) if alone else None,
            patient_id=patient_id,
            patient_id_issuer=issuer,
            urgent=fields.is_urgent(group),
            is_cancelled=control.upper() in _CANCELLING,
        )
    except ValidationError as error:
        raise fields.refusal(error) from None
