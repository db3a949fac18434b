"""Reading a mapping table: a CSV with its header file beside it. All faults are listed; a faulty table is not used."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import combinations
from pathlib import Path

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import Coding, Kind
from fhir_coder.terminology.conditions import SEXES, AgeRange, Conditions, overlap, parse_age
from fhir_coder.terminology.header import UNKNOWN_TARGET_SYSTEM, parse_date, read_header, system_uri
from fhir_coder.terminology.table import Header, MappingTable, Row

COLUMNS = (
    "source_code",
    "display",
    "target_system",
    "target_code",
    "sex",
    "age",
    "encounter_class",
    "payer",
    "priority",
    "valid_from",
    "valid_to",
    "unit_price",
    "note",
)
"""The columns of a table's CSV. A site's table may leave out those it does not need, in any order."""

NOT_BILLABLE = "not-billable"
"""A target that is an answer: nothing is billed for this."""

NEEDS_DETAIL = "needs-detail"
"""A target that leaves the code to a person; the row's note says what is missing."""

_PRICED = frozenset({Kind.CHARGE, Kind.FEE})
_CONDITIONAL = ("sex", "age", "encounter_class", "payer", "priority", "valid_from", "valid_to")
_PRICE = re.compile(r"\d{1,9}(\.\d{1,4})?")
_PRIORITY = re.compile(r"[1-9]\d{0,8}")

Cells = dict[str, str]


def load_table(csv_path: Path) -> MappingTable:
    """Load one table. Raises TableError with every fault of the CSV and of its header file."""
    table, faults = read_table(csv_path)
    if table is None or faults:
        raise TableError(f"mapping table {csv_path}", faults)
    return table


def read_table(csv_path: Path) -> tuple[MappingTable | None, list[Fault]]:
    """Read one table; no table where anything is wrong with it, and then the faults say what."""
    header_path = csv_path.with_suffix(".toml")
    csv_bytes, faults = _bytes_of(csv_path, "cannot be read")
    header_bytes, header_faults = _bytes_of(header_path, "missing: every table has a header file beside it")
    header = None
    if not header_faults:
        header, header_faults = read_header(header_path, header_bytes)
    version = hashlib.sha256(csv_bytes + header_bytes).hexdigest()[:8]
    reader = _RowReader(str(csv_path), header, f"{header.id}@{version}" if header else "", faults)
    rows = reader.read(csv_bytes) if not faults else []
    faults = [*header_faults, *sorted(faults, key=lambda fault: fault.line)]
    if header is None or faults:
        return None, faults
    return MappingTable(header, str(csv_path), str(csv_path.parent), reader.version, _by_code(rows)), []


def _bytes_of(path: Path, rule: str) -> tuple[bytes, list[Fault]]:
    try:
        return path.read_bytes(), []
    except OSError:
        return b"", [Fault(str(path), 0, "", rule)]


