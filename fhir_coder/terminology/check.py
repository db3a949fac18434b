"""What a person is told about mapping tables before they are used: loading faults, dead targets, rows out of reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations, dropwhile
from pathlib import Path

from fhir_coder.errors import Fault
from fhir_coder.model import ICD10_BEGAN, SYSTEM_TITLES, Kind, System, Validity
from fhir_coder.terminology.check_digits import has_check_digit, is_loinc, is_npi
from fhir_coder.terminology.codesets import CodeSets
from fhir_coder.terminology.conditions import covers
from fhir_coder.terminology.csv_table import header_file
from fhir_coder.terminology.loading import read_layers
from fhir_coder.terminology.names import NO_NAMES, Names, unknown_name
from fhir_coder.terminology.seventh import LACKS_SEVENTH, with_seventh
from fhir_coder.terminology.table import EVERY_DAY, Days, MappingTable, Row
from fhir_coder.terminology.tables import Tables, equal_rows_of


def check_tables(folders: Sequence[Path], codesets: CodeSets, on: date, names: Names = NO_NAMES) -> list[Fault]:
    """List everything wrong with the tables of the folders: faults of loading first, then what the sound tables say.

    Every target must be valid on every day its row counts, up to `on`. A payer or feed that is none of `names` is
    warned of.
    """
    layers, faults = read_layers(folders)
    for table in (table for layer in layers for table in layer):
        faults += check_table(table, codesets, on, names)
    for together in Tables(layers).asked_together():
        faults += _rivalries(together)
    return faults


def check_use(
    layers: Sequence[Sequence[MappingTable]],
    tables: Sequence[MappingTable],
    codesets: CodeSets,
    on: date,
    names: Names = NO_NAMES,
) -> list[Fault]:
    """List what is wrong with tables that are to be used in these layers: in themselves, and beside the others."""
    faults = [fault for table in tables for fault in check_table(table, codesets, on, names)]
    versions = {table.version for table in tables}
    for together in Tables(layers).asked_together():
        for new in (table for table in together if table.version in versions):
            for other in (table for table in together if table is not new):
                faults += _rivalries((new, other))
    return faults


def _rivalries(together: Sequence[MappingTable]) -> Iterator[Fault]:
    for one, row, other, rival in equal_rows_of(together):
        text = f"fits as well as {other.file}:{rival.line} with another answer: set priorities, or a layer in a header"
        yield Fault(one.file, row.line, "priority", text)


def check_table(table: MappingTable, codesets: CodeSets, on: date, names: Names = NO_NAMES) -> list[Fault]:
    """List what is wrong with what a sound table says, in the order of its lines."""
    faults: list[Fault] = []
    for of_code in table.by_code():
        faults += [fault for row in of_code for fault in _row_faults(table, row, codesets, on)]
        faults += _never_reached(table, of_code)
        faults += [fault for row in of_code for fault in _name_warnings(table, row, names)]
    if not table.header.licence:
        header = header_file(Path(table.file))
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
        for text, is_warning in _target_faults(row, codesets, *_days(table, row, on)):
            yield Fault(table.file, row.line, column, text, is_warning)


def _name_warnings(table: MappingTable, row: Row, names: Names) -> Iterator[Fault]:
    """A row of a misspelt name never fits, and the rows after it decide: the table may also be of several sites."""
    for condition, name in (("payer", row.conditions.payer), ("feed", row.conditions.feed)):
        if rule := unknown_name(condition, name, names):
            yield Fault(table.file, row.line, condition, rule, is_warning=True)


def _days(table: MappingTable, row: Row, on: date) -> tuple[tuple[date, ...], bool]:
    """The days to check, and whether the row is of an edition: a publisher's, without dates of its own."""
    is_of_edition = table.header.layer == "base" and row.conditions.valid_from is None
    return days_to_check(row, on, table.days), is_of_edition


def _target_faults(
    row: Row, codesets: CodeSets, days: tuple[date, ...], is_of_edition: bool
) -> Iterator[tuple[str, bool]]:
    """What is wrong with a row's target on some of these days, each with whether it is only a warning."""
    if row.target is None:
        return
    system, code = row.target.system, row.target.code
    if system == System.ICD10CM and len(code) > 3 and "." not in code:
        yield "an ICD-10-CM code is written with its dot", False
    if code.endswith(LACKS_SEVENTH):
        if not row.sevenths:
            return  # a person chooses: any 7th character may be right
        code = with_seventh(row.target, row.sevenths[0]).code
    judged = _judged((system, code), codesets, days, is_of_edition)
    invalid = [day for day, validity in judged if validity is Validity.INVALID]
    valid = [day for day, validity in judged if validity is Validity.VALID]
    if invalid and valid and valid[-1] < invalid[0]:
        end = _last_day(codesets, (system, code), valid[-1], invalid[0])
        yield f"ends on {end}, and the row goes on: a gap from then on. Set valid_to, and write a row for after", True
    elif invalid:
        when = f"from {invalid[0]} to {invalid[-1]}" if len(invalid) > 1 else f"on {invalid[0]}"
        yield f"not a valid {SYSTEM_TITLES.get(system, 'code')} code {when}", False


def _judged(
    code: tuple[str, str], codesets: CodeSets, days: tuple[date, ...], is_of_edition: bool
) -> list[tuple[date, Validity]]:
    """What a code is on some days. An edition is of its own time: a code may begin within these days, or have ended."""
    last = (days[-1], codesets.validity(*code, days[-1]))
    if is_of_edition and last[1] is not Validity.INVALID:
        return [last]
    judged = [(day, codesets.validity(*code, day)) for day in days]
    if not is_of_edition:
        return judged
    return list(dropwhile(lambda one: one[1] is not Validity.VALID, judged)) or [last]


def _last_day(codesets: CodeSets, code: tuple[str, str], valid: date, invalid: date) -> date:
    """The last day of a code that is valid on one day and not on a later one."""
    while (invalid - valid).days > 1:
        middle = valid + (invalid - valid) // 2
        valid, invalid = (valid, middle) if codesets.validity(*code, middle) is Validity.INVALID else (middle, invalid)
    return valid


def _recorded_faults(table: MappingTable, row: Row) -> Iterator[Fault]:
    for one in sorted(row.conditions.recorded):
        system, _, code = one.rpartition("|")
        if system in CHECKED and not CHECKED[system][1](code):
            yield Fault(table.file, row.line, "with", f"not a {CHECKED[system][0]}: the check digit is wrong")


def days_to_check(row: Row, on: date, days: Days = EVERY_DAY) -> tuple[date, ...]:
    """Give the days that show whether a target is valid as long as its row counts: first, of every quarter, last.

    A row without a first day counts from the first day of ICD-10, or of its table's `days`, and none is looked at
    after `on`. One that begins after `on` has one day to check. Code sets change with a quarter at the earliest.
    """
    first = max(row.conditions.valid_from or ICD10_BEGAN, days[0][0])
    last = min(row.conditions.valid_to or on, days[-1][1], on)
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
