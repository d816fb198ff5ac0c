"""Opening the ledger, and its kinds of transaction."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from medqueue.errors import ConfigurationError
from medqueue.ledger.bell import Ear, PipeEar, PostgresEar, ring_pipe, take_ring

_BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another on SQLite. Shorter, and a slow disk makes work fail."""
_SWITCH_PAUSE_SECONDS = 0.01
_HIDE_PARAMETERS = True
"""The text of an SQL error would list them: patient ids, report texts. PostgreSQL may still quote a
row in its own words, so logs have the type of such an error only."""

_RESTED_SECONDS = 1.0
"""A connection unused for so long is asked whether its server still knows it. To ask before every
transaction costs as much as a statement; not to ask refuses an input after each restart."""
_USED_AT = "medqueue_used_at"

_NORMAL = 1
"""SQLite's `synchronous`: with a write-ahead log, no commit waits, and none can tear the file."""
_WRITE, _SINGLE, _LASTING = "medqueue_write", "medqueue_single", "medqueue_lasting"
_USUAL, _PRESENT = "medqueue_synchronous_usual", "medqueue_synchronous_present"


class Ledger:
    """A database of studies, reports, work and results. One per process; threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the ledger and writes nothing."""
        with self.engine.connect() as connection:
            # By default each statement on PostgreSQL would see a state of its own.
            options = {} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}
            yield connection.execution_options(**options)

    @contextmanager
    def statement(self) -> Iterator[Connection]:
        """Open a connection for one statement, which is a transaction by itself.

        For a read of one statement, and for a write of one that need not last (see `write`) and
        rings no bell. On PostgreSQL it costs one round trip instead of three.
        """
        with self.engine.connect() as connection:
            options = {_SINGLE: True} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
            yield connection.execution_options(**options)

    @contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Connection]:
        """Open a transaction that is durable when the block ends, and undone if it raises.

        On SQLite it takes the write lock at once: a transaction that reads first and writes
        later would be refused when another process wrote in between.

        Args:
            lasting: False for what may be done again after a power cut, since nobody outside was
                told of it: SQLite then does not wait for the disk. The death of processes undoes
                nothing, and what lasts takes with it all that was written before. PostgreSQL
                always waits: there the workers may outlive the server's machine.
        """
        with self.engine.connect() as connection:
            connection.execution_options(**{_WRITE: True, _LASTING: lasting})
            try:
                with connection.begin():
                    yield connection
            except BaseException:
                take_ring(connection)  # or the next user of this connection would ring for it
                raise
            if take_ring(connection):
                ring_pipe(self._pipe)

    def listen(self) -> Ear:
        """Return an ear for the bell that `bell.ring` rings."""
        if self.is_sqlite:
            return PipeEar(self._pipe)
        url = self.engine.url.set(drivername="postgresql")
        return PostgresEar(url.render_as_string(hide_password=False))

    @property
    def _pipe(self) -> Path:
        return Path(f"{self.engine.url.database}.bell")

    def close(self) -> None:
        """Close every connection; a fork must not share them."""
        self.engine.dispose()


def open_ledger(url: str) -> Ledger:
    """Connect to the ledger at a SQLAlchemy URL, SQLite or PostgreSQL.

    Raises:
        ConfigurationError: the URL is not one of a database that medqueue supports.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            return Ledger(_open_postgresql(parsed))
        if parsed.get_backend_name() == "sqlite":
            return Ledger(_open_sqlite(url, parsed.database))
    except (ArgumentError, NoSuchModuleError):
        pass
    raise ConfigurationError(
        "MEDQUEUE_DATABASE_URL: give a URL like postgresql+psycopg://user@host/name, "
        "or leave it unset for SQLite in the data folder."
    )


def _open_postgresql(url: URL) -> Engine:
    engine = create_engine(url, pool_size=10, max_overflow=20, hide_parameters=_HIDE_PARAMETERS)

    @event.listens_for(engine, "checkin")
    def remember(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(
        connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        now = time.monotonic()
        if now - entry.info.get(_USED_AT, now) > _RESTED_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except psycopg.Error as error:
                # The others have lived as long: all are opened anew.
                raise InvalidatePoolError from error

    return engine


def _open_sqlite(url: str, database: str | None) -> Engine:
    if database:
        Path(database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        url,
        connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000},
        hide_parameters=_HIDE_PARAMETERS,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        # The driver's own transaction handling would commit behind our back.
        connection.isolation_level = None
        cursor = connection.cursor()
        _use_write_ahead_log(cursor)
        # FULL, not NORMAL: what a door has accepted must survive a power cut.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options: dict[str, Any] = dict(connection.get_execution_options())
        if options.get(_SINGLE):
            _wait_for_disk(connection, lasting=False)
        elif options.get(_WRITE):
            _wait_for_disk(connection, lasting=options[_LASTING])
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN DEFERRED")

    return engine


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Switch a new database over; SQLite does not wait for a process that does so as well."""
    give_up_at = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(_SWITCH_PAUSE_SECONDS)
        else:
            return


def _wait_for_disk(connection: Connection, *, lasting: bool) -> None:
    """Set whether the next commit waits for the disk; asked only where that changes."""
    info = connection.info
    if _USUAL not in info:
        info[_USUAL] = info[_PRESENT] = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    wanted = info[_USUAL] if lasting else min(info[_USUAL], _NORMAL)
    if info[_PRESENT] != wanted:
        connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
        info[_PRESENT] = wanted


def insert_if_new(connection: Connection, table: Table) -> Insert:
    """Return the statement that inserts the row it is executed with, unless a key has it."""
    return _insert_if_new(connection.dialect.name, table)


@lru_cache
def _insert_if_new(dialect: str, table: Table) -> Insert:
    insert = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return insert.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
