"""Keeping a lease while the work goes on, however long it takes."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from medqueue.errors import LeaseLostError
from medqueue.ledger import work
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from schemas.training import TrainingClaim
from schemas.work import Claim

_logger = get_logger(__name__)

_RENEWALS_PER_LEASE = 3
"""Two renewals may fail, for a restart of the database, before the lease is lost."""


class Heartbeat:
    """Renews a claim's lease in the background while the `with` block runs.

    It stops renewing, and says so in the log, once the lease is lost; the fence then keeps the
    block's result out.
    """

    def __init__(
        self,
        ledger: Ledger,
        claim: Claim | TrainingClaim,
        *,
        renew: Callable[..., None] = work.renew,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._claim = claim
        self._renew = renew
        self._clock = clock
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._claim.lease_seconds / _RENEWALS_PER_LEASE):
            try:
                self._renew(self._ledger, self._claim, now=self._clock())
            except LeaseLostError:
                _logger.warning("lease-lost", work=self._claim.id)
                return
            except DBAPIError as error:
                _logger.warning("lease-not-renewed", error=type(error).__name__)
