"""Statements of the hottest path: compiled once, and run by the database's own driver.

SQLAlchemy takes 30 to 50 microseconds to execute a statement that is built already, SQLite itself
3 to 5, and a door runs three for every object. All others go the ordinary way.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Dialect, Insert, Select, Update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

Statement = Select[Any] | Insert | Update


class Prepared:
    """One statement of SQLAlchemy Core. Values are converted as their columns' types say."""

    def __init__(self, build: Callable[[Dialect], Statement]) -> None:
        """Take what builds the statement; it is asked once for each kind of database."""
        self._build = build
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, **values: Any) -> Any:
        """Execute it in the connection's transaction; return the driver's cursor.

        Raises:
            DBAPIError: as SQLAlchemy raises it, though without the statement.
        """
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = _Compiled(self._build(dialect), dialect)
        driver: Any = connection.connection.driver_connection
        try:
            return driver.execute(compiled.text, compiled.converted(values))
        except dialect.loaded_dbapi.Error as error:
            raise DBAPIError.instance(
                None, None, error, dialect.loaded_dbapi.Error, hide_parameters=True, dialect=dialect
            ) from None


class _Compiled:
    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        # By name, not with question marks: so both drivers take the same mapping.
        by_name = sqlite.dialect(paramstyle="named") if dialect.name == "sqlite" else dialect
        compiled = statement.compile(dialect=by_name)
        self.text = str(compiled)
        self._constants: dict[str, Any] = {}
        self._converters: dict[str, Callable[[Any], Any]] = {}
        for bind, name in compiled.bind_names.items():
            if not bind.required:
                self._constants[name] = bind.value
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if convert is not None:
                self._converters[name] = convert

    def converted(self, values: dict[str, Any]) -> dict[str, Any]:
        values |= self._constants
        for name, convert in self._converters.items():
            values[name] = convert(values[name])
        return values
