"""Statements of the hot path: compiled once, run on the driver's cursor.

SQLAlchemy's way to a row costs several times what SQLite needs to write it; intake pays that for each message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from fhir_coder.store.schema import UtcTime

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as the driver takes it: the values it always has, and what makes a value the driver's."""

    sql: str
    names: tuple[str, ...]
    is_positional: bool
    constants: Row
    bind: Mapping[str, Callable[[Any], Any]]

    def values(self, row: Row) -> Any:
        """A row as the driver's cursor takes it."""
        named = {**self.constants, **row}
        for name, bind in self.bind.items():
            named[name] = bind(named[name])
        return tuple([named[name] for name in self.names]) if self.is_positional else named


class Prepared:
    """A Core statement for rows that all have the same keys: the `columns` of an insert, or its bind parameters."""

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._statement, self._columns = statement, columns
        self._texts: dict[str, _Text] = {}

    def run_all(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row."""
        if rows:
            text = self.text(connection.dialect)
            connection.connection.cursor().executemany(text.sql, [text.values(row) for row in rows])

    def fetch_all(self, connection: Connection, row: Row) -> list[tuple[Any, ...]]:
        """What it finds, as the driver gives it."""
        text = self.text(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(text.sql, text.values(row))
        return cast(list[tuple[Any, ...]], cursor.fetchall())

    def text(self, dialect: Dialect) -> _Text:
        """The statement in a database's language."""
        if dialect.name not in self._texts:
            keys = list(self._columns) if self._columns else None
            compiled = cast(SQLCompiler, self._statement.compile(dialect=dialect, column_keys=keys))
            self._texts[dialect.name] = _text_of(compiled)
        return self._texts[dialect.name]


def _text_of(compiled: SQLCompiler) -> _Text:
    names = compiled.positiontup
    found = {name: _processor(one.type, compiled.dialect) for name, one in compiled.binds.items()}
    bind = {name: one for name, one in found.items() if one}
    return _Text(str(compiled), tuple(names or ()), names is not None, compiled.params, bind)


def _processor(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    found = kind.dialect_impl(dialect).bind_processor(dialect)
    # All rows of a commit have the same time: it is put into the driver's form once.
    return lru_cache(maxsize=8)(found) if found and isinstance(kind, UtcTime) else found
