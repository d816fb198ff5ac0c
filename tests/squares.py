"""The smallest training there is: squares in noise, learnt in a second."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from workers.training.commands import train

CONFIG = """
[data]
path = "{data}"
[package]
name = "squares"
version = "1.0.0"
architecture = "residual-cnn"
parameters = {{ width = 4, blocks = 1, mirror = true }}
intended_use = "a test with \\"quotes\\", a \\\\ and a line\\nbreak"
licence = "none"
data_provenance = "made up"
accepts = {{}}
[package.preparation]
size = [12, 12]
mean = 0.4
std = 0.2
[package.label]
name = "Square"
[optimisation]
epochs = 6
batch_size = 16
learning_rate = 0.02
ema_decay = 0.8
"""


def write_squares(folder: Path) -> Path:
    """Noise, with a bright square in the middle of half of the images."""
    chance = np.random.default_rng(3)
    arrays = {}
    for split, count in (("train", 96), ("val", 40), ("test", 30)):
        images = chance.integers(0, 120, (count, 12, 12), dtype=np.uint8)
        labels = (np.arange(count) % 2)[:, np.newaxis].astype(np.uint8)
        images[labels[:, 0] == 1, 4:8, 4:8] += 80
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    path = folder / "squares.npz"
    np.savez(path, **arrays)
    return path


def write_config(folder: Path, data: Path) -> Path:
    path = folder / "train.toml"
    path.write_text(CONFIG.format(data=data.as_posix()), encoding="utf-8")
    return path


def trained(folder: Path, config: Path) -> Path:
    outcome = CliRunner().invoke(
        train, [str(config), "--output", str(folder), "--json"], catch_exceptions=False
    )
    assert outcome.exit_code == 0
    return folder
