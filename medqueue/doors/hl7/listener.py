"""The HL7 door itself: whom it lets in, and who makes room."""

import socket

from medqueue.doors.admission import Admission
from medqueue.doors.hl7.charsets import require_known
from medqueue.doors.hl7.connection import Connection
from medqueue.doors.hl7.intake import Intake
from medqueue.doors.hl7.limits import Limits
from medqueue.doors.hl7.senders import read_senders
from medqueue.doors.listener import Listener
from medqueue.doors.tls import read_tls
from medqueue.logs import get_logger
from medqueue.settings import Settings

_logger = get_logger(__name__)

_LOOKS_FOR_ROOM, _PAUSE_SECONDS = 5, 0.1
"""Before a sender is sent away because all the others are busy at that moment."""


class Hl7Door:
    """Receives HL7 v2 by MLLP. `start` returns when it listens."""

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
            settings: of the allow-list, TLS, the default character set, and where to listen.
            admission: where received reports go.
            host: listen here instead of where the settings say.
            port: likewise; 0 for a free one.
            limits: what senders may cost.

        Raises:
            ConfigurationError: a setting is wrong, or the allow-list missing beyond loopback; or
                the files of TLS are.
        """
        self._address = host or settings.bind
        self.port = settings.mllp_port if port is None else port
        """Where the door listens, once it does."""
        self._limits = limits or Limits()
        self._senders = read_senders(settings, self._address)
        self._intake = Intake(
            admission, default_codec=require_known(settings.hl7_charset), limits=self._limits
        )
        self._tls = read_tls(
            settings.hl7_tls_certificate,
            settings.hl7_tls_key,
            settings.hl7_tls_client_ca,
            variables="MEDQUEUE_HL7_TLS",
        )
        self._listener = Listener("HL7", self._begin)

    @property
    def connections(self) -> list[Connection]:
        """The senders that are connected."""
        return list(self._listener.running())

    def start(self) -> None:
        """Open the door.

        Raises:
            ConfigurationError: the address or port cannot be had.
        """
        self.port = self._listener.bind(self._address, self.port, variable="MEDQUEUE_MLLP_PORT")
        self._listener.accept()

    def stop(self, seconds: float) -> None:
        """Close the door: messages in transfer get so many seconds, idle senders none."""
        self._listener.close(seconds)

    def _begin(self, peer: socket.socket, address: str) -> Connection | None:
        reason = None
        if not self._senders.allows(address):
            reason = "not in MEDQUEUE_HL7_SENDERS"
        elif not self._make_room():
            reason = "every connection is busy"
        if reason is not None:
            _logger.warning("connection-refused", reason=reason)
            return None
        return Connection(peer, self._intake, self._limits, self._listener.stopping, self._tls)

    def _make_room(self) -> bool:
        """Cut the connection that has been idle longest, if there are too many."""
        for _ in range(_LOOKS_FOR_ROOM):
            running = self._listener.running()
            if len(running) < self._limits.connections:
                return True
            idle = {one: since for one in running if (since := one.idle_since) is not None}
            if idle:
                self._listener.end(min(idle, key=idle.__getitem__))
                return True
            self._listener.stopping.wait(_PAUSE_SECONDS)
        return False
