"""Model packages: nothing in them is believed before it is checked."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from medqueue.errors import PackageError
from medqueue.storage import packages
from schemas.manifest import Engine
from workers.models.network import build_network
from workers.models.package import (
    Package,
    bundled_packages,
    load_package,
)


def chest_folder() -> Path:
    return {folder.name: folder for folder in bundled_packages()}["cxr-pneumonia"]


def copied(to: Path) -> Path:
    return Path(shutil.copytree(chest_folder(), to / "cxr-pneumonia"))


def rewrite(folder: Path, old: str, new: str) -> None:
    manifest = folder / "manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    assert old in text
    manifest.write_text(text.replace(old, new), encoding="utf-8")


def with_weights(folder: Path, weights: bytes) -> Path:
    sha256 = load_package(folder).manifest.sha256
    (folder / "weights.safetensors").write_bytes(weights)
    rewrite(folder, sha256, hashlib.sha256(weights).hexdigest())
    return folder


def test_the_bundled_model_is_complete_and_verified() -> None:
    package = load_package(chest_folder())
    network = build_network(package)

    assert package.manifest.engine is Engine.TORCH
    assert not package.manifest.cleared_for_clinical_use
    assert "not for clinical use" in package.manifest.intended_use
    assert package.manifest.labels[0].threshold == 0.5
    assert not network.training
    assert (package.folder / "MODEL_CARD.md").is_file()
    assert (package.folder / "train.toml").is_file()


def test_every_bundled_package_loads() -> None:
    names = [load_package(folder).manifest.name for folder in bundled_packages()]

    assert names == [folder.name for folder in bundled_packages()]


def test_weights_with_another_digest_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    weights = bytearray((folder / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(weights)

    with pytest.raises(PackageError, match="SHA-256"):
        load_package(folder)


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "a/b", "..", ""])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    folder = copied(tmp_path)
    rewrite(folder, 'weights = "weights.safetensors"', f'weights = "{name}"')

    with pytest.raises(PackageError, match="without a path"):
        load_package(folder)


def test_weights_that_are_a_link_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "weights.safetensors").rename(tmp_path / "elsewhere")
    (folder / "weights.safetensors").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(PackageError, match="link"):
        load_package(folder)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "MAX_WEIGHTS_BYTES", 1000)

    with pytest.raises(PackageError, match="limit"):
        load_package(copied(tmp_path))


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    package = load_package(copied(tmp_path))
    pickled = package.manifest.model_copy(update={"weights": "weights.pt"})

    with pytest.raises(PackageError, match="never loaded"):
        build_network(Package(package.folder, pickled, package.weights))


def test_bytes_that_are_not_safetensors_are_refused(tmp_path: Path) -> None:
    folder = with_weights(copied(tmp_path), b"no tensors in here")

    with pytest.raises(PackageError, match="do not fit"):
        build_network(load_package(folder))


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    state = load(load_package(chest_folder()).weights)
    state["head.bias"] = torch.tensor([np.nan])

    with pytest.raises(PackageError, match="finite"):
        build_network(load_package(with_weights(copied(tmp_path), save(state))))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("width = 32", "width = 16", "do not fit"),
        ("width = 32", "girth = 32", "does not take these parameters"),
        ('architecture = "residual-cnn"', 'architecture = "oracle"', "oracle"),
        ('engine = "torch"', 'engine = "rules"', "engine"),
    ],
)
def test_a_manifest_that_does_not_fit_its_weights_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    folder = copied(tmp_path)
    rewrite(folder, old, new)

    with pytest.raises(PackageError, match=reason):
        build_network(load_package(folder))


@pytest.mark.parametrize(
    ("old", "new"),
    [('kind = "image"', 'kind = "image"\nfavourite = 1'), ("temperature = ", "temperature = -")],
)
def test_a_manifest_that_breaks_its_schema_is_refused(tmp_path: Path, old: str, new: str) -> None:
    folder = copied(tmp_path)
    rewrite(folder, old, new)

    with pytest.raises(PackageError, match=r"favourite|temperature"):
        packages.read_manifest(folder)


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no such file"):
        load_package(tmp_path)
