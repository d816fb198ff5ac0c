"""From a configuration file to a package in a folder, gone on with where a killed process was."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch

from medqueue.errors import ConfigurationError
from medqueue.storage.packages import MANIFEST_NAME
from schemas.manifest import Manifest
from workers.training.checkpoint import CHECKPOINT_NAME, Checkpoint
from workers.training.config import ImageTraining, TextTraining, read_config
from workers.training.distributed import Team, in_team
from workers.training.evaluate import Evaluation
from workers.training.event_files import EventFiles
from workers.training.history import History
from workers.training.loop import Run
from workers.training.measure import CONFIG_NAME
from workers.training.packaging import write_package
from workers.training.progress import Several, Unwatched, Watch
from workers.training.recipes import Trained, train_images, train_texts
from workers.training.training_bar import TrainingBar

Show = Callable[[Manifest, Evaluation], None]
"""Is given the package, and what was measured on the val split."""


def train_package(
    config: Path, folder: Path, show: Show, *, processes: int, device: str, seconds: float
) -> None:
    """Train as a file says, and write the package.

    Args:
        config: The file.
        folder: Of the package; empty, not there, or of the same training that was cut off.
        show: A function of a module, or a partial of one; called when the package is written.
        processes: That train together.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        seconds: Between two checkpoints.
    """
    chosen = device_of(device, processes)
    read_config(config)
    check_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    in_team(processes, chosen, partial(_work, config, folder, show, seconds))


def device_of(wanted: str, processes: int) -> str:
    """Return `cpu` or `cuda` for `auto`, and refuse more processes than there are GPUs."""
    chosen = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if chosen == "cuda" and torch.cuda.device_count() < processes:
        raise ConfigurationError(
            f"--device cuda: {processes} processes need as many GPUs; "
            f"here are {torch.cuda.device_count()}: name fewer, or --device cpu"
        )
    return chosen


def train_as(config: ImageTraining | TextTraining, run: Run) -> Trained:
    """Train a model of images or of texts."""
    if isinstance(config, ImageTraining):
        return train_images(config, run)
    return train_texts(config, run)


def _work(path: Path, folder: Path, show: Show, seconds: float, team: Team) -> None:
    config = read_config(path)
    owner = {"config": config.model_dump(mode="json"), "processes": team.size}
    checkpoint = Checkpoint(folder, owner, seconds=seconds)
    with _watched(folder, team) as watch:
        trained = train_as(config, Run(watch, checkpoint, team))
    if team.rank == 0:
        shutil.copyfile(path, folder / CONFIG_NAME)
        manifest = write_package(folder, trained, config.package, datetime.now(UTC).date())
        checkpoint.remove()
        show(manifest, trained.measured)


@contextmanager
def _watched(folder: Path, team: Team) -> Iterator[Watch]:
    """Yield who is told: only the first process of a team speaks."""
    if team.rank:
        yield Unwatched()
        return
    with ExitStack() as stack:
        bar = stack.enter_context(closing(TrainingBar()))
        events = stack.enter_context(closing(EventFiles(folder)))
        yield Several(bar, History(folder), events)


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a training that was cut off."""
    if (folder / MANIFEST_NAME).exists():
        raise ConfigurationError(f"{folder}: holds a finished package; name a new folder")
    if (folder / CHECKPOINT_NAME).exists():
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder}: is not empty; name a new folder for the package")
