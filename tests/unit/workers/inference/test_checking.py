"""Checking a package: it must do here what its maker says, in a process that it cannot outlive."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from medqueue.errors import PackageError
from workers.inference import checking
from workers.models.package import BUNDLED_FOLDER, bundled_packages, load_package


def copied(name: str, to: Path) -> Path:
    return Path(shutil.copytree(BUNDLED_FOLDER / name, to / name))


def replaced(folder: Path, file: str, change: Callable[[bytes], bytes]) -> Path:
    """Change a file of a package as its maker would: with its digest."""
    content = (folder / file).read_bytes()
    changed = change(content)
    (folder / file).write_bytes(changed)
    manifest = folder / "manifest.toml"
    digests = [hashlib.sha256(each).hexdigest() for each in (content, changed)]
    manifest.write_text(manifest.read_text().replace(*digests), encoding="utf-8")
    return folder


def raised(by: float) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        arrays = load(content)
        arrays["probabilities"] = (arrays["probabilities"] + by).astype(np.float32)
        return save(arrays)

    return change


@pytest.mark.parametrize("folder", bundled_packages(), ids=lambda folder: str(folder.name))
def test_every_bundled_package_passes_its_check(folder: Path) -> None:
    checking.check(load_package(folder))


def test_an_output_beyond_the_tolerance_is_refused_with_the_figures(tmp_path: Path) -> None:
    folder = replaced(copied("cxr-pneumonia", tmp_path), "check.safetensors", raised(0.001))

    with pytest.raises(PackageError, match=r"differs by 0\.001 .* 0\.0001 is the most"):
        checking.check(load_package(folder))


def test_an_output_within_the_tolerance_passes(tmp_path: Path) -> None:
    folder = replaced(copied("cxr-pneumonia", tmp_path), "check.safetensors", raised(0.00005))

    checking.check(load_package(folder))


def test_a_stated_output_that_is_no_number_is_not_let_pass(tmp_path: Path) -> None:
    folder = replaced(copied("cxr-pneumonia", tmp_path), "check.safetensors", raised(np.nan))

    with pytest.raises(PackageError, match="differs by nan"):
        checking.check(load_package(folder))


def test_a_wrong_temperature_shows_in_the_check(tmp_path: Path) -> None:
    folder = copied("cxr-pneumonia", tmp_path)
    manifest = folder / "manifest.toml"
    text = manifest.read_text()
    assert "temperature = " in text
    manifest.write_text(text.replace("temperature = ", "temperature = 1"), encoding="utf-8")

    with pytest.raises(PackageError, match="differs"):
        checking.check(load_package(folder))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"nothing", "must be safetensors"),
        (lambda _: save({"images": np.zeros((1, 1, 28, 28), np.float32)}), "probabilities"),
        (
            lambda _: save(
                {
                    "images": np.zeros((0, 1, 28, 28), np.float32),
                    "probabilities": np.zeros((0, 1), np.float32),
                }
            ),
            "0 inputs",
        ),
        (
            lambda _: save(
                {
                    "images": np.zeros((1, 1, 28, 28), np.float32),
                    "probabilities": np.zeros((1, 2), np.float32),
                }
            ),
            r"\(1, 2\)",
        ),
    ],
    ids=["no safetensors", "no probabilities", "empty", "other labels"],
)
def test_a_check_set_of_images_that_cannot_be_used_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    folder = replaced(copied("cxr-pneumonia", tmp_path), "check.safetensors", change)

    with pytest.raises(PackageError, match=reason):
        checking.check(load_package(folder))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no JSON", "must be JSON"),
        (json.dumps({"text": "No edema.", "probabilities": [0.5]}), "for each label"),
        (json.dumps({"text": "Indication: edema?", "probabilities": []}), "say something"),
    ],
)
def test_a_check_set_of_texts_that_cannot_be_used_is_refused(
    tmp_path: Path, line: str, reason: str
) -> None:
    folder = replaced(copied("chest-rnn", tmp_path), "check.jsonl", lambda _: line.encode())

    with pytest.raises(PackageError, match=reason):
        checking.check(load_package(folder))


def test_a_text_of_a_check_set_is_not_repeated_in_an_error(tmp_path: Path) -> None:
    line = json.dumps({"text": ["Jane Doe"]}).encode()
    folder = replaced(copied("chest-rnn", tmp_path), "check.jsonl", lambda _: line)

    with pytest.raises(PackageError) as caught:
        checking.check(load_package(folder))
    assert "Jane" not in caught.value.detail


def test_a_package_is_checked_in_a_process_apart(tmp_path: Path) -> None:
    checking.check_apart(copied("cxr-pneumonia", tmp_path))
    folder = replaced(copied("cxr-pneumonia", tmp_path / "other"), "check.safetensors", raised(0.1))

    with pytest.raises(PackageError, match="differs by 0"):
        checking.check_apart(folder)


def test_a_check_that_does_not_end_is_ended(tmp_path: Path) -> None:
    begin = time.monotonic()

    with pytest.raises(PackageError, match=r"within 0\.2 seconds"):
        checking.check_apart(copied("cxr-pneumonia", tmp_path), seconds=0.2)
    assert time.monotonic() - begin < 10


def test_a_check_whose_process_dies_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (*checking.PROGRAM[:3], "import os; os.abort()")
    monkeypatch.setattr(checking, "PROGRAM", program)

    with pytest.raises(PackageError, match=r"died \(-6\)"):
        checking.check_apart(copied("cxr-pneumonia", tmp_path))


def test_a_model_that_wants_all_memory_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = "from workers.inference import checking; checking.MEMORY_BYTES = 0; checking.main()"
    monkeypatch.setattr(checking, "PROGRAM", (*checking.PROGRAM[:3], limit))

    with pytest.raises(PackageError, match="memory"):
        checking.check_apart(copied("cxr-pneumonia", tmp_path))
