"""The backlog: how much may wait before the doors ask their senders to come again later."""

import threading
import time
from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from medqueue.errors import OutOfResourcesError
from medqueue.ledger.engine import Ledger
from medqueue.ledger.tables import work
from schemas.work import SEEN_STAGES, WorkState

_REMEMBER_SECONDS = 1.0
"""How long one count serves: a door that takes 500 objects a second must not count 500 times."""


class Backlog:
    """Counts the work that waits, now and then. Threads may share one."""

    def __init__(
        self, ledger: Ledger, limit: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._counted_at = float("-inf")
        self._is_full = False

    def require_room(self) -> None:
        """Refuse before anything is accepted; room is found again by itself.

        Raises:
            OutOfResourcesError: as much work waits as may, or the ledger does not answer.
        """
        with self._lock:
            if self._clock() - self._counted_at >= _REMEMBER_SECONDS:
                self._is_full = self._count() >= self._limit
                self._counted_at = self._clock()
            is_full = self._is_full
        if is_full:
            raise OutOfResourcesError(
                f"{self._limit} pieces of work wait already; send again later. Workers are too few "
                "or stuck: see medqueue status"
            )

    def _count(self) -> int:
        # Counts no further than the limit, whatever the backlog.
        waiting = (
            select(work.c.id)
            .where(work.c.state == WorkState.PENDING, work.c.stage.in_(SEEN_STAGES))
            .limit(self._limit)
        )
        try:
            with self._ledger.read() as connection:
                return connection.execute(
                    select(func.count()).select_from(waiting.subquery())
                ).scalar_one()
        except DBAPIError as error:
            raise OutOfResourcesError(
                "the ledger does not answer; try again, and see: medqueue doctor"
            ) from error
