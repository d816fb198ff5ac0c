"""A training that is killed goes on where it was, and ends with the weights that it would have had.

Real processes are killed with SIGKILL after a random step.
"""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from medqueue.errors import ConfigurationError
from squares import trained, write_config, write_squares
from waiting import wait_until
from workers.training.checkpoint import CHECKPOINT_NAME
from workers.training.commands import train
from workers.training.history import HISTORY_NAME, read_history

# The bits depend on the number of threads; the killed process is given one, too.
torch.set_num_threads(1)

STEPS = 6 * 6
"""Batches in an epoch, times epochs; of the configuration in `squares`."""
WAYS = {
    "as by default": "",
    "everything else": """
optimiser = "sgd"
nesterov = true
schedule = "cosine"
warm_up = 0.1
loss = "focal"
accumulate = 2
clip_norm = 1.0
patience = 6
monitor = "auroc"
""",
}


def config_of(folder: Path, extra: str = "") -> Path:
    config = write_config(folder, write_squares(folder))
    text = config.read_text().replace("blocks = 1", "blocks = 1, dropout = 0.2")
    config.write_text(text + extra, encoding="utf-8")
    return config


def steps_done(folder: Path) -> int:
    """Return how many batches the checkpoint knows."""
    if not (folder / CHECKPOINT_NAME).exists():
        return -1
    # Its header alone, in one reading: the file is replaced all the time.
    with (folder / CHECKPOINT_NAME).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    content = json.loads(header["__metadata__"]["medqueue"])
    state: dict[str, Any] = dict(content["state"]["items"])
    return len(state["epochs"]) * 6 + state["done"]


@contextmanager
def training(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    medqueue = Path(sys.executable).with_name("medqueue")
    command = [medqueue, "train", config, "--output", folder, "--checkpoint-seconds", "0"]
    process = subprocess.Popen(
        command, env={"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_after(config: Path, folder: Path, steps: int) -> None:
    """Train, and kill as soon as so many steps are done."""
    with training(config, folder) as process:
        wait_until(lambda: process.poll() is not None or steps_done(folder) >= steps, seconds=120)


@pytest.mark.integration
@pytest.mark.timeout(300)  # three processes load torch, one after another
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_a_random_step_it_ends_with_the_same_weights(tmp_path: Path, way: str) -> None:
    config = config_of(tmp_path, WAYS[way])
    unbroken = trained(tmp_path / "unbroken", config)
    first = random.randrange(1, STEPS // 2)  # noqa: S311 - any step will do
    second = random.randrange(STEPS // 2, STEPS * 2 // 3)  # noqa: S311 - see above

    for steps in (first, second):
        kill_after(config, tmp_path / "broken", steps)
        assert (tmp_path / "broken" / CHECKPOINT_NAME).exists(), f"killed after {steps}: too late"
    broken = trained(tmp_path / "broken", config)

    for name in ("weights.safetensors", HISTORY_NAME):
        assert (broken / name).read_bytes() == (unbroken / name).read_bytes(), (first, second)
    assert [line["epoch"] for line in read_history(broken)] == [1, 2, 3, 4, 5, 6]
    assert not (broken / CHECKPOINT_NAME).exists()


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration, its data, and a training in `out` that was killed."""
    folder = tmp_path_factory.mktemp("cut-off")
    kill_after(config_of(folder), folder / "out", 8)
    return folder


def copy_of(cut_off: Path, folder: Path) -> tuple[Path, Path]:
    """Return a configuration and a folder to spoil; the data lie where they were."""
    (folder / "out").mkdir()
    for name in ("train.toml", f"out/{CHECKPOINT_NAME}"):
        (folder / name).write_bytes((cut_off / name).read_bytes())
    return folder / "train.toml", folder / "out"


def refused(config: Path, folder: Path, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        CliRunner().invoke(train, [str(config), "--output", str(folder)], catch_exceptions=False)


@pytest.mark.integration
def test_another_configuration_does_not_go_on_with_a_checkpoint(
    cut_off: Path, tmp_path: Path
) -> None:
    config, folder = copy_of(cut_off, tmp_path)
    config.write_text(config.read_text().replace("0.02\nema", "0.03\nema"), encoding="utf-8")

    refused(config, folder, r"other values of config\.optimisation\.learning_rate")


@pytest.mark.integration
def test_a_checkpoint_that_is_broken_is_refused_and_never_run(
    cut_off: Path, tmp_path: Path
) -> None:
    config, folder = copy_of(cut_off, tmp_path)
    (folder / CHECKPOINT_NAME).write_bytes(b"\x80\x04cos\nsystem\n")

    refused(config, folder, "no checkpoint of medqueue")


def test_a_finished_package_is_never_trained_over(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config.write_text(config.read_text().replace("epochs = 6", "epochs = 1"), encoding="utf-8")
    folder = trained(tmp_path / "out", config)

    refused(config, folder, "finished package")
