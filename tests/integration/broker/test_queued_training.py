"""A training in the queue: a real worker trains, says why it cannot, and is followed if it dies."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from medqueue.broker.app import create_app
from medqueue.broker.relay import Relay
from medqueue.broker.routing import TRAINING_QUEUE
from medqueue.ledger import trainings
from medqueue.ledger.engine import Ledger
from medqueue.operate.roles import console_script
from medqueue.operate.system import child_environment
from medqueue.settings import Settings
from schemas.training import QueuedTraining
from schemas.work import WorkState
from squares import write_config, write_squares
from valkey_server import Broker
from waiting import wait_until
from workers.training.checkpoint import CHECKPOINT_NAME
from workers.training.history import read_history

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SECONDS = 120.0


@pytest.fixture
def settings(own_broker: Broker, sqlite_url: str) -> Settings:
    return own_broker.settings.model_copy(update={"database_url": sqlite_url, "lease_seconds": 2.0})


@contextmanager
def trainer(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(console_script()), "worker", "--role", "train"],
            env=child_environment(settings) | {"OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def queue(settings: Settings, config: Path, folder: Path) -> str:
    """Queue as a person does, from the folder of the configuration."""
    ended = subprocess.run(
        [console_script(), "train", config.name, "--output", folder, "--queue", "--json"],
        env=child_environment(settings),
        cwd=config.parent,
        capture_output=True,
        check=True,
    )
    return str(json.loads(ended.stdout)["training"])


def relative_config(folder: Path, **replaced: str) -> Path:
    """A configuration whose data stand beside it."""
    config = write_config(folder, write_squares(folder).relative_to(folder))
    text = config.read_text()
    for old, new in replaced.items():
        text = text.replace(f"{old} = ", f"{old} = {new} # ")
    config.write_text(text, encoding="utf-8")
    return config


def only(ledger: Ledger) -> QueuedTraining:
    (found,) = trainings.everything(ledger)
    return found


def test_a_worker_trains_and_its_failure_is_seen(
    settings: Settings, sqlite_ledger: Ledger, own_broker: Broker, tmp_path: Path
) -> None:
    config = relative_config(tmp_path, epochs="1")
    done = queue(settings, config, tmp_path / "out")
    assert [message.queue for message in own_broker.messages()] == [TRAINING_QUEUE]
    assert own_broker.ids() == [done]
    # What was queued is a copy: this is another training, whose data are not there.
    config.write_text(config.read_text().replace("squares.npz", "gone.npz"), encoding="utf-8")
    failed = queue(settings, config, tmp_path / "none")

    with trainer(settings, tmp_path / "worker.log"):
        wait_until(
            lambda: all(one.finished_at for one in trainings.everything(sqlite_ledger)), SECONDS
        )

    states = {one.id: (one.state, one.error_code) for one in trainings.everything(sqlite_ledger)}
    assert states == {
        done: (WorkState.DONE, None),
        failed: (WorkState.FAILED, "configuration"),
    }
    assert (tmp_path / "out" / "manifest.toml").exists()
    listed = subprocess.run(
        [console_script(), "trainings"],
        env=child_environment(settings) | {"COLUMNS": "300"},
        capture_output=True,
        check=True,
    )
    assert b"gone.npz" in listed.stdout


def test_a_training_goes_on_when_its_worker_is_killed(
    settings: Settings, sqlite_ledger: Ledger, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    queue(settings, relative_config(tmp_path, epochs="40"), folder)
    relay = Relay(sqlite_ledger, create_app(settings), settings)

    with trainer(settings, tmp_path / "worker.log") as worker:
        wait_until(lambda: len(read_history(folder)) >= 2, SECONDS)
        for process in psutil.Process(worker.pid).children(recursive=True):
            process.kill()
        worker.kill()
    assert (folder / CHECKPOINT_NAME).exists()
    epochs = len(read_history(folder))

    def is_done() -> bool:
        relay.step()
        return only(sqlite_ledger).state is WorkState.DONE

    with trainer(settings, tmp_path / "worker.log"):
        wait_until(is_done, SECONDS)

    assert only(sqlite_ledger).attempts == 2
    assert [line["epoch"] for line in read_history(folder)] == list(range(1, 41))
    assert epochs < 40
