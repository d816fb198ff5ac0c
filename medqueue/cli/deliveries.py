"""`medqueue deliveries`: results on their way to other systems - list, requeue."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medqueue.ledger import deliveries as ledger_deliveries
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.settings import load_settings
from schemas.delivery import Delivery, DeliveryState

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def deliveries() -> None:
    """List what is sent to other systems, and try again what they refused.

    Example: medqueue deliveries list --state failed
    """


@deliveries.command("list")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]))
@click.option("--destination", help="Of this destination only.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most.")
@_as_json
def list_(*, state: str | None, destination: str | None, limit: int, as_json: bool) -> None:
    """List deliveries, the newest first.

    Example: medqueue deliveries list --state failed --json
    """
    with _ledger() as ledger, ledger.read() as connection:
        found = ledger_deliveries.list_deliveries(
            connection,
            state=DeliveryState(state) if state else None,
            destination=destination,
            limit=limit,
        )
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
    elif not found:
        click.echo("no deliveries")
    else:
        Console().print(_table(found))


@deliveries.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every failed one.")
def requeue(*, ids: tuple[str, ...], everything: bool) -> None:
    """Try failed deliveries again.

    Example: medqueue deliveries requeue --all
    """
    if bool(ids) == everything:
        raise click.UsageError("give the ids to requeue, or --all")
    with _ledger() as ledger:
        count = ledger_deliveries.requeue(
            ledger,
            None if everything else ids,
            actor=f"cli:{getpass.getuser()}",
            now=datetime.now(UTC),
        )
    click.echo(f"requeued: {count}")


@contextmanager
def _ledger() -> Iterator[Ledger]:
    ledger = open_ledger(load_settings().ledger_url)
    try:
        schema.require_current(ledger)
        yield ledger
    finally:
        ledger.close()


def _table(found: list[Delivery]) -> Table:
    table = Table()
    # The id is what `requeue` asks for: never cut, whatever the width.
    table.add_column("id", no_wrap=True, min_width=32)
    for column in ("destination", "state", "attempts", "result", "error"):
        table.add_column(column)
    for one in found:
        error = f"{one.error_code}: {one.error_detail}" if one.error_code else ""
        table.add_row(
            one.id, one.destination, one.state, str(one.attempts), one.result_id, escape(error)
        )
    return table
