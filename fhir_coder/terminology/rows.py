"""One row of a mapping table as text, and as a value. Pure: reading files is `csv_table`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import combinations

from fhir_coder.errors import Fault
from fhir_coder.model import SYSTEM_SHORT_NAMES, Coding, Kind, System
from fhir_coder.terminology.conditions import (
    LATERALITIES,
    SEXES,
    USES,
    AgeRange,
    Conditions,
    age_text,
    overlap,
    parse_age,
)
from fhir_coder.terminology.header import UNKNOWN_TARGET_SYSTEM, parse_date, system_uri
from fhir_coder.terminology.table import NOTHING_MORE, RELATED, RELATIONSHIPS, Brings, Header, Row

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
    "care_setting",
    "feed",
    "laterality",
    "use",
    "with",
    "group",
    "relationship",
    "modifiers",
    "units",
    "administration",
    "seventh_character",
    "revenue_code",
    "administration_revenue_code",
)
"""The columns of a table's CSV. A site's table may leave out those it does not need, in any order."""

NOT_BILLABLE = "not-billable"
"""A target that is an answer: nothing is billed for this."""

NEEDS_DETAIL = "needs-detail"
"""A target that leaves the code to a person; the row's note says what is missing."""

MAX_MODIFIERS = 4
"""Modifiers a claim line carries (837P SV101-3 to 6)."""

_PRICED = frozenset({Kind.CHARGE, Kind.FEE})
_CONDITIONAL = (
    *("sex", "age", "encounter_class", "payer", "priority", "valid_from", "valid_to"),
    *("care_setting", "feed", "laterality", "use", "with", "group"),
)
_BRINGING = ("modifiers", "units", "administration", "revenue_code", "administration_revenue_code")
_GROUPED = frozenset({Kind.DIAGNOSIS, Kind.PROCEDURE, Kind.IMMUNIZATION, Kind.VISIT})
_PLACE = re.compile(r"\d{2}")
_REVENUE = re.compile(r"\d{4}")
_MODIFIER = re.compile(r"[A-Z0-9]{2}")
_SEVENTHS = re.compile(r"[ADS]{1,3}")
_PRICE = re.compile(r"\d{1,9}(\.\d{1,4})?")
_PRIORITY = re.compile(r"[1-9]\d{0,8}")

Cells = dict[str, str]
_NO_CELLS = dict.fromkeys(COLUMNS, "")


_SHORT_NAMES = {uri: name for name, uri in SYSTEM_SHORT_NAMES.items()}


