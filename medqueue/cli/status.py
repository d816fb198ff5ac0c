"""`medqueue status`: studies, texts, work, queues, workers, and what is stuck."""

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from medqueue.broker.app import create_app
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate.status import Status, take_status
from medqueue.settings import load_settings

_STUCK_EXIT = 3


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show studies and texts by state, work, queue depths, workers and what is stuck.

    Exits with 3 if something is stuck, and says how to mend it.

    Example: medqueue status --json
    """
    settings = load_settings()
    with closing(open_ledger(settings.ledger_url)) as ledger:
        schema.require_current(ledger)
        found = take_status(settings, ledger, create_app(settings), now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
    else:
        _show(Console(), found)
    sys.exit(_STUCK_EXIT if found.stuck else 0)


def _as_json(found: Status) -> dict[str, object]:
    overview = found.overview
    return {
        "studies": overview.studies,
        "reports": overview.reports,
        "results": {
            f"{kind}.{status_}": count for (kind, status_), count in overview.results.items()
        },
        "refusals": overview.refusals,
        "work": [asdict(row) for row in found.work],
        "oldest_waiting_seconds": overview.waiting_seconds,
        "queues": found.queues,
        "workers": found.workers,
        "runs_here": found.runs_here,
        "doors": found.doors,
        "drifting": found.drifting,
        "stuck": [asdict(reason) for reason in found.stuck],
    }


def _show(console: Console, found: Status) -> None:
    overview = found.overview
    lines = Table.grid(padding=(0, 2))
    lines.add_row("studies", _counts(overview.studies.items()))
    lines.add_row("texts", str(overview.reports))
    results = {f"{kind} {status_}": n for (kind, status_), n in overview.results.items() if n}
    lines.add_row("results", _counts(results.items()))
    lines.add_row("refused", _counts(overview.refusals.items()))
    queues = {name: depth for name, depth in (found.queues or {}).items() if depth}
    depths = _counts(queues.items()) if found.queues is not None else "the broker does not answer"
    lines.add_row("queues", depths)
    waiting = {stage: s for stage, s in overview.waiting_seconds.items() if s}
    lines.add_row("oldest", ", ".join(f"{s:.0f} s {stage}" for stage, s in waiting.items()) or "-")
    lines.add_row("workers", ", ".join(found.workers) or "none")
    lines.add_row("doors", _doors(found))
    console.print(lines)
    if found.work:
        console.print(_work_table(found))
    for drifting in found.drifting:
        console.print(
            f"[bold yellow]drift:[/] {drifting}\n  -> medqueue models drift", soft_wrap=True
        )
    for reason in found.stuck:
        console.print(f"[bold red]stuck:[/] {reason.what}\n  -> {reason.cure}", soft_wrap=True)


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts) or "-"


def _doors(found: Status) -> str:
    words = [f"{name} {'open' if is_open else 'closed'}" for name, is_open in found.doors.items()]
    return ", ".join(words) + ("" if found.runs_here else " (no `medqueue up` on this folder)")


def _work_table(found: Status) -> Table:
    table = Table("stage", "state", "priority")
    table.add_column("count", justify="right")
    for row in found.work:
        priority = "urgent" if row.urgent else "routine"
        table.add_row(row.stage, row.state, priority, str(row.count))
    return table
