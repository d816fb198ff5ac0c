"""The relay while the broker is away or dies: work stays due, and goes out when it is back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from builders import a_text_model, register, submit, work_rows
from medqueue.broker.app import create_app
from medqueue.broker.relay import Relay
from medqueue.ledger.engine import Ledger
from relays import Stepped, some_reports
from valkey_server import Broker
from waiting import wait_until

pytestmark = pytest.mark.integration


@contextmanager
def running(ledger: Ledger, broker: Broker) -> Iterator[None]:
    """A relay in a thread, in real time."""
    stop = threading.Event()
    relay = Relay(ledger, create_app(broker.settings), broker.settings)
    thread = threading.Thread(target=relay.run, args=[stop])
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_without_a_broker_work_stays_due_and_goes_out_when_it_is_back(
    ledger: Ledger, own_broker: Broker
) -> None:
    due = some_reports(ledger, 3)
    relay = Stepped(ledger, own_broker)
    own_broker.kill()

    for at in (1, 2):
        with pytest.raises((RedisError, KombuError, OSError)):
            relay.step(at=at)
        assert [row.publications for row in work_rows(ledger)] == [0, 0, 0]

    own_broker.start()
    relay.step(at=3)
    assert sorted(own_broker.ids()) == sorted(due)


def test_a_broker_that_dies_between_two_messages_loses_neither(
    ledger: Ledger, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = some_reports(ledger, 3)
    relay = Stepped(ledger, broker)
    app, sent = relay.relay._app, []

    def send_two(*arguments: Any, **options: Any) -> Any:
        if len(sent) == 2:
            raise RedisError
        sent.append(options["args"])
        return send(*arguments, **options)

    send = app.send_task
    monkeypatch.setattr(app, "send_task", send_two)
    with pytest.raises(RedisError):
        relay.step(at=1)
    assert [row.publications for row in work_rows(ledger)] == [1, 1, 0]
    monkeypatch.undo()

    relay.step(at=2)
    assert sorted(broker.ids()) == sorted(due)


def test_a_running_relay_outlives_the_death_of_the_broker(
    ledger: Ledger, own_broker: Broker
) -> None:
    register(ledger, a_text_model())
    with running(ledger, own_broker):
        submit(ledger, "Before.")
        wait_until(lambda: len(own_broker.ids()) == 1)
        own_broker.kill()
        submit(ledger, "Meanwhile.")
        own_broker.start()
        due = [row.id for row in work_rows(ledger)]
        wait_until(lambda: set(own_broker.ids()) == set(due))
