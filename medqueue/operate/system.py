"""The whole system on one machine: what `medqueue up` does, from the empty folder to the end."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from medqueue.errors import ConfigurationError
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import checks, data_folder, ports, registration, valkey
from medqueue.operate.checks import Verdict
from medqueue.operate.guard import Guard
from medqueue.operate.roles import all_roles
from medqueue.operate.supervisor import Supervisor
from medqueue.settings import PREFIX, Settings


def run(settings: Settings, on_ready: Callable[[], None]) -> None:
    """Start everything and block until SIGTERM, Ctrl-C or the end of the terminal; then drain.

    Raises:
        MedqueueError: something is in the way; the message names it and the cure.
    """
    data_folder.make(settings)
    with data_folder.held(settings) as lock:
        _require_locks(settings)
        ports.require_free(settings)
        _prepare_ledger(settings)
        if settings.redis_url is None:
            valkey.prepare(settings)
        supervisor = Supervisor(
            all_roles(settings),
            guard=lambda: Guard(drain_seconds=settings.stop_seconds, keep_open=[lock]),
            environment=child_environment(settings),
            log_dir=data_folder.logs_folder(settings),
            stop_seconds=settings.stop_seconds,
        )
        with _signals_call(supervisor.stop):
            supervisor.run(on_ready)


def _require_locks(settings: Settings) -> None:
    """Refuse at once what each door would refuse a few seconds later, in a log of its own."""
    open_doors = [found for found in checks.access(settings) if found.verdict is Verdict.FAIL]
    if open_doors:
        raise ConfigurationError("\n".join(f"{found.detail}: {found.cure}" for found in open_doors))


def child_environment(settings: Settings) -> Mapping[str, str]:
    """Return the variables for our own processes: this process's, with exactly these settings."""
    # What is not ours, such as PATH, is handed on and not read.
    inherited = os.environ  # noqa: TID251 - handed on, not read
    others = {name: value for name, value in inherited.items() if not name.startswith(PREFIX)}
    return others | settings.to_environment()


def _prepare_ledger(settings: Settings) -> None:
    ledger = open_ledger(settings.ledger_url)
    try:
        schema.upgrade(ledger)
        packages = registration.installed_packages()
        registration.register(ledger, packages, now=datetime.now(UTC))
    finally:
        ledger.close()


@contextmanager
def _signals_call(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
