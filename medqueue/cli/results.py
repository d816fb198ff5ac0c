"""`medqueue results`: reads the results feed from the ledger."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.results.feed import START, parse_cursor, read_feed
from medqueue.settings import load_settings
from schemas.finding import Finding, Presence
from schemas.result import Result, ResultStatus

_PAGE = 500
"""Results read at once, so that a long feed needs little memory."""
_POLL_SECONDS = 0.25
"""How often `--follow` looks; a person does not see the difference to less."""

_PIPED_WIDTH = 160
"""Columns where there is no terminal to ask, so that lines in a file do not fold."""

_STATUS_STYLES = {
    ResultStatus.FINAL: "green",
    ResultStatus.AMENDED: "cyan",
    ResultStatus.FAILED: "bold red",
    ResultStatus.SKIPPED: "yellow",
}
_PRESENCE_STYLES = {Presence.PRESENT: "red", Presence.UNCERTAIN: "yellow", Presence.ABSENT: "dim"}


@click.command()
@click.option("--after", metavar="CURSOR", help="Begin after this cursor; default: the beginning.")
@click.option("--follow", is_flag=True, help="Keep waiting for new results until Ctrl-C.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N results.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as over HTTP.")
def results(after: str | None, follow: bool, limit: int | None, as_json: bool) -> None:
    """Read the results feed: every result once, in a stable order.

    The next cursor is printed last; give it as --after to go on from there. With --json it goes
    to stderr, so that stdout holds results only.

    Example: medqueue results --follow --json
    """
    parse_cursor(after)
    cursor = after or START
    show = _show_json if as_json else _Tables().show
    with closing(open_ledger(load_settings().ledger_url)) as ledger:
        schema.require_current(ledger)
        # Ctrl-C is how --follow ends.
        with suppress(KeyboardInterrupt):
            for page, following in _pages(ledger, cursor, follow=follow, limit=limit):
                show(page)
                cursor = following
    if cursor == (after or START):
        click.echo("no results" if after is None else "no new results", err=as_json)
    click.echo(f"next cursor: {cursor}", err=as_json)


def _pages(
    ledger: Ledger, cursor: str, *, follow: bool, limit: int | None
) -> Iterator[tuple[list[Result], str]]:
    """Yield pages with their next cursors until the limit or, unless following, the end."""
    left = limit
    while left is None or left > 0:
        wanted = _PAGE if left is None else min(left, _PAGE)
        page, cursor = read_feed(ledger, after=cursor, limit=wanted)
        if page:
            yield page, cursor
            left = None if left is None else left - len(page)
        elif follow:
            time.sleep(_POLL_SECONDS)
        else:
            return


def _show_json(page: list[Result]) -> None:
    for result in page:
        click.echo(result.model_dump_json())


class _Tables:
    """Shows pages one below the other as if they were one table."""

    def __init__(self) -> None:
        self._console = Console()
        if not self._console.is_terminal:
            self._console.width = _PIPED_WIDTH
        self._is_first = True

    def show(self, page: list[Result]) -> None:
        self._console.print(_table(page, with_header=self._is_first))
        self._is_first = False


def _table(page: list[Result], *, with_header: bool) -> Table:
    table = Table(box=None, show_header=with_header, header_style="bold", expand=True)
    table.add_column("UTC", width=14, no_wrap=True)
    table.add_column("Kind", width=5)
    table.add_column("Status", width=7)
    # Ratios, not contents, give these widths, so that the pages of --follow line up.
    table.add_column("Study or report", ratio=5, overflow="fold")
    table.add_column("Model", ratio=4, overflow="fold")
    table.add_column("Findings", ratio=6, overflow="fold")
    for result in page:
        table.add_row(
            f"{result.completed_at:%m-%d %H:%M:%S}",
            result.kind,
            Text(result.status, style=_STATUS_STYLES[result.status]),
            _plain(result.report_id or result.study_instance_uid or ""),
            _plain(f"{result.model.name} {result.model.version}"),
            _summarise(result),
        )
    return table


def _summarise(result: Result) -> Text:
    if result.error is not None:
        return _plain(f"{result.error.code}: {result.error.detail}")
    return Text(", ").join(_describe(finding) for finding in result.findings)


def _describe(finding: Finding) -> Text:
    words = f"{finding.label} {finding.presence}"
    if finding.probability is not None:
        words += f" {finding.probability:.0%}"
    described = _plain(words)
    described.stylize(_PRESENCE_STYLES[finding.presence])
    return described


def _plain(text: str) -> Text:
    """Return a text that can neither style itself nor steer the terminal."""
    return Text("".join(character if character.isprintable() else "�" for character in text))
