"""Work: the one table of transitions, and names on the wire that never change."""

from schemas.work import TASK_NAMES, TRANSITIONS, Priority, Stage, WorkState


def test_the_table_of_transitions_knows_every_state() -> None:
    assert TRANSITIONS.keys() == set(WorkState)


def test_every_state_can_be_left_and_work_in_every_state_can_come_to_an_end() -> None:
    def reaches_done(start: WorkState) -> bool:
        seen, ahead = set(), {start}
        while ahead:
            seen |= ahead
            ahead = {after for state in ahead for after in TRANSITIONS[state]} - seen
        return WorkState.DONE in seen

    assert all(reaches_done(state) for state in WorkState)


def test_only_a_failure_can_be_discarded() -> None:
    before = [state for state, after in TRANSITIONS.items() if WorkState.DISCARDED in after]
    assert before == [WorkState.FAILED]


def test_names_on_the_wire_stay_because_messages_wait_through_an_upgrade() -> None:
    assert TASK_NAMES == {
        Stage.PREPARE_SERIES: "medqueue.prepare_series",
        Stage.DIAGNOSE_IMAGE: "medqueue.diagnose_image",
        Stage.DIAGNOSE_REPORT: "medqueue.diagnose_report",
        Stage.CROSS_CHECK: "medqueue.cross_check",
        Stage.SHADOW_IMAGE: "medqueue.shadow_image",
        Stage.SHADOW_REPORT: "medqueue.shadow_report",
    }


def test_urgent_is_more_than_routine() -> None:
    assert Priority.URGENT > Priority.ROUTINE
