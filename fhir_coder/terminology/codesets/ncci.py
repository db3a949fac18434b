"""The edits of the National Correct Coding Initiative, from the files of CMS that a site brings.

An import makes one SQLite file of each (`ncci/ptp-practitioner-2026q1-f1.sqlite`), which all processes read. Pairs of
codes (PTP) have their own dates, so that the newest quarter judges every day; unit values (MUE) hold from the first
day of their quarter to the next one that is there.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

FOLDER = "ncci"
"""The folder within that of a site's code sets."""

SETTINGS = ("practitioner", "outpatient")
"""Whose claims a file is for: practitioners', or hospitals' for outpatients."""

FORMAT = 1
"""Counts up when the layout of the files changes: older ones are imported again."""

_FILE = re.compile(r"(ptp|mue)-(practitioner|outpatient)-(\d{4})q([1-4])(?:-(\w+))?\.sqlite")
_CACHED = 100_000


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of codes of which the second is not paid beside the first. `quarter` is the table's, as 2026 Q1.

    `modifier` is CMS's indicator: 0 no modifier helps, 1 one of NCCI's does.
    """

    column1: str
    column2: str
    modifier: int
    quarter: str


@dataclass(frozen=True, slots=True)
class MostUnits:
    """The most units of a code that one patient gets. `per`: 1 on a line, 2 a day by policy, 3 a day clinically."""

    code: str
    units: int
    per: int
    quarter: str


@dataclass(frozen=True, slots=True)
class NcciFile:
    """One imported file: `kind` is ptp or mue, `quarter` year and quarter, `part` which of several files it is."""

    path: Path
    kind: str
    setting: str
    quarter: tuple[int, int]
    part: str = ""

    @property
    def label(self) -> str:
        """The quarter as people write it."""
        return "{} Q{}".format(*self.quarter)

    @property
    def first_day(self) -> date:
        """The first day of the quarter."""
        return date(self.quarter[0], 3 * self.quarter[1] - 2, 1)


class Ncci:
    """The files at hand, asked by setting. Threads may share it; a forked process opens the files for itself."""

    def __init__(self, files: Iterable[NcciFile] = ()) -> None:
        self.files = tuple(files)
        self._lock = threading.Lock()
        self._process = 0
        self._open: dict[Path, sqlite3.Connection] = {}
        self._periods = lru_cache(maxsize=_CACHED)(self._read_periods)
        self._values = lru_cache(maxsize=_CACHED)(self._read_value)

    def has(self, kind: str, setting: str) -> bool:
        """Whether a file of a kind (ptp, mue) is there for a setting."""
        return any((one.kind, one.setting) == (kind, setting) for one in self.files)

    def pair(self, setting: str, column1: str, column2: str, on: date) -> Pair | None:
        """The pair of two codes in this order, where it is in force on a day."""
        day = on.year * 10_000 + on.month * 100 + on.day
        for first, last, modifier, quarter in self._periods(setting, column1, column2):
            if first <= day and (not last or day <= last):
                return Pair(column1, column2, modifier, quarter)
        return None

    def most_units(self, setting: str, code: str, on: date) -> MostUnits | None:
        """The most units of a code on a day; None where its quarter is not there, or CMS has no value."""
        file = next((one for one in self._newest_first("mue", setting) if one.first_day <= on), None)
        return self._values(file, code) if file else None

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            if self._process == os.getpid():
                for connection in self._open.values():
                    connection.close()
            self._open = {}

    def _read_periods(self, setting: str, column1: str, column2: str) -> tuple[tuple[int, int, int, str], ...]:
        ask = "SELECT first, last, modifier FROM pair WHERE column1 = ? AND column2 = ?"
        return tuple(
            (first, last, modifier, file.label)
            for file in self._of_ptp(setting)
            for first, last, modifier in self._query(file, ask, column1, column2)
        )

    def _read_value(self, file: NcciFile, code: str) -> MostUnits | None:
        rows = self._query(file, "SELECT units, per FROM most WHERE code = ?", code)
        return MostUnits(code, rows[0][0], rows[0][1], file.label) if rows else None

    def _of_ptp(self, setting: str) -> list[NcciFile]:
        """The newest file of each part."""
        newest: dict[str, NcciFile] = {}
        for file in self._newest_first("ptp", setting):
            newest.setdefault(file.part, file)
        return list(newest.values())

    def _newest_first(self, kind: str, setting: str) -> list[NcciFile]:
        named = [one for one in self.files if (one.kind, one.setting) == (kind, setting)]
        return sorted(named, key=lambda one: one.quarter, reverse=True)

    def _query(self, file: NcciFile, sql: str, *values: str) -> Sequence[tuple[int, ...]]:
        with self._lock:
            if self._process != os.getpid():
                self._open, self._process = {}, os.getpid()
            connection = self._open.get(file.path)
            if connection is None:
                connection = self._open[file.path] = _connect(file.path)
            return connection.execute(sql, values).fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    # immutable: an import never writes into a file that is there, it puts a new one in its place.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def find_ncci(folders: Iterable[Path]) -> Ncci:
    """Find the imported files of folders of code sets. A quarter in a folder named first counts."""
    found: dict[str, NcciFile] = {}
    for folder in folders:
        for path in sorted((folder / FOLDER).glob("*.sqlite")):
            if named := _FILE.fullmatch(path.name):
                kind, setting, year, quarter, part = named.groups()
                found.setdefault(path.name, NcciFile(path, kind, setting, (int(year), int(quarter)), part or ""))
    return Ncci(found.values())
