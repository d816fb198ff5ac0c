"""Delivers N-EVENT-REPORT on associations of our own, to peers that do not wait on theirs.

A report is kept in the ledger before its request is answered, and tried until the peer has heard
it, also after a restart. A peer may hear it twice; its Transaction UID says that it is the same.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import DBAPIError

from medqueue.doors.dimse.commitment import WELL_KNOWN_INSTANCE, Report
from medqueue.doors.dimse.presentation import STORAGE_COMMITMENT
from medqueue.doors.dimse.reachable import require_listener
from medqueue.errors import ConfigurationError, OutOfResourcesError, UnavailableError
from medqueue.ledger import commitments
from medqueue.ledger.commitments import OwedReport
from medqueue.ledger.engine import Ledger
from medqueue.logs import get_logger
from medqueue.settings import Settings
from schemas.application_entity import ApplicationEntity, parse_application_entity

_logger = get_logger(__name__)

_THREADS = 2
"""So that a peer that cannot be reached does not hold up all others."""
_FIRST_PAUSE_SECONDS = 5.0
"""Doubled at every try."""
_LONGEST_PAUSE_SECONDS = 600.0
_MOST_DOUBLINGS = 7
_MOST_SECONDS = 24 * 3600.0
"""After so long the peer must ask again."""
_LEASE_SECONDS = 60.0
"""Longer than one try takes: when a door dies in it, another goes on after so long."""
_LOOK_SECONDS = 30.0
"""A door looks so often for what another one owes."""
_ANSWER_SECONDS = 15.0
_FORM = "MEDQUEUE_COMMITMENT_PEERS: give AE@host:port,AE@host:port, such as CT1@10.0.1.7:104"


class Reporter:
    """Calls the peers that the settings give an address for."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raise ConfigurationError if the addresses are not in their form."""
        self._own_title = settings.ae_title
        self._peers = _read_peers(settings.commitment_peers or "")
        self._ledger = ledger
        self._clock = clock
        self._stopping = threading.Event()
        self._woken = threading.Event()

    def knows(self, ae_title: str) -> bool:
        """Tell whether reports for this peer go to an address of its own."""
        return ae_title in self._peers

    def start(self) -> None:
        """Deliver what is owed, from before too, until told to stop."""
        for number in range(_THREADS if self._peers else 0):
            name = f"commitment-{number}"
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Leave the rest to the next start."""
        self._stopping.set()
        self._woken.set()

    def keep(self, ae_title: str, report: Report) -> None:
        """Make a report durable; it is delivered after the next `wake`.

        Raises:
            OutOfResourcesError: the ledger does not answer; the peer must ask again.
        """
        try:
            with self._ledger.write() as connection:
                commitments.owe(connection, ae_title, report.to_content(), now=self._clock())
        except DBAPIError as error:
            raise OutOfResourcesError("the ledger does not answer; ask again") from error

    def wake(self) -> None:
        """Have what is due delivered now."""
        self._woken.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                while not self._stopping.is_set() and self._deliver_one():
                    pass
                pause = self._pause()
            except DBAPIError as error:
                _logger.warning("commitment-interrupted", error=type(error).__name__)
                pause = _LOOK_SECONDS
            self._woken.wait(pause)

    def _deliver_one(self) -> bool:
        """Try the report that is due longest; return False if none is due."""
        now = self._clock()
        owed = commitments.take_due(
            self._ledger, self._peers.keys(), lease_seconds=_LEASE_SECONDS, now=now
        )
        if owed is None:
            return False
        if self._try(owed.calling_ae, Report.from_content(owed.content)):
            commitments.settle(self._ledger, owed.id)
        elif (now - owed.created_at).total_seconds() > _MOST_SECONDS:
            _logger.warning("commitment-report-undelivered", called_ae=owed.calling_ae)
            commitments.settle(self._ledger, owed.id)
        else:
            commitments.postpone(self._ledger, owed.id, until=now + _pause_after(owed))
        return True

    def _pause(self) -> float:
        due = commitments.next_try_at(self._ledger, self._peers.keys())
        seconds = _LOOK_SECONDS if due is None else (due - self._clock()).total_seconds()
        return min(max(seconds, 0.0), _LOOK_SECONDS)

    def _try(self, ae_title: str, report: Report) -> bool:
        from pynetdicom import AE, build_role

        peer = self._peers[ae_title]
        host, port = peer.host, peer.port
        try:
            require_listener(host, port, who="peer", cure="see MEDQUEUE_COMMITMENT_PEERS")
        except UnavailableError:
            return False
        entity = AE(ae_title=self._own_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _ANSWER_SECONDS
        entity.connection_timeout = _ANSWER_SECONDS
        entity.add_requested_context(STORAGE_COMMITMENT)
        # We call, but are still the SCP (PS3.4 section J.3.3.1, PS3.7 section D.3.3.4).
        role = build_role(STORAGE_COMMITMENT, scp_role=True)
        association = entity.associate(host, port, ae_title=ae_title, ext_neg=[role])
        if not association.is_established:
            return False
        try:
            status, _ = association.send_n_event_report(
                report.to_data_set(), report.event_type, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
            )
        except (RuntimeError, ValueError):
            return False  # the peer is gone, or would not have us as SCP
        finally:
            association.release()
        return "Status" in status and status.Status == 0


def _read_peers(text: str) -> dict[str, ApplicationEntity]:
    try:
        peers = [parse_application_entity(entry) for entry in text.split(",") if entry]
    except ValueError:
        raise ConfigurationError(_FORM) from None
    return {peer.title: peer for peer in peers}


def _pause_after(owed: OwedReport) -> timedelta:
    doublings = min(owed.attempts - 1, _MOST_DOUBLINGS)
    return timedelta(seconds=min(_FIRST_PAUSE_SECONDS * 2**doublings, _LONGEST_PAUSE_SECONDS))
