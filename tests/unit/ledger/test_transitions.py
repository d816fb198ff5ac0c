"""Every way through the life of work keeps to the one table of transitions.

Random operations are driven against the ledger, by live workers and by late ones alike; after
each, every row is compared with what it was.
"""

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete

from builders import (
    LEASE,
    a_header,
    a_text_model,
    after,
    an_image_model,
    complete,
    fail,
    finish,
    hand_on,
    receive,
    register,
    result_rows,
    submit,
    try_to_claim,
    work_rows,
)
from medqueue.errors import LeaseLostError, TransitionError
from medqueue.ledger import dispatch, failures, work
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import metadata
from schemas.work import TRANSITIONS, Claim, Priority, Stage, WorkState

INDEX = st.integers(min_value=0, max_value=7)


class LifeOfWork(RuleBasedStateMachine):
    """Doors, relay, workers and an administrator, one step at a time."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self.time = 0.0
        self.held: list[Claim] = []
        self.before: dict[str, Any] = {}
        self.inputs = 0

    @initialize()
    def empty_the_ledger(self) -> None:
        with self.ledger.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        register(self.ledger, an_image_model(), a_text_model())

    @precondition(lambda self: self.inputs < 3)
    @rule(urgent=st.booleans())
    def a_text_comes(self, *, urgent: bool) -> None:
        self.inputs += 1
        submit(self.ledger, urgent=urgent, at=self.time)

    @precondition(lambda self: self.inputs < 3)
    @rule(study=st.integers(1, 2), urgent=st.booleans())
    def an_image_comes(self, study: int, *, urgent: bool) -> None:
        self.inputs += 1
        priority = Priority.URGENT if urgent else Priority.ROUTINE
        header = a_header(study=f"1.{study}", instance=self.inputs, priority=priority)
        receive(self.ledger, header, at=self.time)

    @rule(seconds=st.sampled_from([0.5, 6, LEASE + 1, 400]))
    def time_passes(self, seconds: float) -> None:
        self.time += seconds
        complete(self.ledger, at=self.time)

    @rule()
    def the_relay_looks(self) -> None:
        dispatch.take_unpublished(self.ledger, limit=3, now=after(self.time))
        for stage in Stage:
            for priority in Priority:
                dispatch.take_silent(
                    self.ledger, stage=stage, priority=priority, limit=3, now=after(self.time)
                )

    @rule()
    def the_relay_sweeps(self) -> None:
        dispatch.end_expired_leases(self.ledger, now=after(self.time))

    @rule(index=INDEX)
    def a_worker_claims(self, index: int) -> None:
        rows = work_rows(self.ledger)
        if rows:
            taken = try_to_claim(self.ledger, rows[index % len(rows)].id, at=self.time)
            self.held += [taken] if taken else []

    @precondition(lambda self: self.held)
    @rule(index=INDEX, how=st.sampled_from(["well", "well", "badly", "back", "renew"]))
    def a_worker_ends(self, index: int, how: str) -> None:
        """Any worker that ever held work, whether it is still in time or long overtaken."""
        held = self.held[index % len(self.held)]
        (row,) = work_rows(self.ledger, id=held.id)
        in_time = (row.state, row.fence) == (WorkState.RUNNING, held.fence)
        try:
            self.end(held, how)
        except LeaseLostError:
            assert not in_time
        else:
            assert in_time

    def end(self, held: Claim, how: str) -> None:
        """End work in one of the ways there are."""
        if how == "renew":
            work.renew(self.ledger, held, now=after(self.time))
        elif how == "back":
            work.give_back(
                self.ledger, held, error_code="x", error_detail="y", now=after(self.time)
            )
        elif how == "badly":
            fail(self.ledger, held, at=self.time)
        elif held.stage is Stage.PREPARE_SERIES:
            hand_on(self.ledger, held, at=self.time)
        else:
            finish(self.ledger, held, at=self.time)

    @rule(index=INDEX)
    def a_worker_dies(self, index: int) -> None:
        self.a_worker_claims(index)
        self.time += LEASE + 1
        self.the_relay_sweeps()

    @rule(index=INDEX, discard=st.booleans())
    def a_person_decides(self, index: int, *, discard: bool) -> None:
        rows = work_rows(self.ledger)
        if not rows:
            return
        chosen = rows[index % len(rows)].id
        try:
            if discard:
                failures.discard(self.ledger, chosen, actor="anna", now=after(self.time))
            else:
                failures.requeue(self.ledger, [chosen], actor="anna", now=after(self.time))
        except TransitionError:
            pass

    @rule()
    def a_person_requeues_everything(self) -> None:
        failures.requeue(self.ledger, None, actor="anna", now=after(self.time))

    @invariant()
    def every_change_is_in_the_table(self) -> None:
        rows = {row.id: row for row in work_rows(self.ledger)}
        assert self.before.keys() <= rows.keys()
        for row_id, old in self.before.items():
            new = rows[row_id]
            assert new.fence >= old.fence
            assert new.round >= old.round
            if new.state != old.state:
                assert WorkState(new.state) in TRANSITIONS[WorkState(old.state)]
            if new.state == WorkState.RUNNING and old.state != WorkState.RUNNING:
                assert new.fence == old.fence + 1
            if old.state in {WorkState.FAILED, WorkState.DISCARDED} and (
                new.state == WorkState.PENDING
            ):
                assert new.round > old.round
        for new in rows.values():
            assert (new.lease_until is not None) == (new.state == WorkState.RUNNING)
            if new.id not in self.before:
                assert new.state == WorkState.PENDING
        self.before = rows

    @invariant()
    def every_end_has_its_one_result(self) -> None:
        keys = [
            (row.subject_id, row.input_digest, row.model_name, row.round)
            for row in result_rows(self.ledger)
        ]
        assert len(set(keys)) == len(keys)
        for row in self.before.values():
            ended = row.state == WorkState.FAILED or (
                row.state == WorkState.DONE and row.stage != Stage.PREPARE_SERIES
            )
            if ended:
                assert (row.subject_id, row.input_digest, row.model_name, row.round) in keys


def test_no_sequence_of_operations_leaves_the_table_of_transitions(ledger: Ledger) -> None:
    run_state_machine_as_test(
        lambda: LifeOfWork(ledger),
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            # To shrink a failure takes minutes; to read one takes less.
            phases=[Phase.explicit, Phase.generate],
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
