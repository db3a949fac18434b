"""Reading a mapping table: a CSV with its header file beside it. All faults are listed; a faulty table is not used."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from fhir_coder.errors import Fault, TableError
from fhir_coder.terminology.compiled import compiled_rows
from fhir_coder.terminology.header import read_header
from fhir_coder.terminology.rows import RowReader
from fhir_coder.terminology.table import MappingTable, Row, Rows

COMPILED_FROM = 256 * 1024
"""A CSV of this many bytes or more is kept in a database file; a smaller one is read faster than one is opened."""

NOT_UTF8 = "not UTF-8: save it as UTF-8 (in a spreadsheet: CSV UTF-8)"
"""What is said of a text in another character set: which one it is nobody can tell, and a guess would change names."""

LONGEST_LINE = 1 << 20
"""Characters of a line: no row comes near it."""

_PIECE = 1 << 20


def load_table(csv_path: Path) -> MappingTable:
    """Load one table. Raises TableError with every fault of the CSV and of its header file."""
    table, faults = read_table(csv_path)
    if table is None or faults:
        raise TableError(f"mapping table {csv_path}", faults)
    return table


def read_table(csv_path: Path, when_unknown: str = "gap") -> tuple[MappingTable | None, list[Fault]]:
    """Read one table; no table where anything is wrong with it, and then the faults say what.

    `when_unknown` holds where the table's header does not say it.
    """
    header_path = csv_path.with_suffix(".toml")
    header_bytes, header_faults = _bytes_of(header_path, "missing: every table has a header file beside it")
    header = None
    if not header_faults:
        header, header_faults = read_header(header_path, header_bytes)
    try:
        digest = _digest(csv_path, header_bytes)
    except OSError:
        return None, [*header_faults, Fault(str(csv_path), 0, "", "cannot be read")]
    version = f"{header.id}@{digest[:8]}" if header else ""
    reader = RowReader(str(csv_path), header, version, [], when_unknown)
    rows = _rows_of(csv_path, reader, digest, bool(header and not header_faults))
    faults = [*header_faults, *sorted(reader.faults, key=lambda fault: fault.line)]
    if header is None or faults:
        return None, faults
    return MappingTable(header, str(csv_path), str(csv_path.parent), version, rows), []


def header_file(table: Path) -> str:
    """Where a table's header stands: beside a CSV, in a ConceptMap itself."""
    return str(table if table.suffix == ".json" else table.with_suffix(".toml"))


def _rows_of(path: Path, reader: RowReader, digest: str, is_sound: bool) -> Rows:
    """All rows by code. Without a sound header nothing is kept, and the rows are read for their faults only."""
    if is_sound and path.stat().st_size >= COMPILED_FROM:
        return compiled_rows(path, reader, digest, read_rows(path, reader))
    return rows_by_code(read_rows(path, reader), reader)


def rows_by_code(rows: Iterable[Row], reader: RowReader) -> Rows:
    """Rows by code; those of one code that repeat each other or fit equally well are faults of the reader's."""
    by_code = _by_code(rows)
    for of_code in by_code.values():
        reader.compare(of_code)
    return by_code


def read_rows(path: Path, reader: RowReader) -> Iterator[Row]:
    """Yield the sound rows of a CSV, in its order; faults are added to the reader's."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            records = _records(str(path), stream, reader.faults)
            line, columns = next(records, (0, []))
            if not columns:
                if not reader.faults:
                    reader.fault("", "empty: the first line names the columns")
                return
            if reader.columns_fit(line, columns):
                for number, values in records:
                    if row := reader.row_of(number, columns, values):
                        yield row
        except UnicodeDecodeError:
            reader.faults.append(Fault(str(path), _line_not_utf8(path), "", NOT_UTF8))


def csv_records(file: str, body: bytes, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a UTF-8 CSV with their line in the file; blank lines are passed over."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append(Fault(file, body.count(b"\n", 0, error.start) + 1, "", NOT_UTF8))
        return
    yield from _records(file, io.StringIO(text, newline=""), faults)


def file_lines(path: Path, faults: list[Fault]) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 text of any size that are not blank, with their numbers."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            lines = enumerate(_lines(str(path), stream, faults), start=1)
            yield from ((number, line.rstrip("\r\n")) for number, line in lines if line.strip())
    except UnicodeDecodeError:
        faults.append(Fault(str(path), _line_not_utf8(path), "", NOT_UTF8))
    except OSError:
        faults.append(Fault(str(path), 0, "", "cannot be read"))


def file_records(path: Path, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a UTF-8 CSV of any size, as `csv_records` does; one record at a time is in memory."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield from _records(str(path), stream, faults)
    except UnicodeDecodeError:
        faults.append(Fault(str(path), _line_not_utf8(path), "", NOT_UTF8))
    except OSError:
        faults.append(Fault(str(path), 0, "", "cannot be read"))


def _records(file: str, stream: TextIO, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(file, stream, faults), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        faults.append(Fault(file, reader.line_num, "", f"not CSV: {error}"))


def _lines(file: str, stream: TextIO, faults: list[Fault]) -> Iterator[str]:
    """Lines up to the first that is longer than any of a table: a file of another kind may be one line of gigabytes."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            faults.append(Fault(file, number, "", f"a line of more than {LONGEST_LINE:,} characters"))
            return
        yield line


def _line_not_utf8(path: Path) -> int:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


def _digest(path: Path, header: bytes) -> str:
    """The SHA-256 of both files."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    digest.update(header)
    return digest.hexdigest()


def _bytes_of(path: Path, rule: str) -> tuple[bytes, list[Fault]]:
    try:
        return path.read_bytes(), []
    except OSError:
        return b"", [Fault(str(path), 0, "", rule)]


def _by_code(rows: Iterable[Row]) -> dict[str, tuple[Row, ...]]:
    by_code: dict[str, list[Row]] = {}
    for row in rows:
        by_code.setdefault(row.source_code, []).append(row)
    return {code: in_order(of_code) for code, of_code in by_code.items()}


def in_order(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows of one code in the order they are asked."""
    return tuple(sorted(rows, key=lambda row: (row.group, row.priority, row.line)))