@dataclass
class RowReader:
    """Makes rows of cells. Without a usable header only what does not depend on it is checked.

    Faults are added to `faults`; a row with any is None. `when_unknown` holds where the header does not say it.
    """

    file: str
    header: Header | None
    version: str
    faults: list[Fault]
    when_unknown: str = "gap"
    line: int = 0
    _dates: dict[str, date] = field(default_factory=dict)
    _ages: dict[str, AgeRange] = field(default_factory=dict)

    def fault(self, where: str, text: str) -> None:
        """Note a fault of the line that is being read."""
        self.faults.append(Fault(self.file, self.line, where, text))

    def columns_fit(self, line: int, columns: Sequence[str]) -> bool:
        """Say whether the first line names the columns that a table of this kind needs."""
        self.line = line
        before = len(self.faults)
        for name in sorted(set(columns) - set(COLUMNS)):
            self.fault(name, f"unknown column: the columns are {', '.join(COLUMNS)}")
        for name in sorted({name for name in columns if columns.count(name) > 1}):
            self.fault(name, "column named twice")
        is_fee = self.header is not None and self.header.kind is Kind.FEE
        for name in ("source_code", "unit_price") if is_fee else ("source_code", "target_code"):
            if name not in columns:
                self.fault(name, "missing column")
        return len(self.faults) == before

    def row_of(self, line: int, columns: Sequence[str], values: Sequence[str]) -> Row | None:
        """Make the row of one line's values."""
        self.line = line
        if len(values) != len(columns):
            self.fault("", f"{len(values)} cells where the first line names {len(columns)} columns")
            return None
        return self.row(line, dict(zip(columns, values, strict=True)))

    def row(self, line: int, said: Mapping[str, str]) -> Row | None:
        """Make a row of the cells that are not empty."""
        self.line = line
        cells = {**_NO_CELLS, **said}
        before = len(self.faults)
        if not cells["source_code"]:
            self.fault("source_code", "empty")
        row = self._conditioned(cells)
        return row if len(self.faults) == before else None

    def compare(self, of_code: Sequence[Row]) -> None:
        """Find rows of one code that repeat each other, or fit equally well and say different things."""
        for one, other in combinations(of_code, 2):
            if (one.group, one.priority) == (other.group, other.priority):
                self._compare_two(one, other)

    def _conditioned(self, cells: Cells) -> Row | None:
        conditions, priority = self._conditions(cells), self._priority(cells["priority"])
        if self.header is None:
            return None
        if self.header.kind is Kind.CONCEPT:
            self._has_no_conditions(cells)
        group = self._group(self.header.kind, cells["group"])
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
            group=group,
            relationship=self._word(cells, "relationship", RELATIONSHIPS) or RELATED,
            brings=self._brings(self.header, cells),
            sevenths=self._sevenths(cells),
            may_default=(self.header.when_unknown or self.when_unknown) == "default-row"
            and not conditions.asks_more_than_dates,
        )

    def _has_no_conditions(self, cells: Cells) -> None:
        for name in _CONDITIONAL:
            # Priority 1 changes nothing: a table written with all columns may say it.
            if cells[name] and (name, cells[name]) != ("priority", "1"):
                self.fault(name, "a concept table has one answer for each code, without conditions")

    def _target(self, header: Header, cells: Cells) -> Coding | None:
        code, display = cells["target_code"], cells["display"]
        if header.kind is Kind.FEE:
            if code not in ("", cells["source_code"]):
                self.fault("target_code", "a fee table prices the source code: it has no target")
            return Coding(header.source_system, cells["source_code"], display)
        if not code:
            self.fault("target_code", f"empty: write the code, {NOT_BILLABLE} or {NEEDS_DETAIL}")
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
                self.fault("target_system", UNKNOWN_TARGET_SYSTEM)
            elif header.target_systems and system not in header.target_systems:
                self.fault("target_system", "not among the target systems of the header file")
            return system
        if len(header.target_systems) != 1:
            self.fault("target_system", "empty, and the header file does not name one target system for all rows")
            return ""
        return header.target_systems[0]

    def _unit_price(self, kind: Kind, cells: Cells) -> Decimal | None:
        text = cells["unit_price"]
        if not text:
            if kind is Kind.FEE:
                self.fault("unit_price", "empty: a fee table prices every row")
            return None
        if kind not in _PRICED:
            self.fault("unit_price", "only charge and fee tables have prices")
        elif cells["target_code"] in (NOT_BILLABLE, NEEDS_DETAIL):
            self.fault("unit_price", "a price for nothing: the row names no code to bill")
        elif not _PRICE.fullmatch(text):
            self.fault("unit_price", "not a price: write it as 12.50, without a currency or a sign")
        else:
            return Decimal(text)
        return None

    def _priority(self, text: str) -> int:
        if text and not _PRIORITY.fullmatch(text):
            self.fault("priority", "not a positive whole number")
            return 1
        return int(text or 1)

    def _conditions(self, cells: Cells) -> Conditions:
        if cells["sex"] and cells["sex"] not in SEXES:
            self.fault("sex", f"unknown sex: write one of {', '.join(sorted(SEXES))}, or nothing")
        settings = frozenset(cells["care_setting"].split())
        if not all(map(_PLACE.fullmatch, settings)):
            self.fault("care_setting", "not a place of service code: two digits")
        own_from, own_to = self._day(cells, "valid_from"), self._day(cells, "valid_to")
        valid_from = own_from or (self.header.valid_from if self.header else None)
        valid_to = own_to or (self.header.valid_to if self.header else None)
        if valid_from and valid_to and valid_to < valid_from:
            self.fault("valid_to", "valid_to is before valid_from")
        return Conditions(
            sex=cells["sex"],
            age=self._age(cells["age"]),
            encounter_classes=frozenset(cells["encounter_class"].split()),
            payer=cells["payer"],
            valid_from=valid_from,
            valid_to=valid_to,
            dated=bool(own_from or own_to),
            care_settings=settings,
            feed=cells["feed"],
            laterality=self._word(cells, "laterality", sorted(LATERALITIES)),
            use=self._word(cells, "use", sorted(USES)),
            recorded=self._recorded(cells["with"]),
        )

    def _word(self, cells: Cells, name: str, words: Iterable[str]) -> str:
        if cells[name] and cells[name] not in words:
            self.fault(name, f"write one of {', '.join(words)}, or nothing")
        return cells[name]

    def _recorded(self, text: str) -> frozenset[str]:
        if not text:
            return frozenset()
        source = self.header.source_system if self.header else ""
        return frozenset(f"{c.system}|{c.code}" for one in text.split() if (c := self._named(one, source, "with")))

    def _named(self, text: str, system: str, column: str) -> Coding | None:
        """A code written as `system|code`, or alone where its system goes without saying."""
        name, bar, code = text.rpartition("|")
        named = system_uri(name) if bar else system
        if not named or not code:
            self.fault(column, f"not a code: write CODE, or SYSTEM|CODE with one of {', '.join(SYSTEM_SHORT_NAMES)}")
            return None
        return Coding(named, code)

    def _group(self, kind: Kind, text: str) -> int:
        if not text:
            return 1
        if not _PRIORITY.fullmatch(text):
            self.fault("group", "not a positive whole number")
            return 1
        if kind not in _GROUPED and text != "1":
            self.fault("group", "one charge is one line, and a price is one price: no combinations here")
        return int(text)

    def _brings(self, header: Header, cells: Cells) -> Brings:
        if not any(cells[name] for name in _BRINGING):
            return NOTHING_MORE
        if header.kind in (Kind.DIAGNOSIS, Kind.FEE, Kind.CONCEPT):
            text = "only rows for services bring modifiers, units, a revenue code or an administration code"
            self.fault("modifiers", text)
        elif cells["target_code"] in (NOT_BILLABLE, NEEDS_DETAIL):
            self.fault("modifiers", "nothing to bring: the row names no code to bill")
        modifiers = cells["modifiers"].split()
        if len(modifiers) > MAX_MODIFIERS or not all(map(_MODIFIER.fullmatch, modifiers)):
            self.fault("modifiers", f"not up to {MAX_MODIFIERS} modifiers of two characters, with blanks between them")
        for name in ("revenue_code", "administration_revenue_code"):
            if cells[name] and not _REVENUE.fullmatch(cells[name]):
                self.fault(name, "not a revenue code: four digits, with the zero in front")
        given = cells["administration"]
        if cells["administration_revenue_code"] and not given:
            self.fault("administration_revenue_code", "the row names no administration code")
        return Brings(
            tuple(_modifier(code) for code in modifiers),
            self._units(cells["units"]),
            self._named(given, System.HCPCS, "administration") if given else None,
            cells["revenue_code"],
            cells["administration_revenue_code"],
        )

    def _units(self, text: str) -> Decimal:
        if not text:
            return Decimal(1)
        if not _PRICE.fullmatch(text) or not Decimal(text):
            self.fault("units", "not a number of units: write how many are billed for one, such as 10 or 0.5")
            return Decimal(1)
        return Decimal(text)

    def _sevenths(self, cells: Cells) -> str:
        text = cells["seventh_character"]
        if text and not (_SEVENTHS.fullmatch(text) and cells["target_code"].endswith("?")):
            self.fault("seventh_character", "write which of A, D and S are decided, for a target that ends in ?")
        return text

    def _day(self, cells: Cells, name: str) -> date | None:
        text = cells[name]
        if not text or text in self._dates:
            return self._dates.get(text)
        try:
            return self._dates.setdefault(text, parse_date(text))
        except ValueError as error:
            self.fault(name, str(error))
            return None

    def _age(self, text: str) -> AgeRange | None:
        if not text or text in self._ages:
            return self._ages.get(text)
        try:
            return self._ages.setdefault(text, parse_age(text))
        except ValueError as error:
            self.fault("age", str(error))
            return None

    def _compare_two(self, one: Row, other: Row) -> None:
        self.line = max(one.line, other.line)
        earlier = min(one.line, other.line)
        is_asked = self.header is not None and self.header.equal_rows == "ask"
        if one.conditions == other.conditions and (one.answer == other.answer or not is_asked):
            self.fault("source_code", f"repeats line {earlier}: same code, conditions, dates and priority")
        elif not is_asked and one.answer != other.answer and overlap(one.conditions, other.conditions):
            self.fault("priority", f"fits as well as line {earlier} with another answer: set their priorities")


