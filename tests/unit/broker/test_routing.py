"""Queue names: what administrators see, who consumes which, urgent before routine."""

import pytest

from medqueue.broker.routing import QUEUES, STAGES, TRAINING_QUEUE, Role, queue_name, queues_of
from schemas.work import Priority, Stage


def test_a_queue_is_named_by_its_stage_and_urgency() -> None:
    assert queue_name(Stage.PREPARE_SERIES, Priority.URGENT) == "prepare-series.urgent"
    assert queue_name(Stage.DIAGNOSE_REPORT, Priority.ROUTINE) == "diagnose-report.routine"


def test_each_stage_has_exactly_one_kind_of_worker() -> None:
    assert sorted(stage for stages in STAGES.values() for stage in stages) == sorted(Stage)


def test_every_queue_is_consumed_and_none_is_invented() -> None:
    wanted = {queue_name(stage, priority) for stage in Stage for priority in Priority}
    assert set(QUEUES) == wanted | {TRAINING_QUEUE}
    assert len(QUEUES) == len(wanted) + 1


def test_a_study_never_waits_for_a_training() -> None:
    assert queues_of(Role.TRAIN) == (TRAINING_QUEUE,)
    assert all(TRAINING_QUEUE not in queues_of(role) for role in STAGES)


@pytest.mark.parametrize("role", STAGES)
def test_a_worker_takes_from_all_its_urgent_queues_first(role: Role) -> None:
    urgency = [queue.rpartition(".")[2] for queue in queues_of(role)]
    assert urgency == sorted(urgency, reverse=True)
    assert urgency[0] == "urgent"
