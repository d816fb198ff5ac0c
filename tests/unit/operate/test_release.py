"""Releasing: only what loads and passes its check here, and all or nothing."""

import shutil
from pathlib import Path

import pytest

from builders import NOW, after
from medqueue.errors import NotFoundError, PackageError
from medqueue.ledger import models
from medqueue.ledger.engine import Ledger
from medqueue.operate import registration, release
from medqueue.settings import Settings
from medqueue.storage.packages import read_manifest
from schemas.result import ResultKind
from workers.models.package import BUNDLED_FOLDER

NAME = "chest-rules-en"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def ledger(tmp_path: Path, settings: Settings, sqlite_ledger: Ledger) -> Ledger:
    """With two versions of the rules, of which the bundled one is released."""
    newer = Path(shutil.copytree(BUNDLED_FOLDER / NAME, tmp_path / "newer"))
    manifest = newer / "manifest.toml"
    text = manifest.read_text().replace(
        f'\nversion = "{read_manifest(newer).version}"', '\nversion = "9.0.0"'
    )
    manifest.write_text(text, encoding="utf-8")
    registration.register(sqlite_ledger, [BUNDLED_FOLDER / NAME], now=NOW)
    registration.add(sqlite_ledger, settings, newer, now=NOW)
    return sqlite_ledger


def released(ledger: Ledger) -> str:
    with ledger.read() as connection:
        (one,) = models.released(connection, ResultKind.TEXT)
    return one.version


def test_a_version_is_promoted_and_rolled_back(ledger: Ledger, settings: Settings) -> None:
    before = released(ledger)
    release.promote(ledger, settings, NAME, "9.0.0", actor="me", now=after(1))
    assert released(ledger) == "9.0.0"

    assert release.roll_back(ledger, settings, NAME, actor="me", now=after(2)) == before
    assert released(ledger) == before


def test_a_version_that_was_damaged_on_disk_is_not_promoted(
    ledger: Ledger, settings: Settings
) -> None:
    before = released(ledger)
    (settings.models_dir / NAME / "9.0.0" / "lexicon.yaml").write_text("findings: []")

    with pytest.raises(PackageError, match="SHA-256"):
        release.promote(ledger, settings, NAME, "9.0.0", actor="me", now=after(1))
    assert released(ledger) == before


def test_a_version_that_is_gone_is_not_rolled_back_to(ledger: Ledger, settings: Settings) -> None:
    release.promote(ledger, settings, NAME, "9.0.0", actor="me", now=after(1))
    release.roll_back(ledger, settings, NAME, actor="me", now=after(2))
    shutil.rmtree(settings.models_dir / NAME / "9.0.0")

    with pytest.raises(PackageError, match="not on this machine"):
        release.roll_back(ledger, settings, NAME, actor="me", now=after(3))


def test_a_version_that_nobody_registered_is_not_promoted(
    ledger: Ledger, settings: Settings
) -> None:
    with pytest.raises(NotFoundError):
        release.promote(ledger, settings, NAME, "9.9.9", actor="me", now=NOW)


def shadows(ledger: Ledger) -> list[str]:
    with ledger.read() as connection:
        return [m.manifest.version for m in models.all_versions(connection) if m.shadow]


def test_a_version_runs_as_a_shadow_until_it_is_promoted(
    ledger: Ledger, settings: Settings
) -> None:
    before = released(ledger)

    release.shadow(ledger, settings, NAME, "9.0.0", actor="me", now=after(1))
    assert (released(ledger), shadows(ledger)) == (before, ["9.0.0"])

    release.promote(ledger, settings, NAME, "9.0.0", actor="me", now=after(2))
    assert (released(ledger), shadows(ledger)) == ("9.0.0", [])


def test_a_version_that_was_damaged_on_disk_is_no_shadow(
    ledger: Ledger, settings: Settings
) -> None:
    (settings.models_dir / NAME / "9.0.0" / "lexicon.yaml").write_text("findings: []")

    with pytest.raises(PackageError, match="SHA-256"):
        release.shadow(ledger, settings, NAME, "9.0.0", actor="me", now=after(1))
    assert shadows(ledger) == []
