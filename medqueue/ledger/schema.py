"""The schema of the ledger: bringing it up to date, and checking that it is."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from medqueue.errors import ConfigurationError
from medqueue.ledger.engine import Ledger

_UPGRADE_LOCK = 0x6D65_6475
"""Advisory lock of PostgreSQL: processes that start together must not migrate together."""


def upgrade(ledger: Ledger) -> None:
    """Bring the ledger to the newest schema, in one transaction."""
    with ledger.write() as connection:
        if not ledger.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})")
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")


def current(ledger: Ledger) -> tuple[str | None, str | None]:
    """Return the revision that the ledger has, and the one that this version of medqueue wants."""
    with ledger.read() as connection:
        has = MigrationContext.configure(connection).get_current_revision()
    return has, ScriptDirectory.from_config(_configuration()).get_current_head()


def require_current(ledger: Ledger) -> None:
    """Refuse to work on a ledger of another schema.

    Raises:
        ConfigurationError: the schema is missing, older or newer.
    """
    has, wants = current(ledger)
    if has != wants:
        raise ConfigurationError(
            f"the ledger's schema is {has or 'missing'}, this version wants {wants}; "
            "run: medqueue db upgrade"
        )


def _configuration() -> Config:
    configuration = Config()
    folder = Path(__file__).parent / "migrations"
    configuration.set_main_option("script_location", str(folder).replace("%", "%%"))
    return configuration
