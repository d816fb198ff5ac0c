"""Registration: what is installed becomes known, what is damaged does not."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from builders import NOW
from medqueue.errors import PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.operate import registration
from medqueue.settings import Settings
from medqueue.storage import packages, signatures
from schemas.result import ResultKind
from workers.models.package import BUNDLED_FOLDER

RULES = (BUNDLED_FOLDER / "chest-rules-en" / "lexicon.yaml").read_bytes()
MANIFEST = """
name = "made-up"
version = "1.0.0"
kind = "text"
engine = "rules"
architecture = "chest-rules"
weights = "{weights}"
sha256 = "{sha256}"
accepts = {{ languages = ["en"] }}
intended_use = "Tests."
licence = "Apache-2.0"
data_provenance = "none"
released = 2026-01-01
"""


def package(folder: Path, *, content: bytes = RULES, weights: str = "rules.yaml") -> Path:
    folder.mkdir()
    (folder / "rules.yaml").write_bytes(content)
    digest = hashlib.sha256(RULES).hexdigest()
    text = MANIFEST.format(weights=weights, sha256=digest)
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_package_is_known_and_released_afterwards(tmp_path: Path, sqlite_ledger: Ledger) -> None:
    registration.register(sqlite_ledger, [package(tmp_path / "p")], now=NOW)
    with sqlite_ledger.read() as connection:
        (released,) = models.released(connection, ResultKind.TEXT)
    assert (released.name, released.version) == ("made-up", "1.0.0")


def test_registering_again_changes_nothing(tmp_path: Path, sqlite_ledger: Ledger) -> None:
    folder = package(tmp_path / "p")
    registration.register(sqlite_ledger, [folder], now=NOW)
    registration.register(sqlite_ledger, [folder], now=NOW)
    with sqlite_ledger.read() as connection:
        assert len(models.released(connection, ResultKind.TEXT)) == 1


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="SHA-256"):
        packages.verify(package(tmp_path / "p", content=b"other"))


@pytest.mark.parametrize("weights", ["../rules.yaml", "/etc/passwd"])
def test_weights_outside_the_package_are_refused(tmp_path: Path, weights: str) -> None:
    with pytest.raises(PackageError, match="a file inside the package"):
        packages.verify(package(tmp_path / "p", weights=weights))


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="manifest"):
        packages.verify(tmp_path)


def test_a_manifest_that_lacks_something_names_it(tmp_path: Path) -> None:
    folder = package(tmp_path / "p")
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("licence", "license"), encoding="utf-8")
    with pytest.raises(PackageError, match="licence"):
        packages.verify(folder)


def a_key(path: Path) -> Path:
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_a_package_must_be_signed_where_the_site_asks_for_it(
    tmp_path: Path, sqlite_ledger: Ledger
) -> None:
    folder, key = package(tmp_path / "p"), a_key(tmp_path / "maker.pem")
    asking = {"data_dir": tmp_path / "data", "model_signatures": "required"}
    with pytest.raises(PackageError, match="is not signed"):
        registration.add(sqlite_ledger, Settings(**asking), folder, now=NOW)

    public = signatures.sign(folder, key)
    with pytest.raises(PackageError, match="none of the keys"):
        registration.add(sqlite_ledger, Settings(**asking), folder, now=NOW)

    trusting = Settings(**asking, model_keys=f"maker:{public}")
    registration.add(sqlite_ledger, trusting, folder, now=NOW)
    (added,) = registration.added_packages(trusting)
    registration.require_signature(trusting, added)


def test_a_signature_of_a_stranger_is_refused_where_keys_are_trusted(
    tmp_path: Path, sqlite_ledger: Ledger
) -> None:
    folder = package(tmp_path / "p")
    trusted = signatures.sign(folder, a_key(tmp_path / "maker.pem"))
    signatures.sign(folder, a_key(tmp_path / "stranger.pem"))
    settings = Settings(data_dir=tmp_path / "data", model_keys=f"maker:{trusted}")

    with pytest.raises(PackageError, match="none of the keys"):
        registration.add(sqlite_ledger, settings, folder, now=NOW)
    assert registration.added_packages(settings) == []


def test_every_installed_package_is_sound() -> None:
    names = {packages.verify(folder).name for folder in registration.installed_packages()}
    assert "cxr-pneumonia" in names


def test_the_vocabulary_of_a_text_model_is_verified_and_copied_with_it(
    tmp_path: Path, sqlite_ledger: Ledger
) -> None:
    folder = package(tmp_path / "p")
    with (folder / "manifest.toml").open("a", encoding="utf-8") as manifest:
        digest = hashlib.sha256(b"words").hexdigest()
        manifest.write(
            f'[tokenization]\nfile = "words.json"\nsha256 = "{digest}"\nmax_tokens = 10\n'
        )
    (folder / "words.json").write_bytes(b"other words")
    with pytest.raises(PackageError, match=r"words\.json has SHA-256"):
        packages.verify(folder)

    (folder / "words.json").write_bytes(b"words")
    settings = Settings(data_dir=tmp_path / "data")
    registration.add(sqlite_ledger, settings, folder, now=NOW)

    (added,) = registration.added_packages(settings)
    assert (added / "words.json").read_bytes() == b"words"
