"""Signatures: of this manifest, by a key that is trusted, or refused."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from medqueue.errors import ConfigurationError, PackageError
from medqueue.storage.signatures import SIGNATURE_NAME, is_signed, sign, signer_of


def a_key(path: Path) -> Path:
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "manifest.toml").write_text('name = "x"\n')
    return folder


def test_the_key_that_signed_is_found_among_the_trusted(folder: Path, tmp_path: Path) -> None:
    assert not is_signed(folder)
    other = sign(folder, a_key(tmp_path / "other.pem"))
    ours = sign(folder, a_key(tmp_path / "ours.pem"))

    assert is_signed(folder)
    assert signer_of(folder, {"other": other, "ours": ours}) == "ours"


def test_a_key_that_openssl_made_signs(folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)], check=True)  # noqa: S607

    assert signer_of(folder, {"maker": sign(folder, key)}) == "maker"


def test_a_manifest_that_was_changed_after_signing_is_refused(folder: Path, tmp_path: Path) -> None:
    public = sign(folder, a_key(tmp_path / "key.pem"))
    (folder / "manifest.toml").write_text('name = "y"\n')

    with pytest.raises(PackageError, match="none of the keys"):
        signer_of(folder, {"maker": public})


def test_a_key_that_nobody_trusts_is_refused(folder: Path, tmp_path: Path) -> None:
    trusted = sign(folder, a_key(tmp_path / "maker.pem"))
    sign(folder, a_key(tmp_path / "stranger.pem"))

    with pytest.raises(PackageError, match="none of the keys"):
        signer_of(folder, {"maker": trusted})


@pytest.mark.parametrize("content", [b"", b"no base64!", b"AAAA", b"x" * 2000])
def test_what_is_no_signature_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    public = sign(folder, a_key(tmp_path / "key.pem"))
    (folder / SIGNATURE_NAME).write_bytes(content)

    with pytest.raises(PackageError):
        signer_of(folder, {"maker": public})


def test_what_is_no_private_key_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")

    with pytest.raises(ConfigurationError, match="no PEM"):
        sign(folder, tmp_path / "key.pem")
    assert not is_signed(folder)


def test_what_is_no_public_key_is_an_error_of_the_setting(folder: Path, tmp_path: Path) -> None:
    sign(folder, a_key(tmp_path / "key.pem"))

    with pytest.raises(ConfigurationError, match="MEDQUEUE_MODEL_KEYS"):
        signer_of(folder, {"maker": "AAAA"})
