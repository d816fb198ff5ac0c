"""Who may call: the allow-list of calling AE titles with their addresses."""

import ipaddress
from dataclasses import dataclass

from medqueue.doors.addresses import IpNetwork, peer_address
from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

_FORM = "MEDQUEUE_CALLING_AES: give AE@address,AE@address, such as PACS1@10.0.0.5,CT@10.0.1.0/24"


@dataclass(frozen=True, slots=True)
class AllowList:
    """Pairs of AE title and network; None lets everybody in."""

    entries: frozenset[tuple[str, IpNetwork]] | None

    def allows(self, calling_ae: str, address: str) -> bool:
        """Tell whether a peer of this title may call from this address."""
        if self.entries is None:
            return True
        peer = peer_address(address)
        return any(title == calling_ae and peer in network for title, network in self.entries)


def read_allow_list(settings: Settings, host: str) -> AllowList:
    """Read the allow-list of the settings for a door that binds to `host`.

    Raises:
        ConfigurationError: it is not in its form, or missing where strangers could reach the door.
    """
    if settings.calling_aes is None:
        has_certificates = None not in {settings.tls_certificate, settings.tls_client_ca}
        if not has_certificates and not ipaddress.ip_address(host).is_loopback:
            raise ConfigurationError(
                "the DICOM door would listen beyond this machine and let everybody in; "
                "name the senders in MEDQUEUE_CALLING_AES=AE@address,..., ask them for "
                "certificates by MEDQUEUE_TLS_CLIENT_CA, or set MEDQUEUE_BIND=127.0.0.1"
            )
        return AllowList(None)
    return AllowList(frozenset(_entry(entry) for entry in settings.calling_aes.split(",")))


def _entry(entry: str) -> tuple[str, IpNetwork]:
    title, separator, address = entry.strip().rpartition("@")
    if not separator or not title.strip():
        raise ConfigurationError(_FORM)
    try:
        return title.strip(), ipaddress.ip_network(address, strict=False)
    except ValueError:
        raise ConfigurationError(_FORM) from None
