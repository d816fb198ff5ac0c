"""The table of processes that make up the system on one machine."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from medqueue.broker.app import create_app
from medqueue.broker.routing import STAGES
from medqueue.broker.routing import Role as WorkerRole
from medqueue.errors import ConfigurationError
from medqueue.operate import valkey
from medqueue.operate.child import Role
from medqueue.operate.destinations import read_destinations
from medqueue.operate.ports import accepts_connections, answers_http
from medqueue.operate.workers_alive import worker_answers
from medqueue.settings import Settings

_BROKER, _WORK, _DOORS = range(3)
"""Ranks: the doors close first and the broker last, so that nothing loses what it leans on."""


def all_roles(settings: Settings) -> list[Role]:
    """Return every process of the system; the broker only where it is the embedded one."""
    program = str(console_script())
    app = create_app(settings)

    def serve(name: str, rank: int, answers: Callable[[], bool]) -> Role:
        return Role(name, (program, "serve", name), rank, answers)

    def worker(role: WorkerRole) -> Role:
        return Role(
            f"worker-{role}",
            (program, "worker", "--role", role),
            _WORK,
            lambda: worker_answers(app, role),
        )

    return [
        *_embedded_broker(settings),
        *(worker(role) for role in STAGES),
        serve("relay", _WORK, lambda: True),  # it has no door; work tells whether it lives
        *_delivery(settings, program),
        serve("door", _DOORS, lambda: _both_doors_open(settings)),
        serve("api", _DOORS, lambda: answers_http(settings, settings.http_port, "/readyz")),
        serve(
            "flower", _WORK, lambda: answers_http(settings, settings.flower_port, "/healthcheck")
        ),
    ]


def console_script() -> Path:
    """Return the command `medqueue` of this very environment.

    Never `python -m`: beside any folder named `schemas` that would import the folder.

    Raises:
        ConfigurationError: the command is not installed here.
    """
    beside = Path(sys.executable).with_name("medqueue")
    if beside.is_file():
        return beside
    found = shutil.which("medqueue")
    if found is None:
        raise ConfigurationError(
            "the command `medqueue` is not installed in this environment; run: pip install ."
        )
    return Path(found)


def _both_doors_open(settings: Settings) -> bool:
    return all(
        accepts_connections(settings, port) for port in (settings.dimse_port, settings.mllp_port)
    )


def _delivery(settings: Settings, program: str) -> list[Role]:
    if not read_destinations(settings):
        return []
    return [Role("deliver", (program, "deliver"), _WORK, lambda: True)]  # it has no door


def _embedded_broker(settings: Settings) -> list[Role]:
    if settings.redis_url is not None:
        return []
    return [
        Role("valkey", valkey.command(settings), _BROKER, lambda: valkey.answers(settings)),
    ]
