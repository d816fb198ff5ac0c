"""The DICOM door itself: what its associations share, and when it opens and closes."""

import socket

from medqueue.doors.admission import Admission
from medqueue.doors.dimse.association import Association, Host
from medqueue.doors.dimse.counters import Counters
from medqueue.doors.dimse.limits import Limits
from medqueue.doors.dimse.peers import read_allow_list
from medqueue.doors.dimse.presentation import read_private_sop_classes
from medqueue.doors.dimse.reporter import Reporter
from medqueue.doors.listener import Listener
from medqueue.doors.tls import read_tls
from medqueue.logs import get_logger
from medqueue.settings import Settings

_logger = get_logger(__name__)


class DimseDoor:
    """Storage and Verification SCP. `start` returns when it listens."""

    def __init__(
        self,
        settings: Settings,
        admission: Admission,
        *,
        host: str | None = None,
        port: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Make a door that is still closed.

        Args:
            settings: of the AE title, the allow-list, and where to listen.
            admission: where received objects go.
            host: listen here instead of where the settings say.
            port: likewise; 0 for a free one.
            limits: what peers may cost.

        Raises:
            ConfigurationError: the allow-list is wrong, or missing beyond loopback; or the files
                of TLS, or the private SOP Classes are.
        """
        self._address = host or settings.bind
        self.port = settings.dimse_port if port is None else port
        """Where the door listens, once it does."""
        self._admission = admission
        self._limits = limits or Limits()
        self.counters = Counters()
        self._listener = Listener("DICOM", self._begin)
        self._host = Host(
            ae_title=settings.ae_title,
            allow_list=read_allow_list(settings, self._address),
            limits=self._limits,
            tls=read_tls(
                settings.tls_certificate,
                settings.tls_key,
                settings.tls_client_ca,
                variables="MEDQUEUE_TLS",
            ),
            private_sop_classes=read_private_sop_classes(settings),
            reporter=Reporter(settings, admission.ledger),
            admission=admission,
            counters=self.counters,
            is_stopping=self._listener.stopping.is_set,
        )

    def start(self) -> None:
        """Open the door.

        Raises:
            ConfigurationError: the address or port cannot be had.
        """
        self.port = self._listener.bind(self._address, self.port, variable="MEDQUEUE_DIMSE_PORT")
        self._admission.open_berths()
        self._host.reporter.start()
        self._listener.accept()

    def stop(self, seconds: float) -> None:
        """Close the door: objects in transfer get so many seconds, idle peers none."""
        self._listener.close(seconds, spare=lambda association: association.is_established)
        self._host.reporter.stop()
        self._admission.close_berths()

    def _begin(self, connection: socket.socket, address: str) -> Association:
        self._make_room()
        return Association(connection, address, self._host)

    def _make_room(self) -> None:
        """Cut the oldest connection that is no association, if there are too many of them."""
        strangers = [one for one in self._listener.running() if not one.is_established]
        if len(strangers) >= self._limits.connections:
            _logger.warning("connection-cut", waiting=len(strangers))
            strangers[0].cut()
