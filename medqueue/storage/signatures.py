"""Ed25519 signatures of model packages (RFC 8032): who made it, beside that its bytes are whole.

The signature is over the bytes of the manifest, which names the digest of every other file, and
stands beside it as `manifest.toml.sig`, in base64.
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from medqueue.errors import ConfigurationError, PackageError
from medqueue.storage.packages import MANIFEST_NAME, MAX_MANIFEST_BYTES, read_bounded

SIGNATURE_NAME = f"{MANIFEST_NAME}.sig"
MAX_SIGNATURE_BYTES = 1024
_MAX_KEY_BYTES = 16 * 1024


def sign(folder: Path, key: Path) -> str:
    """Sign the manifest of a package with a private key; return its public key, in base64.

    Args:
        folder: Of the package.
        key: PEM file of an Ed25519 key without a password, as
            `openssl genpkey -algorithm ed25519` makes one.

    Raises:
        ConfigurationError: it is no such key.
        PackageError: the folder has no manifest.
    """
    try:
        private = load_pem_private_key(read_bounded(key, _MAX_KEY_BYTES), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{key}: is no PEM file of a key without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigurationError(f"{key}: is no Ed25519 key: openssl genpkey -algorithm ed25519")
    signature = private.sign(read_bounded(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES))
    (folder / SIGNATURE_NAME).write_bytes(base64.b64encode(signature) + b"\n")
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return base64.b64encode(public).decode()


def is_signed(folder: Path) -> bool:
    """Tell whether a signature lies there, whoever made it."""
    return (folder / SIGNATURE_NAME).is_file()


def signer_of(folder: Path, trusted: Mapping[str, str]) -> str:
    """Return the name of the trusted key that has signed the package.

    Args:
        folder: Of the package.
        trusted: Public keys in base64, by name.

    Raises:
        PackageError: none of them has signed this manifest.
    """
    manifest = read_bounded(folder / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    content = read_bounded(folder / SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    try:
        signature = base64.b64decode(content.strip(), validate=True)
    except binascii.Error as error:
        raise PackageError(f"{folder.name}: {SIGNATURE_NAME} is not base64") from error
    for name, key in trusted.items():
        try:
            _public_key(name, key).verify(signature, manifest)
        except InvalidSignature:
            continue
        return name
    raise PackageError(
        f"{folder.name}: none of the keys in MEDQUEUE_MODEL_KEYS has signed this manifest; get the "
        "package again, or add the public key of its maker"
    )


def _public_key(name: str, key: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
    except ValueError as error:  # binascii.Error is one
        raise ConfigurationError(
            f"MEDQUEUE_MODEL_KEYS: {name} is no Ed25519 public key: 32 bytes in base64, as "
            "medqueue models sign prints it"
        ) from error
