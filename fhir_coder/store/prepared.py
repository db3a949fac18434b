"""Statements of the hot path: compiled once, run on the driver's cursor.

SQLAlchemy's way to a row costs several times what SQLite needs to write it; intake pays that for each message.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    Column,
    Connection,
    Dialect,
    Table,
    bindparam,
    insert,
    update,
)
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
    row: Callable[..., Any]
    read: tuple[tuple[int, Callable[[Any], Any]], ...]

    def made(self, found: Sequence[Any]) -> Any:
        """A row that was found, by its columns' names, its values as their types have them."""
        if self.read:
            found = list(found)
            for place, read in self.read:
                found[place] = read(found[place])
        return self.row(*found)

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

    def rows(self, connection: Connection, row: Row) -> list[Any]:
        """What it finds: rows by their columns' names, their values as SQLAlchemy gives them."""
        return list(map(self.text(connection.dialect).made, self.fetch_all(connection, row)))

    def first(self, connection: Connection, row: Row) -> Any:
        """The first value of the first row it finds, as the driver gives it; None where there is none."""
        found = self.fetch_all(connection, row)
        return found[0][0] if found else None

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
    columns = compiled._result_columns
    read = [_reader(one.type, compiled.dialect) for one in columns]
    readers = tuple((place, one) for place, one in enumerate(read) if one)
    row = namedtuple("row", [one.name for one in columns], rename=True) if columns else tuple
    return _Text(str(compiled), tuple(names or ()), names is not None, compiled.params, bind, row, readers)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """What makes a driver's value one of its type; a time that comes again is read once."""
    found = kind.dialect_impl(dialect).result_processor(dialect, None)
    return lru_cache(maxsize=256)(found) if found and isinstance(kind, UtcTime) else found


def _processor(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    found = kind.dialect_impl(dialect).bind_processor(dialect)
    # All rows of a commit have the same time: it is put into the driver's form once.
    return lru_cache(maxsize=8)(found) if found and isinstance(kind, UtcTime) else found


_MOST_LISTED = 512
"""Values of one statement: databases take a limited number of variables."""


class PreparedList:
    """A statement that asks for any of some values, as many as there are: `statement` makes it for their parameters.

    It is compiled for 1, 2, 4 ... values; where there are fewer, the last one stands there again.
    """

    def __init__(self, statement: Callable[[Sequence[BindParameter[Any]]], ClauseElement]) -> None:
        self._statement = statement
        self._prepared: dict[int, Prepared] = {}

    def fetch_all(self, connection: Connection, values: Collection[Any]) -> list[tuple[Any, ...]]:
        """What it finds for any of the values, as the driver gives it."""
        ordered, found = sorted(values), []
        for start in range(0, len(ordered), _MOST_LISTED):
            some = ordered[start : start + _MOST_LISTED]
            size = 1 << (len(some) - 1).bit_length()
            some += some[-1:] * (size - len(some))
            row = {f"value_{n}": value for n, value in enumerate(some)}
            found += self._of(size).fetch_all(connection, row)
        return found

    def _of(self, size: int) -> Prepared:
        if size not in self._prepared:
            self._prepared[size] = Prepared(self._statement([bindparam(f"value_{n}") for n in range(size)]))
        return self._prepared[size]


class PreparedChange:
    """Sets columns of the row with a key, whichever they are: one statement for each set of columns."""

    def __init__(self, key: Column[Any]) -> None:
        self._key = key
        self._prepared: dict[tuple[str, ...], Prepared] = {}

    def run(self, connection: Connection, key: object, values: Row) -> None:
        """Set columns to values."""
        columns = tuple(values)
        if columns not in self._prepared:
            changed = update(self._key.table).where(self._key == bindparam("the_key"))
            self._prepared[columns] = Prepared(changed, columns)
        self._prepared[columns].run_all(connection, [{**values, "the_key": key}])


class PreparedRows:
    """Inserts rows of a table, with the values that its columns have by default."""

    def __init__(self, table: Table) -> None:
        self._table = table
        given = {column.name: column.default for column in table.columns}
        self._defaults = {name: getattr(one, "arg", None) for name, one in given.items() if one and one.is_scalar}
        self._prepared: dict[tuple[str, ...], Prepared] = {}

    def insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Insert rows that all have the same keys."""
        if rows:
            whole = [{**self._defaults, **row} for row in rows]
            self._of(tuple(whole[0])).run_all(connection, whole)

    def _of(self, columns: tuple[str, ...]) -> Prepared:
        if columns not in self._prepared:
            self._prepared[columns] = Prepared(insert(self._table), columns)
        return self._prepared[columns]
