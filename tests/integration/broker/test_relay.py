"""The relay with a real Valkey: what it publishes, when again, and without a broker."""

import threading

import pytest

from builders import (
    LEASE,
    QUIET,
    a_due_report,
    a_due_series,
    a_header,
    a_text_model,
    an_image_model,
    claim,
    finish,
    hand_on,
    only,
    receive,
    register,
    result_rows,
    study_row,
    submit,
    work_rows,
)
from medqueue.ledger.engine import Ledger
from relays import Stepped, some_reports
from schemas.study import StudyState
from schemas.work import TASK_NAMES, Priority, Stage, WorkState
from valkey_server import Broker

pytestmark = pytest.mark.integration

SECRETS = {
    "text": "Erika Mustermann, born 12.08.1964: no pneumothorax.",
    "patient_id": "PAT-4711",
    "accession_number": "ACC-0815",
    "report_id": "REP-2342",
}


@pytest.fixture
def relay(ledger: Ledger, broker: Broker) -> Stepped:
    return Stepped(ledger, broker)


def test_a_message_is_a_task_name_and_an_opaque_id(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    due = a_due_report(ledger, study_instance_uid="1.2.840.99.77", **SECRETS)

    relay.step(at=1)

    message = only(broker.messages())
    assert message.queue == "diagnose-report.routine"
    assert message.task == TASK_NAMES[Stage.DIAGNOSE_REPORT]
    assert (message.arguments, message.body[1]) == ([due], {})
    for secret in [*SECRETS.values(), "1.2.840.99.77", "Mustermann", "pneumothorax"]:
        assert secret not in message.readable


def test_each_stage_and_urgency_goes_to_its_own_queue(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    series = a_due_series(ledger)
    register(ledger, a_text_model())
    submit(ledger, "Routine.")
    submit(ledger, "Urgent.", urgent=True)
    hand_on(ledger, claim(ledger, series))

    relay.step(at=12)

    assert sorted((message.queue, message.task) for message in broker.messages()) == [
        ("diagnose-image.routine", TASK_NAMES[Stage.DIAGNOSE_IMAGE]),
        ("diagnose-report.routine", TASK_NAMES[Stage.DIAGNOSE_REPORT]),
        ("diagnose-report.urgent", TASK_NAMES[Stage.DIAGNOSE_REPORT]),
    ]


def test_a_quiet_study_is_completed_and_its_work_published_in_the_same_step(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    register(ledger, an_image_model())
    receive(ledger, a_header(study="1.2.3"))
    receive(ledger, a_header(study="1.2.4"), at=3)

    relay.step(at=QUIET + 1)

    assert study_row(ledger, "1.2.3").state == StudyState.COMPLETE
    assert study_row(ledger, "1.2.4").state == StudyState.RECEIVING
    assert broker.ids() == [only(work_rows(ledger)).id]


def test_published_work_is_not_published_again_while_messages_wait(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    due = some_reports(ledger, 15)
    for at in (1, 2, 7, 20, 100, 800):
        relay.step(at=at)
        assert sorted(broker.ids()) == sorted(due)


@pytest.mark.parametrize("wiped_at", [2, 6, 60])
def test_a_wiped_broker_has_everything_back_at_the_next_look_and_only_once(
    ledger: Ledger, broker: Broker, relay: Stepped, wiped_at: int
) -> None:
    series = a_due_series(ledger)
    some_reports(ledger, 15)
    due = [row.id for row in work_rows(ledger)]
    assert series in due
    for at in range(11, wiped_at + 11, 3):
        relay.step(at=at)
    broker.wipe()

    # Everything is there exactly once more: two messages a job in all.
    for later in (12, 13, 18, 40, 800):
        relay.step(at=wiped_at + later)
        assert sorted(broker.ids()) == sorted(due)


def test_only_the_lost_messages_of_a_queue_are_sent_again(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    due = some_reports(ledger, 5)
    relay.step(at=1)
    for held in [claim(ledger, work_id) for work_id in due[:2]]:
        finish(ledger, held)
    broker.wipe()

    relay.step(at=12)

    assert sorted(broker.ids()) == sorted(due[2:])


@pytest.mark.parametrize("lost", [1, 15])
def test_messages_that_a_killed_broker_forgot_are_back_within_ten_seconds(
    ledger: Ledger, broker: Broker, relay: Stepped, lost: int
) -> None:
    due = some_reports(ledger, 15)
    relay.step(at=1)
    with broker.connect() as client:  # all but the newest messages were on its disk
        client.lpop("diagnose-report.routine", lost)
    for at in range(2, 12):
        relay.step(at=at)

    # One lost message cannot be told from the others: as many as are missing are sent.
    assert len(broker.ids()) == len(due)
    assert set(broker.ids()) <= set(due)
    assert lost == 1 or sorted(broker.ids()) == sorted(due)


def test_work_whose_lease_ran_out_is_published_at_once(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    due = a_due_report(ledger)
    relay.step(at=1)
    broker.wipe()  # the worker has taken the message
    claim(ledger, due, at=2)

    relay.step(at=2 + LEASE - 1)
    assert broker.ids() == []
    relay.step(at=2 + LEASE + 1)
    assert broker.ids() == [due]


def test_work_that_every_worker_died_of_fails_and_is_not_published(
    ledger: Ledger, broker: Broker, relay: Stepped
) -> None:
    due = a_due_report(ledger)
    at = 1.0
    for _ in range(3):
        relay.step(at=at)
        broker.wipe()
        claim(ledger, due, at=at)
        at += LEASE + 1
    relay.step(at=at)

    assert broker.ids() == []
    assert only(work_rows(ledger)).state == WorkState.FAILED
    assert only(result_rows(ledger)).error["code"] == "worker-lost"


def test_two_relays_publish_each_piece_of_work_once(ledger: Ledger, broker: Broker) -> None:
    Stepped(ledger, broker).step(at=0)  # the broker is known: an empty one is filled anew
    due = some_reports(ledger, 60)
    relays = [Stepped(ledger, broker) for _ in range(3)]
    start = threading.Barrier(3)

    def step(relay: Stepped) -> None:
        start.wait()
        relay.step(at=1)

    threads = [threading.Thread(target=step, args=[relay]) for relay in relays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sorted(broker.ids()) == sorted(due)


def test_urgent_work_is_published_before_routine_work_that_came_first(
    ledger: Ledger, broker: Broker, relay: Stepped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medqueue.broker.relay._BATCH", 1)
    relay.step(at=0)
    some_reports(ledger, 2)
    submit(ledger, "Urgent.", urgent=True, at=1)
    urgent = only(work_rows(ledger, priority=Priority.URGENT)).id

    relay.step(at=2)

    assert broker.ids()[0] == urgent
