"""Large tables: the rows in a SQLite file that every process opens read-only, found by the content of the table.

The file is made once, by whoever loads the table first, beside the table (`.compiled/`), or in the user's cache folder
where that folder cannot be written. It may be deleted at any time while nothing runs: it is made again.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import orjson

from fhir_coder.terminology.history import VERSIONS
from fhir_coder.terminology.rows import RowReader, cells_of
from fhir_coder.terminology.table import Row, StoredRows

FORMAT = 1
"""Counts up when the file's layout or the reading of a row changes: older files are made anew."""

COMPILED = ".compiled"
"""The folder of these files, within the folder of the tables."""

_SCHEMA = """
CREATE TABLE code (code TEXT PRIMARY KEY, rows BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sort (code TEXT NOT NULL, line INTEGER NOT NULL, cells BLOB NOT NULL);
CREATE TABLE about (rows INTEGER NOT NULL);
"""


class CompiledRows(StoredRows):
    """The rows of a table by source code, read from its file when they are asked.

    Threads may share it; a forked or unpickled copy opens the file for itself.
    """

    def __init__(self, file: Path, reader: RowReader) -> None:
        self._file, self._reader = file, reader
        self._lock = threading.Lock()
        self._process = 0
        self._connection: sqlite3.Connection | None = None
        self.row_count = int(self._query("SELECT rows FROM about")[0][0])

    def __getitem__(self, code: str) -> tuple[Row, ...]:
        found = self._query("SELECT rows FROM code WHERE code = ?", code)
        if not found:
            raise KeyError
        return self._rows(found[0][0])

    def __iter__(self) -> Iterator[str]:
        for code, _ in self._all():
            yield code

    def __len__(self) -> int:
        return int(self._query("SELECT count(*) FROM code")[0][0])

    def in_turn(self) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of one code after the other, in memory one code at a time."""
        for _, body in self._all():
            yield self._rows(body)

    def __getstate__(self) -> tuple[Path, RowReader]:
        return self._file, self._reader

    def __setstate__(self, state: tuple[Path, RowReader]) -> None:
        CompiledRows.__init__(self, *state)

    def __del__(self) -> None:
        # A connection of another process (before a fork) is that process's to close.
        if self._connection and self._process == os.getpid():
            self._connection.close()

    def _rows(self, body: bytes) -> tuple[Row, ...]:
        reader = replace(self._reader, faults=[])
        return tuple(row for line, cells in orjson.loads(body) if (row := reader.row(line, cells)))

    def _query(self, sql: str, *values: str) -> list[tuple[bytes]]:
        with self._lock:
            return self._open().execute(sql, values).fetchall()

    def _all(self) -> Iterator[tuple[str, bytes]]:
        with closing(_open_file(self._file)) as connection:
            yield from connection.execute("SELECT code, rows FROM code ORDER BY code")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():
            self._connection, self._process = _open_file(self._file), os.getpid()
        return self._connection


def _open_file(file: Path) -> sqlite3.Connection:
    # immutable: nobody writes a finished file, so no lock is taken and a read-only folder will do.
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
    connection.execute("PRAGMA cache_size = -4000")
    return connection


def compiled_rows(csv_path: Path, reader: RowReader, digest: str, rows: Iterable[Row]) -> Mapping[str, tuple[Row, ...]]:
    """Give the rows of a table from its compiled file, which is made where there is none yet.

    `rows` are read only then. Empty where the reader found a fault: no file is kept.
    """
    header = reader.header
    if header is None:
        return {}
    name = f"{file_of(f'{header.id}@{digest[:32]}')}-{FORMAT}.sqlite"
    for folder in _folders(csv_path):
        if (folder / name).is_file():
            return CompiledRows(folder / name, reader)
    folder = _writable_folder(csv_path)
    handle, made = tempfile.mkstemp(dir=folder, suffix=".part")
    os.close(handle)
    try:
        _write(Path(made), reader, rows)
        if reader.faults:
            return {}
        Path(made).chmod(0o644)
        # Two processes may make the same file: the last one wins, with the same content.
        Path(made).replace(folder / name)
    finally:
        Path(made).unlink(missing_ok=True)
    return CompiledRows(folder / name, reader)


def _write(file: Path, reader: RowReader, rows: Iterable[Row]) -> None:
    with closing(sqlite3.connect(file)) as connection:
        # A file that is not whole after a crash never gets its name: no journal, no waiting for the disk.
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000;")
        connection.executescript(_SCHEMA)
        sorted_rows = ((row.source_code, row.line, orjson.dumps(cells_of(row))) for row in rows)
        connection.executemany("INSERT INTO sort VALUES (?, ?, ?)", sorted_rows)
        if not reader.faults:
            count = _write_codes(connection, reader)
            connection.execute("INSERT INTO about VALUES (?)", (count,))
            connection.execute("DROP TABLE sort")
            connection.commit()
            connection.execute("VACUUM")


def _write_codes(connection: sqlite3.Connection, reader: RowReader) -> int:
    count = 0
    connection.execute("CREATE INDEX by_code ON sort (code, line)")
    for code, lines in _by_code(connection):
        count += len(lines)
        of_code = tuple(row for line, cells in lines if (row := reader.row(line, cells))) if len(lines) > 1 else ()
        reader.compare(of_code)
        order = {row.line: (row.group, row.priority, row.line) for row in of_code}
        lines.sort(key=lambda one: order.get(one[0], (0, 0, 0)))
        connection.execute("INSERT INTO code VALUES (?, ?)", (code, orjson.dumps(lines)))
    return count


def _by_code(connection: sqlite3.Connection) -> Iterator[tuple[str, list[tuple[int, dict[str, str]]]]]:
    current, lines = "", list[tuple[int, dict[str, str]]]()
    for code, line, cells in connection.execute("SELECT code, line, cells FROM sort ORDER BY code, line"):
        if lines and code != current:
            yield current, lines
            lines = []
        current = code
        lines.append((line, orjson.loads(cells)))
    if lines:
        yield current, lines


def file_of(version: str) -> str:
    """How the names of a version's compiled files begin (`ID@HASH`)."""
    return "-".join(version.rsplit("@", 1))


def _folders(csv_path: Path) -> tuple[Path, Path]:
    folder = csv_path.parent
    folder = folder.parent if folder.name == VERSIONS else folder  # a version that is kept shares its compiled rows
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / COMPILED, cache / "fhir-coder" / "tables"


def _writable_folder(csv_path: Path) -> Path:
    beside, cache = _folders(csv_path)
    try:
        beside.mkdir(exist_ok=True)
        if os.access(beside, os.W_OK):
            return beside
    except OSError:
        pass  # a folder that others own: the user's cache holds the file then
    cache.mkdir(parents=True, exist_ok=True)
    return cache
