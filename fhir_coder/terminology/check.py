"""What a person is told about mapping tables before they are used: loading faults, dead targets, rows out of reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path

from fhir_coder.errors import Fault
from fhir_coder.model import SYSTEM_TITLES, Kind, System, Validity
from fhir_coder.terminology.codesets import ICD10_BEGAN, CodeSets
from fhir_coder.terminology.conditions import covers
from fhir_coder.terminology.table import MappingTable, Row
from fhir_coder.terminology.tables import read_layers

_D = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
"""Verhoeff's multiplication table (the dihedral group of order 10)."""

_P = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)
"""Verhoeff's permutations, by position from the right."""


def check_tables(folders: Sequence[Path], codesets: CodeSets, on: date) -> list[Fault]:
    """List everything wrong with the tables of the folders: faults of loading first, then what the sound tables say.

    Every target must be valid on the first day its row counts, and on its last or on `on`, whichever is earlier.
    """
    layers, faults = read_layers(folders)
    for table in (table for layer in layers for table in layer):
        faults += check_table(table, codesets, on)
    return faults


def check_table(table: MappingTable, codesets: CodeSets, on: date) -> list[Fault]:
    """List what is wrong with what a sound table says, in the order of its lines."""
    rows = [row for of_code in table.rows.values() for row in of_code]
    faults = [fault for row in rows for fault in _row_faults(table, row, codesets, on)]
    faults += [fault for of_code in table.rows.values() for fault in _never_reached(table, of_code)]
    if not table.header.licence:
        header = str(Path(table.file).with_suffix(".toml"))
        faults.append(Fault(header, 0, "licence", "missing: say under which terms the table may be used"))
    return sorted(faults, key=lambda fault: fault.line)


def has_check_digit(code: str) -> bool:
    """Say whether a SNOMED CT identifier has the right length and Verhoeff check digit (SNOMED CT TIG, SCTID)."""
    if not (code.isascii() and code.isdigit() and 6 <= len(code) <= 18) or code[0] == "0":
        return False
    total = 0
    for position, digit in enumerate(reversed(code)):
        total = _D[total][_P[position % 8][int(digit)]]
    return total == 0


def _row_faults(table: MappingTable, row: Row, codesets: CodeSets, on: date) -> Iterator[Fault]:
    if table.source_system == System.SNOMED and not has_check_digit(row.source_code):
        yield Fault(table.file, row.line, "source_code", "not a SNOMED CT identifier: the check digit is wrong")
    if row.needs_detail and not row.note:
        yield Fault(table.file, row.line, "note", "empty: needs-detail says here what is missing")
    if row.target and table.kind is not Kind.CONCEPT:
        column = "source_code" if table.kind is Kind.FEE else "target_code"
        for text in _target_faults(row, codesets, on):
            yield Fault(table.file, row.line, column, text)


def _target_faults(row: Row, codesets: CodeSets, on: date) -> Iterator[str]:
    if row.target is None:
        return
    system, code = row.target.system, row.target.code
    if system == System.ICD10CM and len(code) > 3 and "." not in code:
        yield "an ICD-10-CM code is written with its dot"
    for day in days_to_check(row, on):
        if codesets.validity(system, code, day) is Validity.INVALID:
            yield f"not a valid {SYSTEM_TITLES.get(system, 'code')} code on {day}"


def days_to_check(row: Row, on: date) -> tuple[date, ...]:
    """Give the days a row's target must be valid on: the first day the row counts, and its last or `on`.

    A row without a first day counts from the first day of ICD-10. One that begins after `on` has one day to check.
    """
    first = row.conditions.valid_from or ICD10_BEGAN
    last = min(row.conditions.valid_to or on, on)
    return (first, last) if last > first else (first,)


def _never_reached(table: MappingTable, of_code: Sequence[Row]) -> Iterator[Fault]:
    for earlier, later in combinations(of_code, 2):
        if earlier.priority < later.priority and covers(earlier.conditions, later.conditions):
            text = f"never reached: line {earlier.line} fits before it"
            yield Fault(table.file, later.line, "priority", text)
