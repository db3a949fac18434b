"""From indexes to batches of charts, out of core: which payloads each chart is folded from, by DuckDB.

A chart draws on its own topic and on all topics reached from it, as in the ledger: the joins below are that walk, for
all charts at once. Only numbers are joined and sorted; DuckDB keeps within its memory and spills to the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from fhir_coder.bulk.reading import INDEX_COLUMNS

BATCH_BYTES = 4 << 20
"""Bytes of payloads after which a batch of charts ends; a chart larger than this is a batch of its own."""
_CHART_BYTES = 2_000
"""What a chart counts for besides its payloads: many small ones make a batch too."""
WANTED = ("chart", "topic", "piece", "place", "start", "length", "number")


@dataclass(frozen=True, slots=True)
class Grouped:
    """What the grouping found. `repeats` are payloads that came before; `conflicts` are piece, source, number in it."""

    charts: int
    batches: tuple[tuple[int, int], ...]
    repeats: int
    conflicts: tuple[tuple[int, int, int], ...]


def group(folder: Path, memory: str, threads: int) -> Grouped:
    """Group the indexes under `folder`/read into `folder`/wanted.parquet: a row for each payload of each chart.

    `batches` are their numbers with the charts of each.
    """
    path = folder / "grouping.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"SET memory_limit = '{memory}'")
        connection.execute(f"SET threads = {threads}")
        connection.execute(f"SET temp_directory = '{_quoted(folder / 'spill')}'")
        # A sort that keeps the order of what is alike would hold more in memory; every sort here is whole.
        connection.execute("SET preserve_insertion_order = false")
        for name, columns in INDEX_COLUMNS.items():
            types = ", ".join(f"'{column}': 'BIGINT'" for column in columns)
            form = f"auto_detect = false, header = false, delim = ',', columns = {{{types}}}"
            files = _quoted(folder / "read" / f"*.{name}.csv")
            connection.execute(f"CREATE VIEW {name} AS FROM read_csv('{files}', {form})")
        for statement in _STATEMENTS:
            connection.execute(statement)
        _reach(connection)
        connection.execute(_BATCHES, [_CHART_BYTES, BATCH_BYTES])
        wanted = _quoted(folder / "wanted.parquet")
        connection.execute(f"COPY ({_WANTED}) TO '{wanted}' (FORMAT parquet, ROW_GROUP_SIZE 20000)")
        found = _found(connection)
    path.unlink(missing_ok=True)
    return found


_STATEMENTS = (
    # As the inbox: the same bytes came before: a repeat. The same control id with other bytes: a conflict.
    """
    CREATE TABLE moot AS
    WITH shared AS (SELECT identity FROM payloads GROUP BY identity HAVING count(*) > 1),
    placed AS (
        SELECT p.*, row_number() OVER (PARTITION BY identity, digest ORDER BY piece, place) AS nth_same,
               row_number() OVER (PARTITION BY identity ORDER BY piece, place) AS nth
        FROM payloads p JOIN shared USING (identity)
    )
    SELECT piece, source, number, place, nth_same > 1 AS is_repeat FROM placed
    WHERE nth_same > 1 OR (nth > 1 AND controlled = 1)
    """,
    "CREATE TABLE told AS SELECT DISTINCT topic, piece, place FROM said ANTI JOIN moot USING (piece, place)",
    "CREATE TABLE points AS SELECT DISTINCT topic, ref FROM refs",
    """
    CREATE TABLE charts AS
    WITH firsts AS (
        SELECT topic, min((piece, place, ordinal)) AS first
        FROM keys ANTI JOIN moot USING (piece, place) GROUP BY topic
    )
    SELECT row_number() OVER (ORDER BY first) AS chart, topic FROM firsts
    """,
    "CREATE TABLE reached AS SELECT chart, topic FROM charts",
    "CREATE TABLE latest AS FROM reached",
)
_NEXT = """
    CREATE TABLE following AS
    SELECT DISTINCT l.chart, p.ref AS topic FROM latest l JOIN points p USING (topic)
    ANTI JOIN reached r ON r.chart = l.chart AND r.topic = p.ref
"""
_BATCHES = """
    CREATE TABLE batches AS
    WITH needed AS (SELECT DISTINCT chart, piece, place FROM reached JOIN told USING (topic)),
    located AS (SELECT n.*, p.start, p.length, p.number FROM needed n JOIN payloads p USING (piece, place)),
    weighed AS (SELECT chart, sum(length) + ? AS weight FROM located GROUP BY chart),
    ended AS (SELECT chart, sum(weight) OVER (ORDER BY chart) - weight AS before FROM weighed),
    numbered AS (SELECT chart, dense_rank() OVER (ORDER BY before // ?) AS batch FROM ended)
    SELECT batch, chart, topic, piece, place, start, length, number
    FROM located JOIN numbered USING (chart) JOIN charts USING (chart)
"""
_WANTED = "SELECT * FROM batches ORDER BY batch, chart, piece, place"


def _reach(connection: duckdb.DuckDBPyConnection) -> None:
    """Follow what topics point to, from every chart at once, until nothing new is reached."""
    while True:
        connection.execute(_NEXT)
        if not connection.execute("SELECT count(*) FROM following").fetchall()[0][0]:
            return
        connection.execute("INSERT INTO reached FROM following")
        connection.execute("DROP TABLE latest")
        connection.execute("ALTER TABLE following RENAME TO latest")


def _found(connection: duckdb.DuckDBPyConnection) -> Grouped:
    batches = connection.execute("SELECT batch, count(DISTINCT chart) FROM batches GROUP BY batch ORDER BY batch")
    listed = tuple((int(batch), int(charts)) for batch, charts in batches.fetchall())
    repeats = connection.execute("SELECT count(*) FROM moot WHERE is_repeat").fetchall()[0][0]
    conflicts = connection.execute(
        "SELECT piece, source, number FROM moot WHERE NOT is_repeat ORDER BY piece, place"
    ).fetchall()
    return Grouped(sum(charts for _, charts in listed), listed, int(repeats), tuple(conflicts))


def wanted_of(folder: Path, batch: int) -> list[tuple[int, ...]]:
    """The rows of a batch, chart by chart, the payloads of each in order of arrival."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        columns = ", ".join(WANTED)
        query = f"SELECT {columns} FROM read_parquet(?) WHERE batch = ? ORDER BY chart, piece, place"
        return connection.execute(query, [str(folder / "wanted.parquet"), batch]).fetchall()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
