"""Training: the same seed gives the same model, and what it writes can be loaded and measured."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from medqueue.errors import ConfigurationError
from schemas.manifest import Manifest
from squares import trained, write_config, write_squares
from workers.inference.session import Session
from workers.models.package import load_package
from workers.preprocess.pixels import normalise
from workers.training.augmentation import augment
from workers.training.commands import train
from workers.training.config import Augmentation, read_config
from workers.training.data import read_split
from workers.training.evaluate import evaluate_probabilities
from workers.training.evaluate_command import evaluate
from workers.training.packaging import toml_of


def test_a_trained_package_tells_squares_from_noise_in_the_queue_too(tmp_path: Path) -> None:
    data = write_squares(tmp_path)
    folder = trained(tmp_path / "out", write_config(tmp_path, data))
    package = load_package(folder)
    assert package.manifest.preparation is not None

    outcome = CliRunner().invoke(
        evaluate, [str(folder), "--data", str(data), "--json"], catch_exceptions=False
    )

    printed = json.loads(outcome.stdout)
    assert (printed["model"], printed["version"], printed["split"]) == ("squares", "1.0.0", "test")
    assert printed["n"] == 30
    assert printed["metrics"]["auroc"] > 0.95
    test = read_split(data, "test", 1)
    batch = normalise(test.pixels, package.manifest.preparation)
    present = Session(package).predict(batch)[:, 0] >= 0.5
    assert np.mean(present == test.targets) == pytest.approx(printed["metrics"]["accuracy"])


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    config = write_config(tmp_path, write_squares(tmp_path))
    config.write_text(config.read_text().replace("epochs = 6", "epochs = 1"), encoding="utf-8")

    digests = [
        load_package(trained(tmp_path / name, config)).manifest.sha256 for name in ("one", "two")
    ]

    assert digests[0] == digests[1]


def test_an_output_folder_in_use_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, write_squares(tmp_path))

    with pytest.raises(ConfigurationError, match="not empty"):
        CliRunner().invoke(train, [str(config), "--output", str(tmp_path)], catch_exceptions=False)


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path / "none.npz")
    config.write_text(config.read_text() + "speed = 0.9\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"optimisation\.speed"):
        read_config(config)


def test_pickled_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(
        path,
        test_images=np.array([{"run": "me"}], dtype=object),
        test_labels=np.zeros((1, 1), dtype=np.uint8),
    )

    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_split(path, "test", 1)


def test_the_positive_class_may_be_zero(tmp_path: Path) -> None:
    path = write_squares(tmp_path)

    np.testing.assert_array_equal(
        read_split(path, "val", 0).targets, ~read_split(path, "val", 1).targets
    )


@pytest.mark.parametrize(
    "arrays",
    [
        {"test_images": np.zeros((2, 4, 4, 3), np.uint8), "test_labels": np.zeros((2, 1), int)},
        {"test_images": np.zeros((2, 4, 4), np.uint8), "test_labels": np.zeros((3, 1), int)},
        {"other_images": np.zeros((2, 4, 4), np.uint8)},
    ],
)
def test_data_of_another_form_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "data.npz", **arrays)

    with pytest.raises(ConfigurationError, match="test"):
        read_split(tmp_path / "data.npz", "test", 1)


def test_augmentation_of_nothing_changes_nothing() -> None:
    still = Augmentation(
        rotation_degrees=0,
        translation=0,
        scale=0,
        shear=0,
        flip=0,
        brightness=0,
        contrast=0,
        gamma=0,
        noise=0,
    )
    images = torch.rand(3, 1, 12, 12)

    bent = augment(images, still, torch.Generator().manual_seed(0))

    torch.testing.assert_close(bent, images, atol=1e-5, rtol=0)


def test_augmentation_is_seeded_bounded_and_different_for_each_image() -> None:
    images = torch.rand(1, 1, 12, 12).repeat(2, 1, 1, 1)

    bent = augment(images, Augmentation(), torch.Generator().manual_seed(1))
    again = augment(images, Augmentation(), torch.Generator().manual_seed(1))

    torch.testing.assert_close(bent, again)
    assert not torch.allclose(bent[0], bent[1])
    assert bent.min() >= 0
    assert bent.max() <= 1


def test_a_flip_is_a_mirror_image() -> None:
    flipped = Augmentation(
        rotation_degrees=0,
        translation=0,
        scale=0,
        shear=0,
        flip=1,
        brightness=0,
        contrast=0,
        gamma=0,
        noise=0,
    )
    images = torch.rand(2, 1, 12, 12)

    bent = augment(images, flipped, torch.Generator())

    torch.testing.assert_close(bent, images.flip(-1), atol=1e-5, rtol=0)


def test_figures_are_those_of_the_textbook() -> None:
    probabilities = torch.tensor([0.9, 0.8, 0.5, 0.4, 0.2, 0.1])
    targets = torch.tensor([1, 0, 1, 1, 0, 0])

    measured = evaluate_probabilities(probabilities, targets, 0.5)

    assert measured.confusion == {
        "true_positive": 2,
        "false_positive": 1,
        "true_negative": 2,
        "false_negative": 1,
    }
    assert measured.metrics["precision"] == pytest.approx(2 / 3)
    assert measured.metrics["specificity"] == pytest.approx(2 / 3)
    assert measured.metrics["auroc"] == pytest.approx(7 / 9)
    assert set(measured.metrics) == {
        "auroc",
        "auprc",
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "f1",
        "mcc",
        "ece",
        "brier",
    }


def test_written_toml_reads_back() -> None:
    folder = Path(__file__).resolve().parents[4] / "workers/models/bundled/cxr-pneumonia"
    table = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    manifest = Manifest.model_validate(table)
    odd = manifest.model_copy(update={"intended_use": 'tab\t "quote" \\ \x7f é 中'})

    written = toml_of(odd.model_dump(mode="json", exclude_none=True))

    assert Manifest.model_validate(tomllib.loads(written)) == odd
