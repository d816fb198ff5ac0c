"""Which package a name means: a folder, the only version, the one named, the one released."""

import hashlib
from pathlib import Path

import pytest

from builders import NOW
from medqueue.errors import NotFoundError
from medqueue.ledger import models, schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import registration
from medqueue.settings import load_settings
from workers.models.package import BUNDLED_FOLDER
from workers.training.chosen import chosen_package

CONTENT = (BUNDLED_FOLDER / "chest-rules-en" / "lexicon.yaml").read_bytes()
MANIFEST = """
name = "made-up"
version = "{version}"
kind = "text"
engine = "rules"
architecture = "chest-rules"
weights = "rules.yaml"
sha256 = "{sha256}"
accepts = {{ languages = ["en"] }}
intended_use = "Tests."
licence = "Apache-2.0"
data_provenance = "none"
released = 2026-01-01
"""


@pytest.fixture(autouse=True)
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path))
    return tmp_path


def add(data_folder: Path, *versions: str) -> list[Path]:
    folders = []
    for version in versions:
        folder = data_folder / "models" / "made-up" / version
        folder.mkdir(parents=True)
        (folder / "rules.yaml").write_bytes(CONTENT)
        digest = hashlib.sha256(CONTENT).hexdigest()
        text = MANIFEST.format(version=version, sha256=digest)
        (folder / "manifest.toml").write_text(text, encoding="utf-8")
        folders.append(folder)
    return folders


def test_a_bundled_model_goes_by_its_name() -> None:
    assert chosen_package("cxr-pneumonia").manifest.name == "cxr-pneumonia"


def test_a_folder_goes_by_its_path(data_folder: Path) -> None:
    (folder,) = add(data_folder, "1.0.0")

    assert chosen_package(str(folder)).folder == folder


def test_the_only_version_needs_not_be_named(data_folder: Path) -> None:
    add(data_folder, "1.0.0")

    assert chosen_package("made-up").manifest.version == "1.0.0"


def test_a_version_may_be_named(data_folder: Path) -> None:
    add(data_folder, "1.0.0", "1.1.0")

    assert chosen_package("made-up:1.1.0").manifest.version == "1.1.0"


def test_of_several_the_released_one_is_meant(data_folder: Path) -> None:
    folders = add(data_folder, "1.0.0", "1.1.0")
    ledger = open_ledger(load_settings().ledger_url)
    schema.upgrade(ledger)
    registration.register(ledger, folders, now=NOW)
    with ledger.write() as connection:
        models.release(connection, "made-up", "1.1.0", actor="test", now=NOW)
    ledger.close()

    assert chosen_package("made-up").manifest.version == "1.1.0"


def test_of_several_without_a_release_one_must_be_named(data_folder: Path) -> None:
    add(data_folder, "1.0.0", "1.1.0")
    ledger = open_ledger(load_settings().ledger_url)
    schema.upgrade(ledger)
    ledger.close()

    with pytest.raises(NotFoundError, match="made-up:VERSION"):
        chosen_package("made-up")


@pytest.mark.parametrize("name", ["nothing", "cxr-pneumonia:99.0.0", "../models"])
def test_a_name_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(NotFoundError, match="medqueue models list"):
        chosen_package(name)
