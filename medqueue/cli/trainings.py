"""`medqueue trainings`: where the queued trainings stand."""

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medqueue.ledger import schema
from medqueue.ledger import trainings as rows
from medqueue.ledger.engine import open_ledger
from medqueue.settings import load_settings
from schemas.training import QueuedTraining


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON, one a line.")
def trainings(as_json: bool) -> None:
    """List the queued trainings, the newest first, with the reason where one failed.

    Example: medqueue trainings
    """
    ledger = open_ledger(load_settings().ledger_url)
    try:
        schema.require_current(ledger)
        found = rows.everything(ledger)
    finally:
        ledger.close()
    if as_json:
        for training in found:
            click.echo(json.dumps(asdict(training), default=lambda moment: moment.isoformat()))
        return
    Console().print(_table(found) if found else "no training was queued")


def _table(found: list[QueuedTraining]) -> Table:
    table = Table("id", "state", "folder", "queued", "error")
    for training in found:
        error = f"{training.error_code}: {training.error_detail}" if training.error_code else ""
        queued = training.created_at.strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(training.id, training.state, escape(training.folder), queued, escape(error))
    return table
