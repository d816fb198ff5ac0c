"""The curves of a training as TensorBoard event files: `tensorboard --logdir FOLDER` shows them."""

from pathlib import Path

from tensorboardX import SummaryWriter

from workers.training.progress import Epoch, Start

EVENTS_FOLDER = "tensorboard"


class EventFiles:
    """Writes the curves of one training into a folder below its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / EVENTS_FOLDER
        self._writer: SummaryWriter | None = None

    def begin(self, start: Start) -> None:
        """Open a file. What a killed process drew after the epochs that count is hidden."""
        after = start.epochs[-1].step + 1 if start.epochs else 0
        self._writer = SummaryWriter(str(self._folder), purge_step=after)

    def batch(self, done: int) -> None:
        """Draw nothing: a point is of an epoch."""

    def epoch(self, epoch: Epoch) -> None:
        """Draw its figures over the steps of the optimiser."""
        if self._writer is None:
            return
        values = {"loss/train": epoch.loss, "learning_rate": epoch.learning_rate}
        values |= {f"{name}/val": value for name, value in epoch.validation.items()}
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch.step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
