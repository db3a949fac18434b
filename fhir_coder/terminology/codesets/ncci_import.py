"""The NCCI files of CMS as they come (zip, txt, csv) become files that claims are checked by: whole, or not at all."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from fhir_coder.errors import Fault, FhirCoderError, TableError
from fhir_coder.terminology.codesets.ncci import FOLDER, SETTINGS

NCCI_KINDS = ("ncci-ptp", "ncci-mue")
"""What `tables import` takes."""

_CODE = re.compile(r"[0-9A-Z]{5}")
_VERSION = re.compile(r"v(\d\d)(\d)r\d", re.IGNORECASE)
_FIRST_VERSION = 1994  # version 32.0 is that of the first quarter of 2026
_EFFECTIVE = re.compile(r"(\d\d)-(\d\d)-(\d{4})")
_PART = re.compile(r"[-_](f\d)\b", re.IGNORECASE)
_NAMES = {
    "practitioner": re.compile(r"practitioner|ccipra", re.IGNORECASE),
    "outpatient": re.compile(r"outpatient|ccioph|hospital", re.IGNORECASE),
}
_TEXTS = (".txt", ".csv", ".tab")
_NEVER = "9"
_TOLD = 100
_TOLD_EVERY = 500_000

_PTP = "CREATE TABLE pair (column1 TEXT, column2 TEXT, first INTEGER, last INTEGER, modifier INTEGER, \
PRIMARY KEY (column1, column2, first)) WITHOUT ROWID"
_MUE = "CREATE TABLE most (code TEXT PRIMARY KEY, units INTEGER, per INTEGER) WITHOUT ROWID"


@dataclass(frozen=True, slots=True)
class NcciSource:
    """A file of CMS, and what its name may not say: whose claims it is for, the first day of its quarter."""

    path: Path
    setting: str = ""
    covers_from: date | None = None
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class ImportedNcci:
    """A file that now stands in the site's folder. `unused` rows never were in force."""

    file: Path
    rows: int
    unused: int
    quarter: str
    replaced: bool


def import_ncci(kind: str, source: NcciSource, folder: Path) -> ImportedNcci:
    """Make a file for checks of a file of CMS, in the site's folder of code sets.

    Raises TableError with the first faults of the file, and FhirCoderError where its name does not say what it must:
    nothing in the folder has changed then.
    """
    with _text(source.path) as (stream, inner):
        named = f"{source.path.name} {inner}"
        setting, (year, quarter) = source.setting or _setting(named), _quarter(named, source.covers_from)
        part = _PART.search(inner) or _PART.search(source.path.stem)
        name = "-".join([kind[-3:], setting, f"{year}q{quarter}", *([part[1].lower()] if part else [])])
        target = folder / FOLDER / f"{name}.sqlite"
        target.parent.mkdir(parents=True, exist_ok=True)
        reading = _Reading(str(source.path), source.tell)
        rows = reading.pairs(stream) if kind == "ncci-ptp" else reading.values(stream)
        replaced = target.exists()
        count = _write(target, _PTP if kind == "ncci-ptp" else _MUE, rows, reading)
    return ImportedNcci(target, count, reading.unused, f"{year} Q{quarter}", replaced)


def _setting(named: str) -> str:
    found = [setting for setting in SETTINGS if _NAMES[setting].search(named)]
    if len(found) != 1:
        raise FhirCoderError("--setting: practitioner or outpatient? The name of the file does not say it")
    return found[0]


def _quarter(named: str, covers_from: date | None) -> tuple[int, int]:
    """Year and quarter: as given, else by the version (v320r0) or the date (Eff_01-01-2026) in the name of CMS."""
    if covers_from is None and (version := _VERSION.search(named)) and version[2] in "0123":
        return _FIRST_VERSION + int(version[1]), int(version[2]) + 1
    if covers_from is None and (day := _EFFECTIVE.search(named)):
        return int(day[3]), (int(day[1]) + 2) // 3
    if covers_from is None:
        raise FhirCoderError("--covers-from: the first day of the file's quarter? Its name does not say it")
    return covers_from.year, (covers_from.month + 2) // 3


_SHEET = "spreadsheets are not read: import the txt of the same zip, or save the sheet as text with tabs"


