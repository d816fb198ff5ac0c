"""TLS of the DICOM door: the Non-Downgrading BCP 195 profile (PS3.15 section B.10)."""

import ssl
from pathlib import Path

from medqueue.errors import ConfigurationError
from medqueue.settings import Settings

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption (RFC 9325 section 4.2). The suites
of TLS 1.3 are all like that, and not named here."""


def read_tls(settings: Settings) -> ssl.SSLContext | None:
    """Return what the door answers a handshake with, or None if it has no certificate.

    Raises:
        ConfigurationError: the files do not belong together, or cannot be read.
    """
    certificate, key, client_ca = (
        settings.tls_certificate,
        settings.tls_key,
        settings.tls_client_ca,
    )
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise ConfigurationError(
            "TLS of the DICOM door needs both MEDQUEUE_TLS_CERTIFICATE and MEDQUEUE_TLS_KEY"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    _require(certificate, "MEDQUEUE_TLS_CERTIFICATE")
    _require(key, "MEDQUEUE_TLS_KEY")
    try:
        # A key with a password would ask for it at a terminal that nobody sits at.
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError):
        raise ConfigurationError(
            "MEDQUEUE_TLS_CERTIFICATE and MEDQUEUE_TLS_KEY: give PEM files of a certificate chain "
            "and of its own private key, the key without a password"
        ) from None
    if client_ca is not None:
        _require(client_ca, "MEDQUEUE_TLS_CLIENT_CA")
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError:
            raise ConfigurationError(
                "MEDQUEUE_TLS_CLIENT_CA: give a PEM file of the authorities whose clients may call"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _require(file: Path, variable: str) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"{variable}: cannot read {file}: {reason}") from None


def _no_password() -> str:
    raise ValueError
