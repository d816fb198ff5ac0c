"""The progress bar of commands that move objects."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def transfer_bar(verb: str, *, silent: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on standard error, and yield what tells it how many of how many are done."""
    progress = Progress(
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=silent,
    )
    with progress:
        bar = progress.add_task(verb, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
