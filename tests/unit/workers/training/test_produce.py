"""What stands in the folder of a training, and what the one who started it sees."""

import struct
from io import StringIO
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event

from medqueue.errors import ConfigurationError
from squares import trained, write_config, write_squares
from workers.inference.session import Session
from workers.models.package import load_package
from workers.training.commands import train
from workers.training.event_files import EVENTS_FOLDER
from workers.training.history import read_history
from workers.training.progress import Epoch, Start
from workers.training.training_bar import TrainingBar

torch.set_num_threads(1)

NETWORKS = {
    "resnet": "{ depth = 10, width = 4, small_images = true }",
    "densenet": "{ width = 8, growth = 4, stages = 2 }",
    "vision-transformer": "{ size = 12, patch = 4, width = 8, heads = 2, layers = 1 }",
    "ensemble": '{ member = "residual-cnn", members = 2, width = 4, blocks = 1, mirror = true }',
}
EPOCH = Epoch(1, 2, 4, 0.5, 0.001, {"loss": 0.25, "auroc": 0.75, "accuracy": 0.5})


def config_of(folder: Path, network: str = "", parameters: str = "") -> Path:
    config = write_config(folder, write_squares(folder))
    text = config.read_text().replace("epochs = 6", "epochs = 2")
    if network:
        text = text.replace('"residual-cnn"', f'"{network}"')
        text = text.replace("{ width = 4, blocks = 1, mirror = true }", parameters)
    config.write_text(text, encoding="utf-8")
    return config


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_of_any_architecture_is_trained_and_served(tmp_path: Path, network: str) -> None:
    config = config_of(tmp_path, network, NETWORKS[network])

    package = load_package(trained(tmp_path / "out", config))

    assert package.manifest.architecture == network
    Session(package)


def points(folder: Path) -> dict[str, list[int]]:
    """Return the steps at which each curve of TensorBoard has a point."""
    found: dict[str, list[int]] = {}
    for file in sorted((folder / EVENTS_FOLDER).iterdir()):
        content = file.read_bytes()
        # A record is its length, a check sum of it, the event, and a check sum of that.
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
            content = content[16 + length :]
    return found


def test_the_history_and_the_curves_have_every_epoch(tmp_path: Path) -> None:
    folder = trained(tmp_path / "out", config_of(tmp_path))

    lines = read_history(folder)

    assert [(line["epoch"], line["of"], line["step"]) for line in lines] == [(1, 2, 6), (2, 2, 12)]
    assert lines[1]["val"].keys() == {"loss", "auroc", "accuracy"}
    curves = ("loss/train", "learning_rate", "loss/val", "auroc/val", "accuracy/val")
    assert points(folder) == {curve: [6, 12] for curve in curves}


def test_a_package_that_was_not_trained_here_has_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []


def shown(*, terminal: bool, start: Start) -> str:
    told = StringIO()
    bar = TrainingBar(Console(file=told, force_terminal=terminal, width=100, highlight=False))
    bar.begin(start)
    bar.batch(3)
    bar.epoch(EPOCH)
    bar.close()
    return told.getvalue()


def test_without_a_terminal_there_is_a_line_for_each_epoch() -> None:
    assert shown(terminal=False, start=Start((), 2, 4)) == (
        "epoch 1/2 loss 0.5000 rate 1.0e-03 val loss 0.2500 auroc 0.7500 accuracy 0.5000\n"
    )


def test_on_a_terminal_there_is_a_bar() -> None:
    told = shown(terminal=True, start=Start((), 2, 4))

    assert "━" in told
    assert "4/8" in told
    assert "loss 0.5000" in told


def test_a_training_that_goes_on_says_from_where() -> None:
    assert "resumed after epoch 1/3" in shown(terminal=False, start=Start((EPOCH,), 3, 4))


def test_more_processes_than_gpus_are_refused(tmp_path: Path) -> None:
    command = [str(config_of(tmp_path)), "--output", str(tmp_path / "out"), "--device", "cuda"]

    with pytest.raises(ConfigurationError, match="--device cpu"):
        CliRunner().invoke(train, [*command, "--processes", "99"], catch_exceptions=False)


def test_a_team_is_not_queued(tmp_path: Path) -> None:
    command = [str(config_of(tmp_path)), "--output", str(tmp_path / "out"), "--queue"]

    outcome = CliRunner().invoke(train, [*command, "--processes", "2"])

    assert outcome.exit_code == 2
    assert "one process" in outcome.output
