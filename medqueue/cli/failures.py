"""`medqueue failures`: failed work - list, show, requeue, discard."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medqueue.ledger import failures as failed_work
from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger
from medqueue.settings import load_settings
from schemas.failure import Failure

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def failures() -> None:
    """List failed work, try it again, or put it away.

    Example: medqueue failures list
    """


@failures.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most.")
@_as_json
def list_(*, limit: int, as_json: bool) -> None:
    """List what has failed and waits for a decision, the newest first.

    Example: medqueue failures list --json
    """
    with _ledger() as ledger:
        found = failed_work.list_failures(ledger, limit)
    if as_json:
        click.echo(json.dumps([failure.model_dump(mode="json") for failure in found], indent=2))
    elif not found:
        click.echo("no failures")
    else:
        Console().print(_table(found))


@failures.command()
@click.argument("failure_id", metavar="ID")
@_as_json
def show(*, failure_id: str, as_json: bool) -> None:
    """Show everything about one failure: error, attempts, times, worker, versions.

    Example: medqueue failures show 01990f2c7c3b7d0e8f1a2b3c4d5e6f70
    """
    with _ledger() as ledger:
        found = failed_work.show_failure(ledger, failure_id)
    values = found.model_dump(mode="json")
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    table = Table("what", "value", show_header=False)
    for name, value in values.items():
        table.add_row(name.replace("_", " "), "-" if value is None else escape(str(value)))
    Console().print(table)


@failures.command()
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Everything that `list` shows.")
@_as_json
def requeue(*, ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Try failed or discarded work again, from its first stage and with fresh attempts.

    Its `failed` result stays in the feed; the new round adds another result.

    Example: medqueue failures requeue --all
    """
    if bool(ids) == everything:
        raise click.UsageError("give the ids to requeue, or --all")
    with _ledger() as ledger:
        opened = failed_work.requeue(
            ledger, None if everything else ids, actor=_actor(), now=datetime.now(UTC)
        )
    if as_json:
        click.echo(json.dumps({"requeued": opened}, indent=2))
    else:
        click.echo(f"requeued: {len(opened)}")


@failures.command()
@click.argument("failure_id", metavar="ID")
def discard(*, failure_id: str) -> None:
    """Put a failure away: it leaves the list, its `failed` result stays.

    Example: medqueue failures discard 01990f2c7c3b7d0e8f1a2b3c4d5e6f70
    """
    with _ledger() as ledger:
        failed_work.discard(ledger, failure_id, actor=_actor(), now=datetime.now(UTC))
    click.echo(f"discarded: {failure_id}")


@contextmanager
def _ledger() -> Iterator[Ledger]:
    ledger = open_ledger(load_settings().ledger_url)
    try:
        schema.require_current(ledger)
        yield ledger
    finally:
        ledger.close()


def _actor() -> str:
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "cli"


def _table(found: list[Failure]) -> Table:
    table = Table()
    # The id is what the other commands ask for: never cut, whatever the width.
    table.add_column("id", no_wrap=True, min_width=32)
    for column in ("stage", "model", "error", "attempts", "failed at"):
        table.add_column(column)
    for failure in found:
        failed_at = failure.finished_at
        table.add_row(
            failure.id,
            failure.stage,
            f"{failure.model_name} {failure.model_version}",
            escape(f"{failure.error_code}: {failure.error_detail}"),
            f"{failure.attempts} of {failure.max_attempts}",
            f"{failed_at:%Y-%m-%d %H:%M:%S} UTC" if failed_at else "-",
        )
    return table
