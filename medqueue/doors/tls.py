"""TLS of the socket doors: the Non-Downgrading BCP 195 profile (PS3.15 section B.10).

IHE asks HL7 v2 for the same (ITI TF-2, ITI-19).
"""

import socket
import ssl
from pathlib import Path

from medqueue.errors import ConfigurationError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption (RFC 9325 section 4.2). The suites
of TLS 1.3 are all like that, and not named here."""


class HandshakeError(Exception):
    """The peer did not speak TLS, or not as the door does; says the name OpenSSL has for it."""


def read_tls(
    certificate: Path | None, key: Path | None, client_ca: Path | None, *, variables: str
) -> ssl.SSLContext | None:
    """Return what a door answers a handshake with, or None if it has no certificate.

    Args:
        certificate: PEM file of the door's certificate and its chain.
        key: PEM file of its private key.
        client_ca: PEM file of the authorities whose clients alone may call, if not anyone.
        variables: what the names of these settings begin with.

    Raises:
        ConfigurationError: the files do not belong together, or cannot be read.
    """
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationError(f"TLS needs both {variables}_CERTIFICATE and {variables}_KEY")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _require(certificate, f"{variables}_CERTIFICATE")
    _require(key, f"{variables}_KEY")
    try:
        # A key with a password would ask for it at a terminal that nobody sits at.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise ConfigurationError(
            f"{variables}_CERTIFICATE and {variables}_KEY: give PEM files of a certificate chain "
            "and of its own private key, the key without a password"
        ) from None
    if client_ca is not None:
        _require(client_ca, f"{variables}_CLIENT_CA")
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError:
            raise ConfigurationError(
                f"{variables}_CLIENT_CA: give a PEM file of the authorities whose clients may call"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake_hands(
    context: ssl.SSLContext, connection: socket.socket, seconds: float
) -> ssl.SSLSocket:
    """Return the connection under TLS; nothing was read from it before.

    Raises:
        HandshakeError: no TLS as we speak it came from the peer, or not in time. The connection
            is closed then: there is no way to tell the peer more than TLS has.
    """
    try:
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    except OSError as error:
        connection.close()
        raise HandshakeError(type(error).__name__) from None
    try:
        # The kernel's own times do not reach through the TLS layer; these do.
        secured.settimeout(seconds)
        secured.do_handshake()
    except OSError as error:
        secured.close()
        reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
        raise HandshakeError(reason) from None
    return secured


def _require(file: Path, variable: str) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{variable}: cannot read {file}: {reason}") from None


def _no_password() -> str:
    raise ValueError
