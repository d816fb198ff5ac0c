"""Several processes that train together come to what one alone comes to."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from points import train_in
from squares import write_config, write_squares
from workers.training.checkpoint import CHECKPOINT_NAME
from workers.training.distributed import Team, in_team
from workers.training.history import read_history

# Several processes load torch, which takes its time on a busy machine.
SLOW = pytest.mark.timeout(300)


@pytest.mark.integration
@SLOW
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    for size in (1, 2):
        in_team(size, "cpu", partial(train_in, to=tmp_path / f"{size}.safetensors"))

    alone, together = (load_file(tmp_path / f"{size}.safetensors") for size in (1, 2))
    for name, weights in alone.items():
        torch.testing.assert_close(weights, together[name], atol=1e-5, rtol=1e-4)


@pytest.mark.integration
@SLOW
def test_the_command_trains_with_two_processes(tmp_path: Path) -> None:
    config = write_config(tmp_path, write_squares(tmp_path))
    config.write_text(config.read_text().replace("epochs = 6", "epochs = 2"), encoding="utf-8")
    command = [Path(sys.executable).with_name("medqueue"), "train", config, "--processes", "2"]

    ended = subprocess.run(
        [*command, "--output", tmp_path / "out", "--device", "cpu", "--json"],
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout)["model"] == "squares"
    assert len(read_history(tmp_path / "out")) == 2
    assert not (tmp_path / "out" / CHECKPOINT_NAME).exists()


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_parts_of_a_batch_count_as_the_whole(count: int) -> None:
    inputs, targets = torch.arange(2.0 * count).view(count, 2), torch.arange(float(count))
    parts = [Team(rank, 3).part(inputs, targets) for rank in range(3)]

    mean = sum(part[1].mean() * part[2] for part in parts) / 3

    assert float(mean) == pytest.approx(float(targets.mean()))
    assert all(len(part[0]) == len(part[1]) > 0 for part in parts)


def test_one_process_alone_is_left_as_it_is() -> None:
    network, team = nn.Linear(2, 1), Team()

    assert team.join(network) is network
    assert team.mean(0.5) == 0.5
    assert team.of_first(lambda: [1.0, 2.0], 2) == [1.0, 2.0]
