"""`medqueue db`: migrations of the ledger, and the models that come with this installation."""

import sys
from datetime import UTC, datetime

import click

from medqueue.ledger import schema
from medqueue.ledger.engine import open_ledger
from medqueue.operate import registration
from medqueue.settings import load_settings


@click.group()
def db() -> None:
    """Bring the ledger's schema up to date, or check that it is.

    Example: medqueue db upgrade
    """


@db.command()
def upgrade() -> None:
    """Bring the schema to the newest revision, keeping every row, and register bundled models.

    Example: MEDQUEUE_DATABASE_URL=postgresql://... medqueue db upgrade
    """
    ledger = open_ledger(load_settings().ledger_url)
    before, wants = schema.current(ledger)
    schema.upgrade(ledger)
    registration.register(ledger, registration.installed_packages(), now=datetime.now(UTC))
    click.echo(f"ledger: {before or 'empty'} -> {wants}")


@db.command()
def check() -> None:
    """Exit with 1 when the schema is not the one that this version wants.

    Example: medqueue db check
    """
    has, wants = schema.current(open_ledger(load_settings().ledger_url))
    click.echo(f"ledger: has {has or 'nothing'}, wants {wants}")
    sys.exit(0 if has == wants else 1)
