"""The loop that serves one destination: what it is owed, in order, until it has it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import DBAPIError

from medqueue.errors import DeliveryRefusedError, InstanceLostError, UnavailableError, WorkError
from medqueue.ledger import deliveries
from medqueue.ledger.deliveries import OwedDelivery
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from schemas.destination import Destination
from schemas.result import ResultKind

_logger = get_logger(__name__)

_LOOK_SECONDS = 0.5
"""How often new results are looked for."""
_LEASE_SECONDS = 600.0
"""Longer than any transfer takes: when a process dies in it, another goes on after so long."""
_FIRST_PAUSE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 300.0
"""The pause before a destination is tried again doubles up to this."""
_MOST_SECONDS = 3 * 24 * 3600.0
"""A destination that is away for longer than a weekend needs a person."""

Deliver = Callable[[str], None]
"""Sends the result with this id; raises UnavailableError, DeliveryRefusedError or WorkError."""


class DeliveryLoop:
    """One destination. Several processes may serve it: rows are shared out by locks."""

    def __init__(
        self,
        ledger: Ledger,
        destination: Destination,
        deliver: Deliver,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._ledger = ledger
        self._name = destination.name
        self._only = ResultKind.IMAGE if destination.form.is_dicom else None
        self._deliver = deliver
        self._clock = clock
        self._pause = 0.0

    def run(self, stop: threading.Event) -> None:
        """Deliver until told to stop. An error of the database is logged and outlived."""
        while not stop.is_set():
            try:
                is_busy = self.step()
            except DBAPIError as error:
                _logger.warning("delivery-interrupted", error=type(error).__name__)
                is_busy = False
            if self._pause or not is_busy:
                stop.wait(self._pause or _LOOK_SECONDS)

    def step(self) -> bool:
        """Try the oldest delivery that is due; return False if none is."""
        deliveries.plan(self._ledger, self._name, only=self._only, now=self._clock())
        owed = deliveries.take_due(
            self._ledger, self._name, lease_seconds=_LEASE_SECONDS, now=self._clock()
        )
        if owed is None:
            self._pause = 0.0
            return False
        self._try(owed)
        return True

    def _try(self, owed: OwedDelivery) -> None:
        try:
            self._deliver(owed.result_id)
        except InstanceLostError as error:
            self._give_up(owed, error.code, error.detail)
        except UnavailableError as error:
            self._come_again(owed, error)
        except (DeliveryRefusedError, WorkError) as error:
            self._give_up(owed, error.code, error.detail)
        except DBAPIError:
            raise
        except Exception as error:
            # Only the type is kept: the text of an unknown error may quote the patient.
            _logger.exception("delivery-raised", delivery=owed.id)
            self._give_up(owed, "internal", type(error).__name__)
        else:
            self._pause = 0.0
            deliveries.settle(self._ledger, owed.id, now=self._clock())
            _logger.info("delivered", delivery=owed.id, destination=self._name)

    def _come_again(self, owed: OwedDelivery, error: UnavailableError) -> None:
        """Let this one wait, and with it all for this destination: they keep their order."""
        if (self._clock() - owed.created_at).total_seconds() > _MOST_SECONDS:
            self._give_up(owed, error.code, error.detail)
            return
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        deliveries.postpone(
            self._ledger,
            owed.id,
            until=self._clock() + timedelta(seconds=self._pause),
            error_code=error.code,
            error_detail=error.detail,
        )
        _logger.warning("destination-away", destination=self._name, pause=self._pause)

    def _give_up(self, owed: OwedDelivery, code: str, detail: str) -> None:
        deliveries.give_up(self._ledger, owed.id, error_code=code, error_detail=detail)
        _logger.warning("delivery-failed", delivery=owed.id, destination=self._name, code=code)
