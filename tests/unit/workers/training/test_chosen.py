"""Which package a name means: a folder, the only version, the one named, the one released."""

import shutil
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

RULES = BUNDLED_FOLDER / "chest-rules-en"


@pytest.fixture(autouse=True)
def data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path))
    return tmp_path


def add(data_folder: Path, *versions: str) -> list[Path]:
    folders = []
    for version in versions:
        folder = data_folder / "models" / "made-up" / version
        shutil.copytree(RULES, folder)
        text = (RULES / "manifest.toml").read_text(encoding="utf-8")
        text = text.replace('"chest-rules-en"', '"made-up"', 1)
        text = text.replace('version = "1.0.0"', f'version = "{version}"', 1)
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
