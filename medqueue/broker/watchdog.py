"""The watchdog of a worker: ends the process when it has silently stopped taking messages.

Known of Celery after a lost Redis connection (celery/celery #8030, #8091, #10302): the process
lives and takes nothing more. Ending it is safe, since the ledger has the work, and the supervisor
or the container's restart policy starts it anew.
"""

import os
import threading
import time
from collections.abc import Callable, Collection

from celery import Celery
from celery.signals import task_received, worker_ready
from celery.worker import state
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from medqueue.logs import get_logger

_logger = get_logger(__name__)

STALL_SECONDS = 10.0
"""Messages that wait so long before an idle worker will not be taken. Shorter, and a slow machine
looks dead; longer, and a study waits for nothing."""
_LOOK_SECONDS = 2.0
EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: start me again."""


class Watchdog:
    """Decides from what it is told whether the worker has stalled."""

    def __init__(self, *, stall_seconds: float = STALL_SECONDS) -> None:
        self._stall_seconds = stall_seconds
        self._healthy_at: float | None = None

    def is_stalled(self, *, waiting: int, in_hand: int, received_at: float, now: float) -> bool:
        """Tell whether messages have waited too long before a worker with nothing in hand.

        Args:
            waiting: messages in the worker's queues.
            in_hand: messages that the worker has taken and not yet finished.
            received_at: when it took the last one, on the clock of `now`.
            now: seconds on a clock that never goes back.
        """
        if self._healthy_at is None or waiting == 0 or in_hand > 0:
            self._healthy_at = now
        return now - max(self._healthy_at, received_at) >= self._stall_seconds


def watch(app: Celery, queues: Collection[str]) -> None:
    """Begin to watch this process once it is ready; call before the worker starts."""
    received_at = 0.0

    def note(**_: object) -> None:
        nonlocal received_at
        received_at = time.monotonic()

    def start(**_: object) -> None:
        threading.Thread(
            target=_watch, args=(app, queues, lambda: received_at), name="watchdog", daemon=True
        ).start()

    task_received.connect(note, weak=False)
    worker_ready.connect(start, weak=False)


def _watch(app: Celery, queues: Collection[str], received_at: Callable[[], float]) -> None:
    watchdog = Watchdog()
    while True:
        time.sleep(_LOOK_SECONDS)
        try:
            with app.connection_for_read() as connection:
                broker = connection.default_channel.client
                waiting = sum(broker.llen(queue) for queue in queues)
        except (RedisError, KombuError, OSError):
            waiting = 0  # the broker is away: not the worker's fault
        if watchdog.is_stalled(
            waiting=waiting,
            in_hand=len(state.reserved_requests),
            received_at=received_at(),
            now=time.monotonic(),
        ):
            _logger.error("worker-stalled", waiting=waiting, seconds=STALL_SECONDS)
            os._exit(EXIT_CODE)
