"""The orders of a message, each with what belongs to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from medqueue.doors.hl7.message import Message, Segment


@dataclass(slots=True)
class Group:
    """One order, its observations, and the patient before it."""

    patient: Segment | None
    order: Segment | None = None
    common_order: Segment | None = None
    timing: Segment | None = None
    observations: list[Segment] = field(default_factory=list)


def groups(message: Message) -> Iterator[Group]:
    """Yield the orders of a message, each with its patient and observations.

    A message may hold several patients (section 7.3.1): an order belongs to the one before it.
    """
    patient: Segment | None = None
    common_order: Segment | None = None
    group: Group | None = None
    for segment in message:
        if segment.name in {"PID", "ORC", "OBR"} and group is not None:
            started_by_order = group.order is not None or group.observations
            if segment.name != "OBR" or started_by_order:
                yield group
                group = None
        if segment.name == "PID":
            patient, common_order = segment, None
        elif segment.name == "ORC":
            common_order = segment
        elif segment.name in {"OBR", "OBX", "TQ1"}:
            group = group or Group(patient, common_order=common_order)
            _add(group, segment)
    if group is not None:
        yield group


def _add(group: Group, segment: Segment) -> None:
    if segment.name == "OBR":
        group.order = segment
    elif segment.name == "TQ1":
        group.timing = segment
    else:
        group.observations.append(segment)