def csv_records(file: str, body: bytes, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a UTF-8 CSV with their line in the file; blank lines are passed over."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append(Fault(file, body.count(b"\n", 0, error.start) + 1, "", "not UTF-8"))
        return
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        faults.append(Fault(file, reader.line_num, "", f"not CSV: {error}"))


def _by_code(rows: Sequence[Row]) -> dict[str, tuple[Row, ...]]:
    by_code: dict[str, list[Row]] = {}
    for row in rows:
        by_code.setdefault(row.source_code, []).append(row)
    return {code: tuple(sorted(of_code, key=lambda row: (row.priority, row.line))) for code, of_code in by_code.items()}


@dataclass
class _RowReader:
    """Reads the rows of one CSV. Without a usable header only what does not depend on it is checked."""

    file: str
    header: Header | None
    version: str
    faults: list[Fault]
    line: int = 0
    _dates: dict[str, date] = field(default_factory=dict)
    _ages: dict[str, AgeRange] = field(default_factory=dict)

    def read(self, body: bytes) -> list[Row]:
        """Read all rows; faults are added to `faults`."""
        records = csv_records(self.file, body, self.faults)
        self.line, columns = next(records, (0, []))
        if not columns:
            if not self.faults:
                self._fault("", "empty: the first line names the columns")
            return []
        if not self._columns_fit(columns):
            return []
        rows = [row for record in records if (row := self._row(columns, *record))]
        self._compare(rows)
        return rows

    def _fault(self, where: str, text: str) -> None:
        self.faults.append(Fault(self.file, self.line, where, text))

    def _columns_fit(self, columns: list[str]) -> bool:
        before = len(self.faults)
        for name in sorted(set(columns) - set(COLUMNS)):
            self._fault(name, f"unknown column: the columns are {', '.join(COLUMNS)}")
        for name in sorted({name for name in columns if columns.count(name) > 1}):
            self._fault(name, "column named twice")
        is_fee = self.header is not None and self.header.kind is Kind.FEE
        for name in ("source_code", "unit_price") if is_fee else ("source_code", "target_code"):
            if name not in columns:
                self._fault(name, "missing column")
        return len(self.faults) == before

    def _row(self, columns: list[str], line: int, values: list[str]) -> Row | None:
        self.line = line
        if len(values) != len(columns):
            self._fault("", f"{len(values)} cells where the first line names {len(columns)} columns")
            return None
        cells = dict.fromkeys(COLUMNS, "") | dict(zip(columns, values, strict=True))
        before = len(self.faults)
        if not cells["source_code"]:
            self._fault("source_code", "empty")
        row = self._conditioned(cells)
        return row if len(self.faults) == before else None

    def _conditioned(self, cells: Cells) -> Row | None:
        conditions, priority = self._conditions(cells), self._priority(cells["priority"])
        if self.header is None:
            return None
        if self.header.kind is Kind.CONCEPT:
            self._has_no_conditions(cells)
        return Row(
            table=self.header.id,
            version=self.version,
            line=self.line,
            source_code=cells["source_code"],
            display=cells["display"],
            target=self._target(self.header, cells),
            needs_detail=self.header.kind is not Kind.CONCEPT and cells["target_code"] == NEEDS_DETAIL,
            conditions=conditions,
            priority=priority,
            unit_price=self._unit_price(self.header.kind, cells),
            note=cells["note"],
        )

    def _has_no_conditions(self, cells: Cells) -> None:
        for name in _CONDITIONAL:
            # Priority 1 changes nothing: a table written with all columns may say it.
            if cells[name] and (name, cells[name]) != ("priority", "1"):
                self._fault(name, "a concept table has one answer for each code, without conditions")

    def _target(self, header: Header, cells: Cells) -> Coding | None:
        code, display = cells["target_code"], cells["display"]
        if header.kind is Kind.FEE:
            if code not in ("", cells["source_code"]):
                self._fault("target_code", "a fee table prices the source code: it has no target")
            return Coding(header.source_system, cells["source_code"], display)
        if not code:
            self._fault("target_code", f"empty: write the code, {NOT_BILLABLE} or {NEEDS_DETAIL}")
            return None
        if header.kind is not Kind.CONCEPT and code in (NOT_BILLABLE, NEEDS_DETAIL):
            return None
        return Coding(self._target_system(header, cells["target_system"]), code, display)

    def _target_system(self, header: Header, name: str) -> str:
        if header.kind is Kind.CONCEPT:
            return system_uri(name) or name or next(iter(header.target_systems), "")
        if name:
            system = system_uri(name)
            if not system:
                self._fault("target_system", UNKNOWN_TARGET_SYSTEM)
            elif header.target_systems and system not in header.target_systems:
                self._fault("target_system", "not among the target systems of the header file")
            return system
        if len(header.target_systems) != 1:
            self._fault("target_system", "empty, and the header file does not name one target system for all rows")
            return ""
        return header.target_systems[0]

    def _unit_price(self, kind: Kind, cells: Cells) -> Decimal | None:
        text = cells["unit_price"]
        if not text:
            if kind is Kind.FEE:
                self._fault("unit_price", "empty: a fee table prices every row")
            return None
        if kind not in _PRICED:
            self._fault("unit_price", "only charge and fee tables have prices")
        elif cells["target_code"] in (NOT_BILLABLE, NEEDS_DETAIL):
            self._fault("unit_price", "a price for nothing: the row names no code to bill")
        elif not _PRICE.fullmatch(text):
            self._fault("unit_price", "not a price: write it as 12.50, without a currency or a sign")
        else:
            return Decimal(text)
        return None

    def _priority(self, text: str) -> int:
        if text and not _PRIORITY.fullmatch(text):
            self._fault("priority", "not a positive whole number")
            return 1
        return int(text or 1)

    def _conditions(self, cells: Cells) -> Conditions:
        if cells["sex"] and cells["sex"] not in SEXES:
            self._fault("sex", f"unknown sex: write one of {', '.join(sorted(SEXES))}, or nothing")
        own_from, own_to = self._day(cells, "valid_from"), self._day(cells, "valid_to")
        valid_from = own_from or (self.header.valid_from if self.header else None)
        valid_to = own_to or (self.header.valid_to if self.header else None)
        if valid_from and valid_to and valid_to < valid_from:
            self._fault("valid_to", "valid_to is before valid_from")
        return Conditions(
            sex=cells["sex"],
            age=self._age(cells["age"]),
            encounter_classes=frozenset(cells["encounter_class"].split()),
            payer=cells["payer"],
            valid_from=valid_from,
            valid_to=valid_to,
            dated=bool(own_from or own_to),
        )

    def _day(self, cells: Cells, name: str) -> date | None:
        text = cells[name]
        if not text or text in self._dates:
            return self._dates.get(text)
        try:
            return self._dates.setdefault(text, parse_date(text))
        except ValueError as error:
            self._fault(name, str(error))
            return None

    def _age(self, text: str) -> AgeRange | None:
        if not text or text in self._ages:
            return self._ages.get(text)
        try:
            return self._ages.setdefault(text, parse_age(text))
        except ValueError as error:
            self._fault("age", str(error))
            return None

    def _compare(self, rows: Sequence[Row]) -> None:
        """Find rows of one code that repeat each other, or fit equally well and say different things."""
        for of_code in _by_code(rows).values():
            if len(of_code) > 1:
                for one, other in combinations(of_code, 2):
                    self._compare_two(one, other)

    def _compare_two(self, one: Row, other: Row) -> None:
        if one.priority != other.priority:
            return
        self.line = max(one.line, other.line)
        earlier = min(one.line, other.line)
        if one.conditions == other.conditions:
            self._fault("source_code", f"repeats line {earlier}: same code, conditions, dates and priority")
        elif one.answer != other.answer and overlap(one.conditions, other.conditions):
            self._fault("priority", f"fits as well as line {earlier} with another answer: set their priorities")
