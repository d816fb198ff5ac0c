"""How the demo looks: a live table on a terminal, plain lines elsewhere, and the final table."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from medqueue.operate.demo_progress import STEPS, Tracked
from schemas.finding import Presence
from schemas.result import Result

_REFRESHES_A_SECOND = 10
_ROOMY = 110
"""Columns of text from which on the table shows what the titles tell already."""
_STYLES = {Presence.PRESENT: "bold", Presence.UNCERTAIN: "italic", Presence.ABSENT: "dim"}


class ProgressView:
    """Shows inputs on their way; on anything but a terminal, one line when an input has ended."""

    def __init__(self, console: Console, *, silent: bool) -> None:
        self._console = console
        self._silent = silent
        self._told: set[int] = set()
        live = console.is_terminal and not silent
        self._live = Live(console=console, refresh_per_second=_REFRESHES_A_SECOND) if live else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print one line above the display."""
        if not self._silent:
            self._console.print(line, highlight=False)

    def show(self, tracked: Sequence[Tracked]) -> None:
        """Bring the display up to date."""
        if self._live is not None:
            self._live.update(_paths(tracked))
        elif not self._silent:
            for number, one in enumerate(tracked):
                if one.result is not None and number not in self._told:
                    self._told.add(number)
                    path = " > ".join(one.steps)
                    self._console.print(
                        f"  {one.item.title}: {path} {one.result.status}, {one.seconds:.1f} s",
                        highlight=False,
                        soft_wrap=True,
                    )


def outcome_table(tracked: Sequence[Tracked], *, width: int) -> Table:
    """Return the table of all inputs and how they ended, fit for so many columns of text."""
    roomy = width >= _ROOMY
    table = Table(
        title="Results (time: from the last byte to the result)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("input")
    if roomy:
        table.add_column("kind")
    table.add_column("expected", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("findings or reason", overflow="fold", ratio=1)
    table.add_column("model")
    table.add_column("time", justify="right", no_wrap=True)
    for one in tracked:
        result = one.result
        seconds = "-" if one.seconds is None else f"{one.seconds:.2f} s"
        table.add_row(
            one.item.title,
            *([one.item.kind] if roomy else []),
            one.item.expected,
            Text(result.status if result else "missing", "green" if one.as_expected else "red"),
            describe(result),
            f"{result.model.name}\n{result.model.version}" if result else "-",
            seconds,
        )
    return table


def describe(result: Result | None) -> Text:
    """Return the findings of a result, or why it has none."""
    if result is None:
        return Text("-")
    if result.error is not None:
        return Text(f"{result.error.code}: {result.error.detail}")
    parts = []
    for finding in result.findings:
        number = "" if finding.probability is None else f" {finding.probability:.2f}"
        parts.append(Text(f"{finding.label} {finding.presence}{number}", _STYLES[finding.presence]))
    return Text("\n").join(parts)


def _paths(tracked: Sequence[Tracked]) -> Table:
    table = Table.grid(padding=(0, 2))
    for one in tracked:
        path = Text()
        for step in STEPS[one.item.kind]:
            path.append(f"{step} ", "green" if step in one.steps else "dim")
            path.append("> " if step != "result" else "", "dim")
        if one.result is not None:
            path.append(one.result.status, "bold" if one.as_expected else "bold red")
        table.add_row(one.item.title, path)
    return table
