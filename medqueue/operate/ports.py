"""The ports of the doors: which settings name them, which are taken, which answer."""

import errno
import http.client
import ipaddress
import socket
from collections.abc import Iterator

from medqueue.errors import ConfigurationError
from medqueue.settings import PREFIX, Settings

PORT_SETTINGS = ("dimse_port", "mllp_port", "http_port", "flower_port")
"""Of the doors that this version serves."""

_CONNECT_SECONDS = 0.5
_ANSWER_SECONDS = 2.0
_OK = 200


def require_free(settings: Settings) -> None:
    """Refuse to start where a port is taken.

    Raises:
        ConfigurationError: names each setting whose port cannot be had, and why.
    """
    faults = list(busy(settings))
    if faults:
        raise ConfigurationError("\n".join(faults))


def busy(settings: Settings) -> Iterator[str]:
    """Yield, for each port that cannot be had, the setting, the reason and the cure."""
    for name in PORT_SETTINGS:
        port = getattr(settings, name)
        variable = f"{PREFIX}{name.upper()}"
        try:
            with _socket(settings.bind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((settings.bind, port))
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, error.strerror or "cannot be had")
            yield (
                f"{variable}: port {port} on {settings.bind} {reason}; "
                f"free it (lsof -i :{port} shows who has it), or set {variable} to another"
            )


_REASONS = {
    errno.EADDRINUSE: "is taken by another program",
    errno.EACCES: "needs root (ports below 1024 do)",
    errno.EADDRNOTAVAIL: "cannot be had: this machine has no such address (MEDQUEUE_BIND)",
}


def local_address(settings: Settings) -> str:
    """Return the address at which this machine reaches its own doors."""
    address = ipaddress.ip_address(settings.bind)
    if not address.is_unspecified:
        return settings.bind
    return "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - IPv4


def base_url(settings: Settings, port: int) -> str:
    """Return the URL of an HTTP port, without a path."""
    address = local_address(settings)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def accepts_connections(settings: Settings, port: int) -> bool:
    """Tell whether somebody listens on one of our ports."""
    try:
        with socket.create_connection((local_address(settings), port), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def answers_http(settings: Settings, port: int, path: str) -> bool:
    """Tell whether a GET on one of our ports succeeds."""
    connection = http.client.HTTPConnection(local_address(settings), port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def find_free(count: int) -> list[int]:
    """Return so many different TCP ports that nobody listens on at this moment."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _socket(address: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
