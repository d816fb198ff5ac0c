"""Queue names, in one place: a queue for each stage and urgency, and who consumes which."""

from enum import StrEnum

from schemas.work import Priority, Stage


class Role(StrEnum):
    """The two kinds of worker."""

    CPU = "cpu"
    """Preprocessing and texts, in processes."""
    GPU = "gpu"
    """Image models, in threads; on the CPU where there is no GPU."""


STAGES: dict[Role, tuple[Stage, ...]] = {
    Role.CPU: (Stage.PREPARE_SERIES, Stage.DIAGNOSE_REPORT, Stage.CROSS_CHECK),
    Role.GPU: (Stage.DIAGNOSE_IMAGE,),
}


def queue_name(stage: Stage, priority: Priority) -> str:
    """Return the name that administrators see in Flower, such as `prepare-series.urgent`."""
    return f"{stage}.{priority.name.lower()}"


def queues_of(role: Role) -> tuple[str, ...]:
    """Return the queues of a worker, the urgent ones first: that is the order it takes from."""
    return tuple(
        queue_name(stage, priority)
        for priority in sorted(Priority, reverse=True)
        for stage in STAGES[role]
    )


QUEUES: tuple[str, ...] = tuple(queue for role in Role for queue in queues_of(role))
