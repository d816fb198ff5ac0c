"""`medqueue models drift`: whether inputs and scores are still as they were at validation."""

import json
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from medqueue.errors import NotFoundError
from medqueue.ledger import models as registry
from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.results.drift import Drift, drift_of
from medqueue.settings import load_settings


@click.command()
@click.argument("name")
@click.option("--weeks", default=8, show_default=True, type=click.IntRange(1, 104))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def drift(*, name: str, weeks: int, as_json: bool) -> None:
    """Compare the inputs of each week with those that the released NAME was validated on.

    The population stability index: above 0.25, and above what chance makes of so few inputs, it is
    an alarm.

    Example: medqueue models drift cxr-pneumonia --json
    """
    settings = load_settings()
    with closing(open_ledger(settings.ledger_url)) as ledger:
        schema.require_current(ledger)
        with ledger.read() as connection:
            known = [m for m in registry.all_versions(connection) if m.manifest.name == name]
            released = [model.manifest for model in known if model.released]
            if not released:
                raise NotFoundError(f"no version of {name} is released; see: medqueue models list")
            found = drift_of(connection, released[0], weeks=weeks, now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps([_content(one) for one in found], indent=2))
    elif released[0].drift is None:
        click.echo(f"{name} {released[0].version} brings no reference to compare with")
    else:
        Console().print(_table(name, released[0].version, found))


def _content(one: Drift) -> dict[str, object]:
    return asdict(one) | {"week": one.week.isoformat(), "alarm": one.is_alarm}


def _table(name: str, version: str, found: list[Drift]) -> Table:
    table = Table("week of", "figure", title=f"Drift of {name} {version}", title_justify="left")
    for column in ("inputs", "index", "by chance"):
        table.add_column(column, justify="right")
    table.add_column("")
    for one in found:
        index = "too few" if one.psi is None else f"{one.psi:.3f}"
        chance = "" if one.chance is None else f"{one.chance:.3f}"
        alarm = "alarm" if one.is_alarm else ""
        table.add_row(one.week.isoformat(), one.figure, str(one.inputs), index, chance, alarm)
    return table
