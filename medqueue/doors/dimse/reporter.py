"""Delivers N-EVENT-REPORT on associations of our own, to peers that do not wait on theirs."""

import threading
from concurrent.futures import ThreadPoolExecutor

from medqueue.doors.dimse.commitment import WELL_KNOWN_INSTANCE, Report
from medqueue.doors.dimse.presentation import STORAGE_COMMITMENT
from medqueue.errors import ConfigurationError
from medqueue.logs import get_logger
from medqueue.settings import Settings

_logger = get_logger(__name__)

_PAUSES = (0.0, 5.0, 30.0)
"""Seconds before each try; after the last the peer must ask again."""
_ANSWER_SECONDS = 15.0
_FORM = "MEDQUEUE_COMMITMENT_PEERS: give AE@host:port,AE@host:port, such as CT1@10.0.1.7:104"

Peer = tuple[str, int]
"""Host and port."""


class Reporter:
    """Calls the peers that the settings give an address for."""

    def __init__(self, settings: Settings) -> None:
        """Raise ConfigurationError if the addresses are not in their form."""
        self._own_title = settings.ae_title
        self._peers = dict(
            _entry(entry) for entry in (settings.commitment_peers or "").split(",") if entry
        )
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="commitment")

    def knows(self, ae_title: str) -> bool:
        """Tell whether reports for this peer go to an address of its own."""
        return ae_title in self._peers

    def send(self, ae_title: str, report: Report) -> None:
        """Deliver a report soon; a peer that cannot be reached must ask again."""
        self._pool.submit(self._deliver, ae_title, report)

    def stop(self) -> None:
        """Give up what is not delivered yet."""
        self._stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, ae_title: str, report: Report) -> None:
        for pause in _PAUSES:
            if self._stopping.wait(pause):
                break
            if self._try(ae_title, report):
                return
        _logger.warning("commitment-report-undelivered", called_ae=ae_title)

    def _try(self, ae_title: str, report: Report) -> bool:
        from pynetdicom import AE, build_role

        host, port = self._peers[ae_title]
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


def _entry(entry: str) -> tuple[str, Peer]:
    title, at, address = entry.strip().rpartition("@")
    host, colon, port = address.rpartition(":")
    if not (title.strip() and at and host and colon and port.isdecimal()):
        raise ConfigurationError(_FORM)
    return title.strip(), (host.strip("[]"), int(port))
