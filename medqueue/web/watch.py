"""The watch: lets any number of readers wait for new results at the price of one query."""

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from medqueue.logs import get_logger

POLL_SECONDS = 0.05
"""How often the ledger is asked while anybody waits. Longer, and results come later."""

_logger = get_logger(__name__)


class FeedWatch:
    """Wakes waiting readers when the feed has grown. Belongs to one event loop at a time."""

    def __init__(self, newest: Callable[[], int], *, poll_seconds: float = POLL_SECONDS) -> None:
        self._newest = newest
        self._poll_seconds = poll_seconds
        self._waiting: dict[asyncio.Future[None], int] = {}
        self._polling: asyncio.Task[None] | None = None
        self._stopped = False

    async def wait_beyond(self, seq: int, seconds: float) -> None:
        """Return when the feed has grown beyond a number, or the time is over, or it stops."""
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting[future] = seq
        if self._polling is None:
            self._polling = loop.create_task(self._poll())
        try:
            await asyncio.wait([future], timeout=seconds)
        finally:
            self._waiting.pop(future, None)

    def stop(self) -> None:
        """Let everybody go, now and from now on, so that the server can stop."""
        self._stopped = True
        self._wake(beyond=None)

    async def _poll(self) -> None:
        try:
            while self._waiting:
                self._wake(beyond=await run_in_threadpool(self._newest))
                await asyncio.sleep(self._poll_seconds)
        except SQLAlchemyError as error:
            # The readers read again themselves, and tell their clients what they meet.
            _logger.warning("feed-watch-failed", error=type(error).__name__)
            self._wake(beyond=None)
        finally:
            self._polling = None

    def _wake(self, *, beyond: int | None) -> None:
        for future, seq in self._waiting.items():
            if not future.done() and (beyond is None or seq < beyond):
                future.set_result(None)
