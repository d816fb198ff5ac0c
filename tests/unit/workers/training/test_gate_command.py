"""`medqueue models gate`: figures of a gate on its own images and on others."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from medqueue.errors import ConfigurationError
from workers.training.gate_command import gate, measure_gate

BREAST = "breast-us"


def images(path: Path, pixels: NDArray[np.uint8]) -> Path:
    labels = np.arange(len(pixels)).reshape(-1, 1) % 2
    np.savez(path, val_images=pixels, val_labels=labels)
    return path


def test_noise_is_told_from_smooth_images_by_a_bundled_gate(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)
    # Dark below, as ultrasound is: near enough for a gate that has seen nothing else.
    y = np.mgrid[:28, :28][0]
    smooth = np.stack([np.clip(140 - 4 * y + level, 0, 255) for level in range(20)])

    answer = CliRunner().invoke(
        gate,
        [
            BREAST,
            "--data",
            str(images(tmp_path / "own.npz", smooth.astype(np.uint8))),
            "--foreign",
            str(images(tmp_path / "foreign.npz", noise)),
            "--json",
        ],
    )

    figures = json.loads(answer.output)
    assert (figures["model"], figures["own"], figures["foreign"]) == (BREAST, 20, 20)
    assert figures["auroc"] == 1
    assert figures["foreign_refused"] == 1


def test_a_package_without_a_gate_has_nothing_to_measure(tmp_path: Path) -> None:
    some = images(tmp_path / "some.npz", np.zeros((2, 28, 28), dtype=np.uint8))

    with pytest.raises(ConfigurationError, match="no gate"):
        measure_gate("chest-rnn", some, some, "val")
