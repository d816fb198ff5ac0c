"""Who may send HL7 v2: the allow-list of addresses. MLLP itself knows no sender's name."""

import ipaddress
from dataclasses import dataclass

from medqueue.doors.addresses import IpNetwork, is_within
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

_FORM = (
    "MEDQUEUE_HL7_SENDERS: give addresses or networks, such as MEDQUEUE_HL7_SENDERS="
    "10.0.0.7,10.0.1.0/24"
)


@dataclass(frozen=True, slots=True)
class Senders:
    """Networks; None lets everybody in."""

    networks: tuple[IpNetwork, ...] | None

    def allows(self, address: str) -> bool:
        """Tell whether somebody may send from this address."""
        return self.networks is None or is_within(address, self.networks)


def read_senders(settings: Settings, host: str) -> Senders:
    """Read the allow-list of the settings for a door that binds to `host`.

    Raises:
        ConfigurationError: it is not in its form, or missing where strangers could reach the door.
    """
    if settings.hl7_senders is None:
        has_certificates = None not in {settings.hl7_tls_certificate, settings.hl7_tls_client_ca}
        if not has_certificates and not ipaddress.ip_address(host).is_loopback:
            raise ConfigurationError(
                "the HL7 door would listen beyond this machine and let everybody in; "
                "name the senders in MEDQUEUE_HL7_SENDERS=address,... (127.0.0.1 if there are "
                "none), ask them for certificates by MEDQUEUE_HL7_TLS_CLIENT_CA, or set "
                "MEDQUEUE_BIND=127.0.0.1"
            )
        return Senders(None)
    try:
        entries = settings.hl7_senders.split(",")
        return Senders(
            tuple(ipaddress.ip_network(entry.strip(), strict=False) for entry in entries)
        )
    except ValueError:
        raise ConfigurationError(_FORM) from None
