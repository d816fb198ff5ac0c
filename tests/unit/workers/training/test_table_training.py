"""An image model that is told more than pixels: trained from a folder, and run as in the queue."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from chest_images import an_image
from medqueue.errors import ConfigurationError, UnsupportedInputError
from workers.inference.checking import check
from workers.inference.session import Session
from workers.models.package import load_package
from workers.preprocess.series import prepare_series
from workers.training.commands import train
from workers.training.evaluate_command import evaluate
from workers.training.export_command import export

CONFIG = """
[data]
path = "{path}"
[package]
name = "told"
version = "1.0.0"
architecture = "image-table"
parameters = {{ image = "residual-cnn", features = 8, width = 4, blocks = 1, mirror = false }}
intended_use = "a test"
licence = "none"
data_provenance = "made up"
accepts = {{}}
[package.preparation]
size = [12, 12]
mean = 0.5
std = 0.3
[[package.table]]
attribute = "PatientSex"
missing = "drop"
[[package.table]]
attribute = "PatientAge"
scale = "robust"
[package.label]
name = "Finding"
[optimisation]
epochs = 12
batch_size = 16
learning_rate = 0.02
ema_decay = 0.8
"""

torch.set_num_threads(1)


def write_folder(root: Path) -> list[Path]:
    """Pictures that say nothing: the label is in the header alone."""
    root.mkdir()
    made, lines = [], ["path,label,split"]
    for number in range(120):
        shades = np.random.default_rng(number).integers(0, 256, (14, 14), dtype=np.uint8)
        sex, age = "FM"[number % 2], f"{number % 7 * 10:03d}Y"
        path = an_image(root, pixels=shades, PatientID=f"{number}", PatientSex=sex, PatientAge=age)
        made.append(path)
        lines.append(f"{path.name},{number % 2},{('train', 'train', 'val')[number % 3]}")
    lonely = an_image(root, pixels=np.ones((14, 14), dtype=np.uint8), PatientSex="")
    (root / "labels.csv").write_text("\n".join([*lines, f"{lonely.name},1,train"]), "utf-8")
    return made


def trained(folder: Path) -> tuple[Path, list[Path]]:
    paths = write_folder(folder / "data")
    config = folder / "train.toml"
    config.write_text(CONFIG.format(path=(folder / "data").as_posix()), encoding="utf-8")
    outcome = CliRunner().invoke(
        train, [str(config), "--output", str(folder / "out")], catch_exceptions=False
    )
    assert outcome.exit_code == 0
    return folder / "out", paths


def test_a_model_with_a_table_is_trained_checked_and_run_as_in_the_queue(tmp_path: Path) -> None:
    folder, paths = trained(tmp_path)

    package = load_package(folder)

    manifest = package.manifest
    assert manifest.table is not None
    assert manifest.preparation is not None
    assert manifest.table.features == ("PatientSex=F", "PatientSex=M", "PatientAge")
    assert manifest.data is not None
    assert (manifest.data.trained_on, manifest.data.left_out) == (80, {"missing": 1})
    assert manifest.gate is not None
    check(package)
    prepared = prepare_series(paths, manifest.preparation, manifest.table)
    present = Session(package).predict(prepared)[:, 0] >= 0.5
    assert np.mean(present == (np.arange(120) % 2)) > 0.95
    measured = CliRunner().invoke(
        evaluate, [str(folder), "--data", str(tmp_path / "data"), "--json"], catch_exceptions=False
    )
    assert json.loads(measured.stdout)["metrics"]["auroc"] > 0.95
    (folder / "MODEL_CARD.md").write_text("a card", encoding="utf-8")
    data = ["--data", str(tmp_path / "data")]
    converted = CliRunner().invoke(
        export, [str(folder), "--output", str(tmp_path / "onnx"), *data], catch_exceptions=False
    )
    assert "1.0000 before, 1.0000 after" in converted.stdout
    check(load_package(tmp_path / "onnx"))
    with pytest.raises(UnsupportedInputError, match="PatientSex"):
        prepare_series([an_image(tmp_path, PatientSex="")], manifest.preparation, manifest.table)


def test_an_npz_file_has_no_table(tmp_path: Path) -> None:
    images, labels = np.random.default_rng(0).integers(0, 255, (8, 12, 12)), [0, 1] * 4
    arrays = {f"{split}_images": images.astype(np.uint8) for split in ("train", "val")}
    np.savez(tmp_path / "d.npz", **arrays, train_labels=labels, val_labels=labels)
    config = tmp_path / "train.toml"
    config.write_text(CONFIG.format(path=(tmp_path / "d.npz").as_posix()), encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"package\.table"):
        CliRunner().invoke(
            train, [str(config), "--output", str(tmp_path / "out")], catch_exceptions=False
        )
