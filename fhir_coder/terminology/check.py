"""What a person is told about mapping tables before they are used: loading faults, dead targets, rows out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations
from pathlib import Path

from fhir_coder.errors import Fault
from fhir_coder.model import SYSTEM_TITLES, Kind, System, Validity
from fhir_coder.terminology.check_digits import has_check_digit, is_loinc, is_npi
from fhir_coder.terminology.codesets import ICD10_BEGAN, CodeSets
from fhir_coder.terminology.conditions import covers
from fhir_coder.terminology.seventh import LACKS_SEVENTH, with_seventh
from fhir_coder.terminology.table import MappingTable, Row
from fhir_coder.terminology.tables import Tables, equal_rows_of, read_layers


def check_tables(folders: Sequence[Path], codesets: CodeSets, on: date) -> list[Fault]:
    """List everything wrong with the tables of the folders: faults of loading first, then what the sound tables say.

    Every target must be valid on every day its row counts, up to `on`.
    """
    layers, faults = read_layers(folders)
    for table in (table for layer in layers for table in layer):
        faults += check_table(table, codesets, on)
    for together in Tables(layers).asked_together():
        for one, row, other, rival in equal_rows_of(together):
            text = (
                f"fits as well as {other.file}:{rival.line} with another answer: set priorities, or a layer in a header"
            )
            faults.append(Fault(one.file, row.line, "priority", text))
    return faults


def check_table(table: MappingTable, codesets: CodeSets, on: date) -> list[Fault]:
    """List what is wrong with what a sound table says, in the order of its lines."""
    faults: list[Fault] = []
    for of_code in table.by_code():
        faults += [fault for row in of_code for fault in _row_faults(table, row, codesets, on)]
        faults += _never_reached(table, of_code)
    if not table.header.licence:
        header = str(Path(table.file).with_suffix(".toml"))
        faults.append(Fault(header, 0, "licence", "missing: say under which terms the table may be used"))
    return sorted(faults, key=lambda fault: fault.line)


CHECKED: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    System.SNOMED: ("SNOMED CT identifier", has_check_digit),
    System.LOINC: ("LOINC code", is_loinc),
    System.NPI: ("National Provider Identifier", is_npi),
}
"""Systems whose codes have a check digit: what a code is called, and the test."""


def _row_faults(table: MappingTable, row: Row, codesets: CodeSets, on: date) -> Iterator[Fault]:
    named: tuple[tuple[str, str, str], ...] = ((table.source_system, row.source_code, "source_code"),)
    if row.target:
        named = (*named, (row.target.system, row.target.code, "target_code"))
    for system, code, column in named:
        if system in CHECKED and not CHECKED[system][1](code):
            yield Fault(table.file, row.line, column, f"not a {CHECKED[system][0]}: the check digit is wrong")
    yield from _recorded_faults(table, row)
    if row.needs_detail and not row.note:
        yield Fault(table.file, row.line, "note", "empty: needs-detail says here what is missing")
    if row.target and table.kind is not Kind.CONCEPT:
        column = "source_code" if table.kind is Kind.FEE else "target_code"
        for text in _target_faults(row, codesets, _days(table, row, on)):
            yield Fault(table.file, row.line, column, text)


def _days(table: MappingTable, row: Row, on: date) -> tuple[date, ...]:
    """The days to check; a publisher's row without dates is of its edition's time, which is now."""
    is_of_edition = table.header.layer == "base" and row.conditions.valid_from is None
    return (on,) if is_of_edition else days_to_check(row, on)


def _target_faults(row: Row, codesets: CodeSets, days: tuple[date, ...]) -> Iterator[str]:
    if row.target is None:
        return
    system, code = row.target.system, row.target.code
    if system == System.ICD10CM and len(code) > 3 and "." not in code:
        yield "an ICD-10-CM code is written with its dot"
    if code.endswith(LACKS_SEVENTH):
        if not row.sevenths:
            return  # a person chooses: any 7th character may be right
        code = with_seventh(row.target, row.sevenths[0]).code
    invalid = [day for day in days if codesets.validity(system, code, day) is Validity.INVALID]
    if invalid:
        when = f"from {invalid[0]} to {invalid[-1]}" if len(invalid) > 1 else f"on {invalid[0]}"
        yield f"not a valid {SYSTEM_TITLES.get(system, 'code')} code {when}"


def _recorded_faults(table: MappingTable, row: Row) -> Iterator[Fault]:
    for one in sorted(row.conditions.recorded):
        system, _, code = one.rpartition("|")
        if system in CHECKED and not CHECKED[system][1](code):
            yield Fault(table.file, row.line, "with", f"not a {CHECKED[system][0]}: the check digit is wrong")


def days_to_check(row: Row, on: date) -> tuple[date, ...]:
    """Give the days that show whether a target is valid as long as its row counts: first, of every quarter, last.

    A row without a first day counts from the first day of ICD-10, and none is looked at after `on`. One that begins
    after `on` has one day to check. Code sets change with a quarter at the earliest.
    """
    first = row.conditions.valid_from or ICD10_BEGAN
    last = min(row.conditions.valid_to or on, on)
    if last <= first:
        return (first,)
    quarters = (date(year, month, 1) for year in range(first.year, last.year + 1) for month in (1, 4, 7, 10))
    return (first, *(day for day in quarters if first < day < last), last)


def _never_reached(table: MappingTable, of_code: Sequence[Row]) -> Iterator[Fault]:
    for earlier, later in combinations(of_code, 2):
        if (
            earlier.group == later.group
            and earlier.priority < later.priority
            and covers(earlier.conditions, later.conditions)
        ):
            text = f"never reached: line {earlier.line} fits before it"
            yield Fault(table.file, later.line, "priority", text)
