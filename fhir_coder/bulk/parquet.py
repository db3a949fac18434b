"""Parquet with a payload in each row: the column that holds it is found by its name, or is the only one of its kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb

from fhir_coder.errors import UnreadableError

_NAMES = ("resource", "payload", "body", "message", "json", "raw", "value", "data", "content")
_TYPES = ("VARCHAR", "BLOB", "JSON")
_AT_ONCE = 2_000


def rows_of_parquet(path: Path) -> Iterator[bytes]:
    """The payloads of a Parquet file. Raises UnreadableError where it is damaged or no column can be the payloads'."""
    with duckdb.connect() as connection:
        try:
            columns = connection.execute("SELECT * FROM read_parquet(?) LIMIT 0", [str(path)]).description
            named = _payload_column([(str(name), str(kind)) for name, kind, *_ in columns or ()])
            quoted = named.replace('"', '""')
            rows = connection.execute(f'SELECT "{quoted}" FROM read_parquet(?)', [str(path)])
            while some := rows.fetchmany(_AT_ONCE):
                yield from (_bytes_of(row[0]) for row in some)
        except duckdb.Error:
            raise UnreadableError("", "parquet", "the Parquet file is damaged") from None


def _payload_column(columns: list[tuple[str, str]]) -> str:
    fitting = [name for name, kind in columns if kind in _TYPES]
    known = {name.lower(): name for name in fitting}
    for name in _NAMES:
        if name in known:
            return known[name]
    if len(fitting) == 1:
        return fitting[0]
    raise UnreadableError(
        "", "parquet", f"no column of text or bytes is named {', '.join(_NAMES[:-1])} or {_NAMES[-1]}"
    )


def _bytes_of(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value or "").encode()
