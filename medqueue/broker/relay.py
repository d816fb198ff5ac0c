"""The relay: completes studies, and rings the broker for due work until it is claimed."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from medqueue.broker.publishing import publish, publish_trainings
from medqueue.broker.routing import QUEUES, queue_name
from medqueue.ledger import clock, completeness, dispatch, trainings
from medqueue.ledger.engine import Ledger
from medqueue.ledger.patience import read_patience
from medqueue.logs import get_logger
from medqueue.settings import Settings

_logger = get_logger(__name__)

_BATCH = 8
"""Messages a round. More would make urgent work wait for the round to end: a message is 1 ms."""
_LOST_BATCH = 500
"""Lost messages sent again a sweep, for each queue."""
_STUDIES = 4
"""Studies completed a round. More would do the same: 1 to 2 ms each."""
_LONGEST_WAIT_SECONDS = 0.5
"""The relay looks at least so often, should a ring be lost."""
_HELD_SECONDS = 0.02
"""Until a study that could not be had is tried again: a door holds one for milliseconds."""
_SWEEP_SECONDS = 1.0
"""How often lost leases and lost messages are looked for."""
_PAUSE_AFTER_ERROR_SECONDS = 1.0
_MARK = "medqueue.relay.mark"
"""A key in the broker; when it is gone, so is every message."""


class Relay:
    """One loop over the ledger. Several may run at once: rows are shared out by locks."""

    def __init__(
        self,
        ledger: Ledger,
        app: Celery,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._app = app
        self._settings = settings
        self._patience = read_patience(settings)
        self._clock = clock
        self._next_sweep = 0.0
        self._is_behind = False
        self._completed: list[str] = []

    def run(self, stop: threading.Event) -> None:
        """Relay until told to stop. An error of database or broker is logged and outlived."""
        ear = self._ledger.listen()
        has_looked_again = False
        try:
            while not stop.is_set():
                try:
                    if not has_looked_again:
                        completeness.look_again(self._ledger)
                        has_looked_again = True
                    self.step()
                    ear.wait(self._pause())
                except (DBAPIError, RedisError, KombuError, OSError) as error:
                    _logger.warning("relay-interrupted", error=type(error).__name__)
                    stop.wait(_PAUSE_AFTER_ERROR_SECONDS)
        finally:
            ear.close()

    def step(self) -> None:
        """Do everything that is due now, once."""
        self._complete_studies()
        # First: what is published before the mark of a new broker is set is published twice.
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + _SWEEP_SECONDS
            self._sweep()
        due = dispatch.take_unpublished(self._ledger, limit=_BATCH, now=self._clock())
        self._is_behind = len(due) == _BATCH
        publish(self._app, self._ledger, due)

    def _complete_studies(self) -> None:
        self._completed = completeness.complete_studies(
            self._ledger,
            patience=self._patience,
            max_attempts=self._settings.max_attempts,
            limit=_STUDIES,
            now=self._clock(),
        )
        for study in self._completed:
            _logger.info("study-complete", study=study)

    def _sweep(self) -> None:
        lease_seconds = self._settings.lease_seconds
        mended = clock.mend(self._ledger, lease_seconds=lease_seconds, now=self._clock())
        if mended:
            _logger.warning("clock-was-set-back", rows=mended)
        expired = dispatch.end_expired_leases(self._ledger, now=self._clock())
        if expired:
            _logger.warning("leases-expired", count=expired)
        dispatch.hasten_oldest(
            self._ledger,
            older_than_seconds=self._settings.routine_wait_seconds,
            now=self._clock(),
        )
        with self._app.connection_for_read() as connection:
            broker = connection.default_channel.client
            if broker.set(_MARK, 1, nx=True):
                forgotten = dispatch.forget_publications(self._ledger)
                _logger.warning("broker-was-empty", waiting=forgotten)
            depths = {queue: broker.llen(queue) for queue in QUEUES}
        self._publish_lost(depths)
        publish_trainings(self._app, trainings.take_due(self._ledger, now=self._clock()))

    def _publish_lost(self, depths: dict[str, int]) -> None:
        """Publish again as much work as there are messages missing, the oldest first.

        Where as many messages wait as there is work, nothing is lost: the workers are just busy.
        """
        for (stage, priority), count in dispatch.waiting(self._ledger, now=self._clock()).items():
            queue = queue_name(stage, priority)
            missing = min(count - depths[queue], _LOST_BATCH)
            if missing > 0:
                silent = dispatch.take_silent(
                    self._ledger, stage=stage, priority=priority, limit=missing, now=self._clock()
                )
                if silent:
                    _logger.warning("published-again", queue=queue, count=len(silent))
                publish(self._app, self._ledger, silent)

    def _pause(self) -> float:
        if self._is_behind:
            return 0.0
        until_due = completeness.seconds_until_next(
            self._ledger, patience=self._patience, now=self._clock()
        )
        if until_due is None:
            return _LONGEST_WAIT_SECONDS
        # What is due and was not completed is held by a door, or waits for the next judgement.
        shortest = 0.0 if self._completed else _HELD_SECONDS
        return min(_LONGEST_WAIT_SECONDS, max(shortest, until_due))
