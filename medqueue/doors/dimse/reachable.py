"""Whether anybody listens at a DICOM address, asked before pynetdicom is."""

import socket

from medqueue.errors import UnavailableError

CONNECT_SECONDS = 10.0


def require_listener(host: str, port: int, *, who: str, cure: str) -> None:
    """Connect once beforehand: pynetdicom leaks its socket when nobody listens.

    Raises:
        UnavailableError: nobody does.
    """
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnavailableError(f"no {who} answers at {host}:{port} ({reason}); {cure}") from None
