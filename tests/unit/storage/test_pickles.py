"""Pickles run code when they are loaded, so a folder that holds one is no package."""

import zipfile
from pathlib import Path

import pytest
import torch

from medqueue.errors import PackageError
from medqueue.storage import pickles

LEGACY = b"cposix\nsystem\n(S'true'\ntR."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifest.toml").write_text("name = 'x'\n")
    (tmp_path / "weights.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    return tmp_path


def test_a_folder_without_a_pickle_passes(folder: Path) -> None:
    pickles.refuse_pickles(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("weights.pt", b""),
        ("old.PKL", LEGACY),
        ("weights.bin", b"\x80\x04\x95"),
        ("notes/readme.txt", b"\x80\x02}q\x00."),
    ],
)
def test_a_pickle_is_found_by_its_name_or_its_first_bytes(
    folder: Path, name: str, content: bytes
) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)

    with pytest.raises(PackageError, match="is a pickle"):
        pickles.refuse_pickles(folder)


def test_a_file_of_torch_is_found_under_any_name(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / "weights.dat")
    assert zipfile.is_zipfile(folder / "weights.dat")

    with pytest.raises(PackageError, match="is a pickle"):
        pickles.refuse_pickles(folder)


def test_a_folder_of_many_files_is_not_searched_without_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickles, "_MAX_FILES", 2)
    (folder / "more").write_bytes(b"")

    with pytest.raises(PackageError, match="more than 2 files"):
        pickles.refuse_pickles(folder)
