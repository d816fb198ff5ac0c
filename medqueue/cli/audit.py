"""`medqueue audit`: is everything that was accepted there, once?"""

import dataclasses
import json
import sys

import click

from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate.audit import audit as take_audit
from medqueue.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(*, as_json: bool) -> None:
    """Compare what was accepted with results, open work and files on disk.

    Exits with 1 if anything is lost, doubled or missing. May run while the system works.

    Example: medqueue audit
    """
    settings = load_settings()
    ledger = open_ledger(settings.ledger_url)
    schema.require_current(ledger)
    found = take_audit(ledger, settings.instances_dir)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(found) | {"passed": found.passed}, indent=2))
    else:
        for name, value in dataclasses.asdict(found).items():
            shown = value if isinstance(value, int) else len(value)
            click.echo(f"{name.replace('_', ' '):14} {shown:>8}")
            if isinstance(value, tuple):
                for identifier in value:
                    click.echo(f"  {identifier}")
    sys.exit(0 if found.passed else 1)
