"""A training as the one who started it sees it: a bar on a terminal, a line an epoch elsewhere."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from workers.training.progress import Epoch, Start


class TrainingBar:
    """Shows the batches of a training.

    Args:
        console: Where; by default standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bar = self._progress.add_task("training")
        self._steps, self._of = 0, 0

    def begin(self, start: Start) -> None:
        """Show the bar, and where an earlier process came to."""
        self._steps, self._of = start.batches, start.of
        self._progress.start()
        if start.epochs:
            self._console.print(f"resumed after epoch {len(start.epochs)}/{start.of}")
        self._show(len(start.epochs))

    def batch(self, done: int) -> None:
        """Move the bar."""
        before = self._progress.tasks[self._bar].fields["epochs"] * self._steps
        self._progress.update(self._bar, completed=before + done)

    def epoch(self, epoch: Epoch) -> None:
        """Write the epoch's figures, and go on to the next."""
        figures = " ".join(f"{name} {value:.4f}" for name, value in epoch.validation.items())
        self._console.print(
            f"epoch {epoch.number}/{epoch.of} loss {epoch.loss:.4f} "
            f"rate {epoch.learning_rate:.1e} val {figures}"
        )
        self._show(epoch.number)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def _show(self, epochs: int) -> None:
        self._progress.update(
            self._bar,
            description=f"epoch {min(epochs + 1, self._of)}/{self._of}",
            completed=epochs * self._steps,
            total=self._of * self._steps,
            epochs=epochs,
        )
