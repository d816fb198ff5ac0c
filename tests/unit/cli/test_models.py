"""`medqueue models`: what a person does with versions at a terminal."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from medqueue.cli.db import db
from medqueue.cli.models import models
from medqueue.errors import NotFoundError, PackageError
from medqueue.storage.packages import read_manifest

BUNDLED = Path(__file__).parents[3] / "workers" / "models" / "bundled"
CHEST = read_manifest(BUNDLED / "cxr-pneumonia").version


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDQUEUE_DATA_DIR", str(tmp_path / "data"))
    assert CliRunner().invoke(db, ["upgrade"], catch_exceptions=False).exit_code == 0
    return tmp_path / "data"


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """A later version of the chest model, as a vendor would hand it over."""
    folder = tmp_path / "vendor"
    shutil.copytree(BUNDLED / "cxr-pneumonia", folder)
    manifest = (folder / "manifest.toml").read_text()
    (folder / "manifest.toml").write_text(
        manifest.replace(f'\nversion = "{CHEST}"', '\nversion = "9.9.9"')
    )
    (folder / "notes.exe").write_bytes(b"MZ")
    return folder


def run(*arguments: str) -> Result:
    return CliRunner().invoke(models, arguments, catch_exceptions=False, env={"COLUMNS": "200"})


def released() -> dict[str, str]:
    found = json.loads(run("list", "--json").output)
    return {m["manifest"]["name"]: m["manifest"]["version"] for m in found if m["released"]}


def test_what_is_bundled_is_listed_and_released() -> None:
    assert set(released()) == {
        "breast-us",
        "cxr-pneumonia",
        "chest-rules-en",
        "chest-rules-zh",
        "cross-check",
    }
    assert "not for clinical use" in run("list").output


def test_the_bundled_network_for_texts_waits_to_be_promoted() -> None:
    assert "chest-rnn" in run("list").output
    run("promote", "chest-rnn", "0.1.0")
    assert released()["chest-rnn"] == "0.1.0"
    assert "no version of chest-rnn is released" in run("rollback", "chest-rnn").output
    assert "chest-rnn" not in released()


def test_an_added_version_waits_for_promote_and_can_be_rolled_back(newer: Path) -> None:
    run("add", str(newer))
    assert released()["cxr-pneumonia"] == CHEST
    run("promote", "cxr-pneumonia", "9.9.9")
    assert released()["cxr-pneumonia"] == "9.9.9"
    run("rollback", "cxr-pneumonia")
    assert released()["cxr-pneumonia"] == CHEST


def test_only_the_files_of_a_package_are_copied(newer: Path, data_dir: Path) -> None:
    run("add", str(newer))

    copied = {path.name for path in (data_dir / "models" / "cxr-pneumonia" / "9.9.9").iterdir()}
    assert copied == {"manifest.toml", "MODEL_CARD.md", *read_manifest(newer).named_files()}
    assert "check.safetensors" in copied


def test_a_package_with_a_wrong_digest_is_refused_and_leaves_nothing(
    newer: Path, data_dir: Path
) -> None:
    with (newer / "weights.safetensors").open("ab") as file:
        file.write(b"!")

    with pytest.raises(PackageError):
        run("add", str(newer))
    assert not (data_dir / "models").exists()


def test_a_package_with_a_pickle_beside_its_weights_is_refused(newer: Path, data_dir: Path) -> None:
    (newer / "original.pt").write_bytes(b"")

    with pytest.raises(PackageError, match="is a pickle"):
        run("add", str(newer))
    assert not (data_dir / "models").exists()


def test_a_network_without_a_check_set_is_refused(newer: Path, data_dir: Path) -> None:
    manifest = newer / "manifest.toml"
    before, _, rest = manifest.read_text().partition("[check]")
    manifest.write_text(before + rest[rest.index("[[") :])

    with pytest.raises(PackageError, match="no check set"):
        run("add", str(newer))
    assert not (data_dir / "models").exists()


def test_a_package_that_fails_its_check_is_refused_and_leaves_nothing(
    newer: Path, data_dir: Path
) -> None:
    manifest = newer / "manifest.toml"
    manifest.write_text(manifest.read_text().replace("temperature = ", "temperature = 1"))

    with pytest.raises(PackageError, match="on its check set"):
        run("add", str(newer))
    assert [path for path in (data_dir / "models").rglob("*") if path.is_file()] == []
    assert "9.9.9" not in run("list").output


def test_verify_finds_a_package_that_was_damaged_later(newer: Path, data_dir: Path) -> None:
    run("add", str(newer))
    assert run("verify").exit_code == 0
    weights = data_dir / "models" / "cxr-pneumonia" / "9.9.9" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])

    assert run("verify").exit_code == 1


def test_a_model_is_shown_with_its_intended_use() -> None:
    shown = run("show", "cxr-pneumonia").output
    assert "not for clinical use" in shown
    assert "CC BY 4.0" in shown


def test_a_shadow_is_listed_and_can_be_ended(newer: Path) -> None:
    run("add", str(newer))
    assert "runs as a shadow" in run("shadow", "cxr-pneumonia", "9.9.9").output
    found = json.loads(run("list", "--json").output)
    assert [m["manifest"]["version"] for m in found if m["shadow"]] == ["9.9.9"]
    assert "│ shadow" in run("list").output
    assert released()["cxr-pneumonia"] == CHEST
    with pytest.raises(NotFoundError, match="has concluded anything as a shadow"):
        run("compare", "cxr-pneumonia")

    assert "9.9.9 is no shadow" in run("shadow", "cxr-pneumonia", "--off").output
    with pytest.raises(NotFoundError, match="runs as a shadow"):
        run("shadow", "cxr-pneumonia", "--off")
    assert run("shadow", "cxr-pneumonia").exit_code == 2
