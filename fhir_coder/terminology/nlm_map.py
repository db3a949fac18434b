"""Importing the NLM map from SNOMED CT to ICD-10-CM: the ExtendedMap snapshot of an RF2 release, as txt or in its zip.

Each active row of the map's reference set becomes a row of the table; its group, priority and rule are the row's. The
file is read once into a temporary database, because its rows stand in no order.
"""

from __future__ import annotations

import io
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Kind, System, Validity
from fhir_coder.terminology.check_digits import has_check_digit
from fhir_coder.terminology.conditions import age_text
from fhir_coder.terminology.csv_table import NOT_UTF8
from fhir_coder.terminology.draft import Draft, Source
from fhir_coder.terminology.nlm_rule import parse_rule
from fhir_coder.terminology.rows import NEEDS_DETAIL, Cells
from fhir_coder.terminology.seventh import LACKS_SEVENTH, decided_sevenths
from fhir_coder.terminology.table import Header

REFSET = "6011000124106"
"""The reference set of the map to ICD-10-CM. 447562003 in the same file is the map to WHO's ICD-10."""

COLUMNS = (
    *("id", "effectiveTime", "active", "moduleId", "refsetId", "referencedComponentId", "mapGroup", "mapPriority"),
    *("mapRule", "mapAdvice", "mapTarget", "correlationId", "mapCategoryId"),
)
"""The columns of an RF2 extended map file (SNOMED CT Release File Specification, 5.2.3.4)."""

WITH_TARGET = frozenset({"447637006", "447639009"})
"""Categories of a row with a target: properly classified, and dependent on context."""

MOST_FAULTS = 1_000
"""An import stops at this many faults: the file is another one than was meant."""

_LONGEST_LINE = 1 << 16
_TOLD_EVERY = 50_000
_NAME = re.compile(r"ExtendedMap(?:Snapshot)?[^/]*\.txt$", re.IGNORECASE)
_TARGET = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4}\??|\??)")
_NUMBER = re.compile(r"[1-9]\d{0,3}")
_TIME = re.compile(r"\d{8}")

_Sorted = tuple[str, int, int, int, str, str, str]
"""Concept, group, priority, line, rule, advice, target."""


def nlm_map(source: Source) -> Draft:
    """Read the map. Raises TableError with every fault that stands in a single line."""
    database = source.keep.enter_context(closing(sqlite3.connect("")))
    database.executescript("PRAGMA journal_mode = OFF; PRAGMA cache_size = -32000;")
    database.execute(
        "CREATE TABLE map (concept TEXT, grp INT, priority INT, line INT, rule TEXT, advice TEXT, target TEXT)"
    )
    reading = _Reading(str(source.path), source.tell)
    with _opened(source.path, reading) as stream:
        try:
            database.executemany("INSERT INTO map VALUES (?,?,?,?,?,?,?)", reading.rows(stream))
        except (zipfile.BadZipFile, zlib.error, EOFError):
            reading.fault(0, "", "the zip file is damaged or not whole: download it again")
    reading.finish()
    if reading.faults:
        raise TableError(str(source.path), reading.faults)
    header = Header(
        id="nlm-map",
        title="SNOMED CT to ICD-10-CM (NLM map)",
        kind=Kind.DIAGNOSIS,
        source_system=System.SNOMED,
        target_systems=(System.ICD10CM,),
        version=reading.latest,
        publisher="U.S. National Library of Medicine",
        licence="UMLS Metathesaurus licence and SNOMED CT affiliate licence of the site",
        layer="base",
    )
    source.tell(f"{reading.kept:,} rows of the map, now in order of concept, group and priority")
    order = "SELECT * FROM map ORDER BY concept, grp, priority, line"
    faults: list[Fault] = []
    cells = _Cells(str(source.path), faults, _sevenths(source))
    return Draft(header, cells.of(database.execute(order)), faults)


def _sevenths(source: Source) -> Callable[[str], str]:
    known: dict[str, str] = {}

    def is_valid(code: str) -> bool:
        return source.code_sets.validity(System.ICD10CM, code, source.on) is Validity.VALID

    def decided(code: str) -> str:
        if code not in known:
            known[code] = decided_sevenths(code, is_valid)
        return known[code]

    return decided


# --- the file


def _opened(path: Path, reading: _Reading) -> IO[bytes]:
    """The map's text, from the file or from the zip around it."""
    try:
        if not zipfile.is_zipfile(path):
            if path.suffix.lower() == ".zip":
                raise zipfile.BadZipFile
            return path.open("rb")
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if _NAME.search(name) and not name.startswith("__MACOSX")]
            names = [name for name in names if "snapshot" in name.lower()] or names
            if len(names) == 1:
                return archive.open(names[0])
            text = "more than one ExtendedMap file in the zip" if names else "no ExtendedMap snapshot in the zip"
            reading.fault(0, "", text)
    except zipfile.BadZipFile:
        reading.fault(0, "", "the zip file is damaged or not whole: download it again")
    except OSError:
        reading.fault(0, "", "cannot be read")
    return io.BytesIO()