@contextmanager
def _text(path: Path) -> Iterator[tuple[IO[str], str]]:
    """The text within a file, line by line, and its name where it lies in a zip."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            texts = [name for name in names if name.lower().endswith(_TEXTS)]
            if len(texts) != 1:
                is_sheet = any(name.startswith("xl/") for name in names)
                text = _SHEET if is_sheet else f"the zip has {len(texts)} text files: unpack it, import them one by one"
                raise TableError(str(path), [Fault(str(path), 0, "", text)])
            with archive.open(texts[0]) as body:
                yield io.TextIOWrapper(body, encoding="latin-1", newline=""), texts[0]
        return
    if path.suffix.lower() not in _TEXTS:
        text = f"not the txt or csv of CMS, nor a zip with it: {_SHEET}"
        raise TableError(str(path), [Fault(str(path), 0, "", text)])
    # CMS's notices have characters of Windows; codes and dates are ASCII.
    with path.open(encoding="latin-1", newline="") as stream:
        yield stream, ""


class _Reading:
    """Reads one file; what is wrong with it is in `faults`."""

    def __init__(self, file: str, tell: Callable[[str], None]) -> None:
        self.faults: list[Fault] = []
        self.unused = 0
        self._file, self._tell = file, tell

    def pairs(self, lines: Iterable[str]) -> Iterator[tuple[str, str, int, int, int]]:
        """Yield the pairs of a PTP file: two codes, first and last day as numbers (0: open), modifier indicator."""
        is_begun = False
        for number, line in enumerate(lines, 1):
            cells = line.rstrip("\r\n").split("\t")
            if not (is_begun or _is_code(cells[0])):
                continue  # the licence and the headings stand in several lines before the first pair
            is_begun = True
            if number % _TOLD_EVERY == 0:
                self._tell(f"{number:,} lines read")
            if (row := self._pair(number, cells)) is not None:
                yield row

    def _pair(self, line: int, cells: list[str]) -> tuple[str, str, int, int, int] | None:
        if len(cells) < 6:
            if any(cell.strip() for cell in cells):
                self._fault(line, "", "not a row of six columns, separated by tabs")
            return None
        one, other, _, first, last, modifier = (cell.strip().upper() for cell in cells[:6])
        if not (_is_code(one) and _is_code(other)):
            self._fault(line, "column 1 and 2", "not two codes of five characters")
            return None
        if modifier not in ("0", "1", _NEVER):
            self._fault(line, "modifier", "not 0, 1 or 9")
            return None
        began, ended = _day(first), 0 if last in ("*", "") else _day(last)
        if began is None or ended is None:
            self._fault(line, "dates", "not a day as 20260101, or * for none")
            return None
        if modifier == _NEVER or (ended and ended <= began):
            self.unused += 1  # taken back as if it had never been
            return None
        return one, other, began, ended, int(modifier)

    def values(self, lines: Iterable[str]) -> Iterator[tuple[str, int, int]]:
        """Yield the values of a MUE file: the code, the most units, and per what."""
        is_begun = False
        for number, cells in enumerate(csv.reader(lines), 1):
            if not (is_begun or (cells and _is_code(cells[0].strip().upper()))):
                continue
            is_begun = True
            if (row := self._value(number, cells)) is not None:
                yield row

    def _value(self, line: int, cells: list[str]) -> tuple[str, int, int] | None:
        if len(cells) < 3:
            if any(cell.strip() for cell in cells):
                self._fault(line, "", "not a code, a value and an indicator")
            return None
        code, units, per = cells[0].strip().upper(), cells[1].strip(), cells[2].strip()[:1]
        if not _is_code(code):
            self._fault(line, "code", "not a code of five characters")
            return None
        if not units.isdecimal():
            self._fault(line, "value", "not a whole number")
            return None
        if per not in ("1", "2", "3"):
            self._fault(line, "adjudication indicator", "not 1, 2 or 3")
            return None
        return code, int(units), int(per)

    def _fault(self, line: int, where: str, text: str) -> None:
        if len(self.faults) < _TOLD:
            self.faults.append(Fault(self._file, line, where, text))


def _is_code(text: str) -> bool:
    return _CODE.fullmatch(text) is not None and any(char.isdigit() for char in text)


def _day(text: str) -> int | None:
    return int(text) if len(text) == 8 and text.isdecimal() and "0101" <= text[4:] <= "1231" else None


def _write(target: Path, schema: str, rows: Iterable[tuple[object, ...]], reading: _Reading) -> int:
    """Write the rows apart and put the file in its place when it is whole. A row said twice counts once."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as made:
        file = Path(made) / target.name
        with closing(sqlite3.connect(file)) as connection:
            # A file that is not whole after a crash never gets its name: no journal, no waiting for the disk.
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -64000;")
            connection.execute(schema)
            table, width = ("pair", 5) if schema is _PTP else ("most", 3)
            connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * width)})", rows)
            count = int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            connection.commit()
        if not count and not reading.faults:
            reading.faults.append(Fault(str(target.name), 0, "", "has no row: is it the file of CMS?"))
        if reading.faults:
            raise TableError(target.name, reading.faults)
        file.replace(target)
    return count
