"""`medqueue models shadow` and `compare`: a version beside the released one, unseen."""

import getpass
import json
from contextlib import closing
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from medqueue.errors import NotFoundError
from medqueue.ledger import models, schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import release
from medqueue.results.shadow_agreement import Shadow, compare_shadows
from medqueue.settings import load_settings


@click.command()
@click.argument("name")
@click.argument("version", required=False)
@click.option("--off", is_flag=True, help="End the shadow of NAME; what waits for it is dropped.")
def shadow(*, name: str, version: str | None, off: bool) -> None:
    """Let a version run on new inputs beside the released one; nobody sees its results.

    It is loaded and runs its check set before. Running workers follow by themselves.

    Example: medqueue models shadow cxr-pneumonia 1.1.0
    """
    if off == (version is not None):
        raise click.UsageError("give a VERSION, or --off")
    settings = load_settings()
    now, actor = datetime.now(UTC), getpass.getuser()
    with closing(open_ledger(settings.ledger_url)) as ledger:
        schema.require_current(ledger)
        if version is not None:
            release.shadow(ledger, settings, name, version, actor=actor, now=now)
            click.echo(f"{name} {version} runs as a shadow; see: medqueue models compare {name}")
            return
        with ledger.write() as connection:
            ended = models.end_shadow(connection, name, actor=actor, now=now)
    if ended is None:
        raise NotFoundError(f"no version of {name} runs as a shadow; see: medqueue models list")
    click.echo(f"{name} {ended} is no shadow any more")


@click.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(*, name: str, as_json: bool) -> None:
    """Compare what versions of NAME concluded as shadows with what the released one did.

    Of the newest 20,000 inputs that both concluded on. That two agree does not say that they are
    right.

    Example: medqueue models compare cxr-pneumonia --json
    """
    settings = load_settings()
    with closing(open_ledger(settings.ledger_url)) as ledger:
        schema.require_current(ledger)
        with ledger.read() as connection:
            found = compare_shadows(connection, name)
    if not found:
        raise NotFoundError(
            f"no version of {name} has concluded anything as a shadow; see: medqueue models shadow"
        )
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=2))
        return
    for one in found:
        ends = ", ".join(f"{count} {status}" for status, count in one.ended.items())
        click.secho(f"{name} {one.version} as a shadow: {ends}", bold=True)
        _print_tables(one)


def _print_tables(one: Shadow) -> None:
    for beside in one.beside:
        title = f"beside {beside.version}, on {beside.inputs} inputs"
        table = Table("label", title=title, title_justify="left")
        for column in ("stated", "agreed", "", "mean difference", "largest"):
            table.add_column(column, justify="right")
        for label in beside.labels:
            table.add_row(
                label.label,
                str(label.stated),
                str(label.agreed),
                f"{label.agreed / label.stated:.1%}",
                _probability(label.mean_difference),
                _probability(label.largest_difference),
            )
        Console().print(table)


def _probability(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