@dataclass
class _Reading:
    """Reads the lines of the file, one at a time, and notes what is wrong with any."""

    file: str
    tell: Callable[[str], None]
    faults: list[Fault] = field(default_factory=list)
    latest: str = ""
    is_empty: bool = True
    kept: int = 0
    modules: dict[str, int] = field(default_factory=dict)
    refsets: set[str] = field(default_factory=set)

    def fault(self, line: int, where: str, text: str) -> None:
        self.faults.append(Fault(self.file, line, where, text))
        if len(self.faults) >= MOST_FAULTS:
            self.faults.append(Fault(self.file, line, "", "and so on: reading stopped here"))
            raise TableError(self.file, self.faults)

    def rows(self, stream: IO[bytes]) -> Iterator[_Sorted]:
        """Yield the active rows of the map."""
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), 1):
            cells = self._cells(number, line)
            self.is_empty = False
            if number == 1:
                if not cells or tuple(cells) != COLUMNS:
                    self.fault(1, "", f"not an RF2 ExtendedMap file: the first line must name {', '.join(COLUMNS)}")
                    return
            elif cells and (row := self._row(number, cells)):
                self.kept += 1
                yield row
            if number % _TOLD_EVERY == 0:
                self.tell(f"{number:,} lines read")

    def finish(self) -> None:
        """Note what only the whole file tells."""
        if not self.faults and self.is_empty:
            self.fault(0, "", "the file is empty: it was not written whole, or not copied")
        elif not self.faults and not self.kept:
            others = f"; the file is of {', '.join(sorted(self.refsets))}" if self.refsets else ""
            self.fault(0, "refsetId", f"no active row of reference set {REFSET}{others}")
        if len(self.modules) > 1:
            line = max(self.modules.values())
            self.fault(line, "moduleId", "the first row of a second module: the file mixes editions")

    def _cells(self, number: int, line: bytes) -> list[str]:
        if len(line) >= _LONGEST_LINE:
            self.fault(number, "", f"a line of more than {_LONGEST_LINE:,} bytes")
            raise TableError(self.file, self.faults)
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            self.fault(number, "", NOT_UTF8)
            return []
        return text.split("\t") if text else []

    def _row(self, number: int, cells: list[str]) -> _Sorted | None:
        if len(cells) != len(COLUMNS):
            self.fault(number, "", f"{len(cells)} columns where the file has {len(COLUMNS)}")
            return None
        _, time, active, module, refset, concept, group, priority, rule, advice, target, _, category = cells
        if refset != REFSET or active != "1":
            if active not in ("0", "1"):
                self.fault(number, "active", "neither 0 nor 1")
            elif refset != REFSET and refset.isdigit():
                self.refsets.add(refset)
            return None
        self.modules.setdefault(module, number)
        if not _TIME.fullmatch(time):
            self.fault(number, "effectiveTime", "not a date of eight digits")
        self.latest = max(self.latest, time)
        if not has_check_digit(concept):
            self.fault(number, "referencedComponentId", "not a SNOMED CT identifier: the check digit is wrong")
        if not (_NUMBER.fullmatch(group) and _NUMBER.fullmatch(priority)):
            self.fault(number, "mapGroup", "group and priority are positive whole numbers")
            return None
        self._check_target(number, target, category)
        return concept, int(group), int(priority), number, rule, advice.strip(), target

    def _check_target(self, number: int, target: str, category: str) -> None:
        if bool(target) != (category in WITH_TARGET):
            text = "a target in a category that has none" if target else "no target in a category that has one"
            self.fault(number, "mapTarget", text)
        elif target and not _TARGET.fullmatch(target):
            self.fault(number, "mapTarget", "not an ICD-10-CM code")


# --- the rows


@dataclass
class _Cells:
    """Makes the cells of sorted rows, and checks what rows of one concept say together."""

    file: str
    faults: list[Fault]
    sevenths: Callable[[str], str]

    def of(self, rows: Iterable[_Sorted]) -> Iterator[Cells]:
        """Yield the cells of every row."""
        for _, of_concept in groupby(rows, key=lambda row: row[0]):
            expected_group = 0
            for group, of_group in groupby(of_concept, key=lambda row: row[1]):
                expected_group += 1
                yield from self._group(list(of_group), group == expected_group)
                expected_group = group

    def _group(self, rows: list[_Sorted], is_next: bool) -> Iterator[Cells]:
        if not is_next:
            self._fault(rows[0], "mapGroup", "the concept's groups are not numbered from 1 without a hole")
        for place, row in enumerate(rows, 1):
            before = rows[place - 2][2] if place > 1 else 0
            if row[2] == before:
                self._fault(row, "mapPriority", "a second row of this concept, group and priority")
            elif row[2] != before + 1:
                self._fault(row, "mapPriority", "the group's priorities are not numbered from 1 without a hole")
            if cells := self._cells(row, is_last=place == len(rows)):
                yield cells

    def _cells(self, row: _Sorted, is_last: bool) -> Cells | None:
        concept, group, priority, _, rule, advice, target = row
        try:
            terms = parse_rule(rule)
        except ValueError as error:
            self._fault(row, "mapRule", str(error))
            return None
        if terms.is_always and not is_last:
            self._fault(row, "mapRule", "always true, and rows come after it: they would never be asked")
        return {
            "source_code": concept,
            "target_code": target or NEEDS_DETAIL,
            "sex": terms.sex,
            "age": age_text(terms.age) if terms.age else "",
            "with": " ".join(sorted(terms.findings)),
            "group": str(group) if group > 1 else "",
            "priority": str(priority),
            "seventh_character": self.sevenths(target) if target.endswith(LACKS_SEVENTH) else "",
            "note": advice or ("" if target else "the map gives no code for this"),
        }

    def _fault(self, row: _Sorted, where: str, text: str) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(Fault(self.file, row[3], where, text))
