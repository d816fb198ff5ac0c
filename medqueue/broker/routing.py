"""Queue names, in one place: a queue for each stage and urgency, and who consumes which."""

from enum import StrEnum

from schemas.work import Priority, Stage

TRAINING_QUEUE = "training"
"""Of a role of its own: a training takes hours, and a study must never wait for one."""


class Role(StrEnum):
    """The kinds of worker."""

    CPU = "cpu"
    """Preprocessing and texts, in processes."""
    GPU = "gpu"
    """Image models, in threads; on the CPU where there is no GPU."""
    TRAIN = "train"
    """Trainings, one after another; `medqueue up` starts none."""


STAGES: dict[Role, tuple[Stage, ...]] = {
    Role.CPU: (
        Stage.PREPARE_SERIES,
        Stage.DIAGNOSE_REPORT,
        Stage.CROSS_CHECK,
        Stage.SHADOW_REPORT,
    ),
    Role.GPU: (Stage.DIAGNOSE_IMAGE, Stage.SHADOW_IMAGE),
}
"""Of the workers that diagnose. They take in this order, so shadows come last."""


def queue_name(stage: Stage, priority: Priority) -> str:
    """Return the name that administrators see in Flower, such as `prepare-series.urgent`."""
    return f"{stage}.{priority.name.lower()}"


def queues_of(role: Role) -> tuple[str, ...]:
    """Return the queues of a worker, the urgent ones first: that is the order it takes from."""
    if role is Role.TRAIN:
        return (TRAINING_QUEUE,)
    return tuple(
        queue_name(stage, priority)
        for priority in sorted(Priority, reverse=True)
        for stage in STAGES[role]
    )


QUEUES: tuple[str, ...] = tuple(queue for role in Role for queue in queues_of(role))
"""All of them; Celery knows no other."""
