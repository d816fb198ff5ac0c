"""A relay whose time a test sets, and work for it."""

from typing import Any

from builders import a_text_model, after, register, submit, work_rows
from medqueue.broker.app import create_app
from medqueue.broker.relay import Relay
from medqueue.ledger.engine import Ledger
from valkey_server import Broker


class Stepped:
    """A relay whose time a test sets; it sweeps at every step."""

    def __init__(self, ledger: Ledger, broker: Broker) -> None:
        self._seconds = 0.0
        app = create_app(broker.settings)
        self.relay = Relay(ledger, app, broker.settings, clock=lambda: after(self._seconds))

    def step(self, *, at: float) -> None:
        self._seconds = at
        self.relay._next_sweep = 0.0
        self.relay.step()
        while self.relay._is_behind:
            self.relay.step()


def some_reports(ledger: Ledger, count: int, **fields: Any) -> list[str]:
    """Reports that a model reads; returns the ids of the work on them."""
    register(ledger, a_text_model())
    for number in range(count):
        submit(ledger, f"Text {number}.", **fields)
    return [row.id for row in work_rows(ledger)]
