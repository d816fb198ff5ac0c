"""Several processes that train together come to what one alone comes to."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from squares import write_config, write_squares
from workers.training.checkpoint import CHECKPOINT_NAME
from workers.training.distributed import Team

TRANSFORMER = 'architecture = "vision-transformer"'
WITHOUT_BATCH_STATISTICS = "{ size = 12, patch = 4, width = 8, heads = 2, layers = 1 }"
"""Those of a part of a batch differ from those of the whole."""


def config_of(folder: Path) -> Path:
    config = write_config(folder, write_squares(folder))
    text = config.read_text().replace('architecture = "residual-cnn"', TRANSFORMER)
    text = text.replace("{ width = 4, blocks = 1, mirror = true }", WITHOUT_BATCH_STATISTICS)
    # Adam would make much of the smallest gradients, and with them of how they were rounded.
    config.write_text(text + 'optimiser = "sgd"\nschedule = "cosine"\n', encoding="utf-8")
    return config


def trained_by(processes: int, config: Path, folder: Path) -> dict[str, Any]:
    medqueue = Path(sys.executable).with_name("medqueue")
    command = [medqueue, "train", config, "--output", folder, "--processes", str(processes)]
    ended = subprocess.run(
        [*command, "--device", "cpu", "--json"],
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    printed: dict[str, Any] = json.loads(ended.stdout)
    return printed


@pytest.mark.integration
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    config = config_of(tmp_path)

    alone = trained_by(1, config, tmp_path / "one")
    together = trained_by(2, config, tmp_path / "two")

    assert alone["metrics"]["auroc"] == pytest.approx(together["metrics"]["auroc"], abs=1e-3)
    one, two = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for name, weights in one.items():
        torch.testing.assert_close(weights, two[name], atol=1e-4, rtol=1e-3)
    assert not (tmp_path / "two" / CHECKPOINT_NAME).exists()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_parts_of_a_batch_count_as_the_whole(count: int) -> None:
    inputs, targets = torch.arange(2.0 * count).view(count, 2), torch.arange(float(count))
    parts = [Team(rank, 3).part(inputs, targets) for rank in range(3)]

    mean = sum(part[1].mean() * part[2] for part in parts) / 3

    assert float(mean) == pytest.approx(float(targets.mean()))
    assert all(len(part[0][0]) == len(part[1]) > 0 for part in parts)


def test_one_process_alone_is_left_as_it_is() -> None:
    network, team = nn.Linear(2, 1), Team()

    assert team.join(network) is network
    assert team.mean(0.5) == 0.5
    assert team.of_first(lambda: [1.0, 2.0], 2) == [1.0, 2.0]