def _modifier(code: str) -> Coding:
    return Coding(System.CPT if code[0].isdigit() else System.HCPCS, code)


def cells_of(row: Row) -> Cells:
    """Write a row as the cells that read as this row; empty ones are left out."""
    asked, target = row.conditions, row.target
    code = target.code if target else NEEDS_DETAIL if row.needs_detail else NOT_BILLABLE
    cells = {
        "source_code": row.source_code,
        "display": row.display,
        "target_system": short_name(target.system) if target else "",
        "target_code": code,
        "sex": asked.sex,
        "age": age_text(asked.age) if asked.age else "",
        "encounter_class": " ".join(sorted(asked.encounter_classes)),
        "payer": asked.payer,
        "priority": str(row.priority),
        "valid_from": str(asked.valid_from or "") if asked.dated else "",
        "valid_to": str(asked.valid_to or "") if asked.dated else "",
        "unit_price": str(row.unit_price) if row.unit_price is not None else "",
        "note": row.note,
        "care_setting": " ".join(sorted(asked.care_settings)),
        "feed": asked.feed,
        "laterality": asked.laterality,
        "use": asked.use,
        "with": " ".join(sorted(_short_code(one) for one in asked.recorded)),
        "group": str(row.group) if row.group > 1 else "",
        "relationship": row.relationship if row.relationship != RELATED else "",
        "seventh_character": row.sevenths,
        **_brought(row.brings),
    }
    return {name: text for name, text in cells.items() if text}


def _brought(brings: Brings) -> Cells:
    given = brings.administration
    return {
        "modifiers": " ".join(modifier.code for modifier in brings.modifiers),
        "units": str(brings.units) if brings.units != 1 else "",
        "administration": f"{short_name(given.system)}|{given.code}" if given else "",
        "revenue_code": brings.revenue_code,
        "administration_revenue_code": brings.given_revenue_code,
    }


def short_name(system: str) -> str:
    """Give the short name of a system, else its URI."""
    return _SHORT_NAMES.get(system, system)


def _short_code(text: str) -> str:
    system, _, code = text.rpartition("|")
    return f"{short_name(system)}|{code}"
