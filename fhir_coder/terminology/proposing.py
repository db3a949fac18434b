"""Rows proposed for what the tables have no answer for: kept beside the site's tables, unread until activated.

A proposal goes to `proposed/ID.csv` in the site's folder; ID names the kind and system it is about. The file holds the
whole table as it would be: the rows in use of that id, and those that wait. So it is compared and activated as any
version of a table is.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from fhir_coder.errors import Fault, FhirCoderError, TableError
from fhir_coder.model import ICD10_BEGAN, Coding, CodingContext, Kind, System
from fhir_coder.terminology.charge_master import billing_system
from fhir_coder.terminology.check import check_use
from fhir_coder.terminology.codesets import CodeSets
from fhir_coder.terminology.csv_table import read_table
from fhir_coder.terminology.exporting import csv_text
from fhir_coder.terminology.header import header_text, system_uri
from fhir_coder.terminology.loading import read_folder
from fhir_coder.terminology.rows import NEEDS_DETAIL, NOT_BILLABLE, Cells, cells_of, short_name
from fhir_coder.terminology.table import Header, MappingTable, Row

PROPOSED = "proposed"
"""The folder of proposals, within the site's folder of tables: coding never reads it."""

REFUSED: Mapping[str, str] = {
    "no_code": "the sender gave no code: a row has nothing to stand under",
    "no_system": "the sender named no code system: a row has nothing to stand under",
    "unknown_modifier": "the extension may change what the code means: no row settles it",
}
"""Gap reasons that no row settles."""

ABOUT_ONE_VISIT = frozenset({"unknown_context", "needs_detail", "ambiguous"})
"""Gap reasons where rows ask for more: a row that holds for every visit says why it may."""

_SEEN: Mapping[str, tuple[str, Callable[[CodingContext], str]]] = {
    "sex": ("sex", lambda seen: seen.sex),
    "encounter class": ("encounter_class", lambda seen: seen.encounter_class),
    "care setting": ("care_setting", lambda seen: seen.care_setting),
    "payer": ("payer", lambda seen: seen.payer),
    "feed": ("feed", lambda seen: seen.feed),
    "laterality": ("laterality", lambda seen: seen.laterality),
    "use of the diagnosis": ("use", lambda seen: seen.use),
}
"""What rows ask that a visit itself says: the column, and the visit's value."""

_SAID: Mapping[str, tuple[str, ...]] = {"age": ("age",), "other codes of the chart": ("with",)}
"""What rows ask that one visit does not settle: a person says for which."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A row to be: the kind of table, the code's system, and the cells."""

    kind: Kind
    system: str
    cells: Cells


@dataclass(frozen=True, slots=True)
class Proposed:
    """A row that waits for review: its table, the line in it, and how many rows of it wait."""

    table: MappingTable
    line: int
    waiting: int


def needed_conditions(rows: Sequence[Row], context: CodingContext, said: Mapping[str, str]) -> Cells:
    """The conditions that tell this visit from those the rows fit; what is `said` goes before what the visit shows.

    Raises FhirCoderError where the rows ask for something that one visit does not settle, and nobody said it.
    """
    asked = dict.fromkeys(name for row in rows for name in row.conditions.asked())
    cells: Cells = {}
    for name in asked:
        columns = _SAID.get(name, ())
        if columns and not any(column in said for column in columns):
            raise FhirCoderError(f"the rows of this code ask for the {name}: say for which with --set {columns[0]}=...")
        if name in _SEEN:
            column, seen = _SEEN[name]
            cells[column] = seen(context)
    return {column: value for column, value in {**cells, **said}.items() if value}


def target_cells(target: str, kind: Kind, code_sets: CodeSets, on: date) -> Cells:
    """The cells of a target: `CODE`, `SYSTEM|CODE`, not-billable or needs-detail. Raises FhirCoderError.

    A row begins where the ICD-10 code does, where that is after the beginning of ICD-10.
    """
    if target in (NOT_BILLABLE, NEEDS_DETAIL):
        return {"target_code": target}
    name, _, code = target.rpartition("|")
    system = system_uri(name) if name else System.ICD10CM if kind is Kind.DIAGNOSIS else billing_system(code)
    if not system:
        raise FhirCoderError("--to: of which system is this code? Write SYSTEM|CODE, such as hcpcs|G0463")
    cells = {"target_system": short_name(system), "target_code": code}
    if system in (System.ICD10CM, System.ICD10PCS):
        periods = code_sets.icd10.periods(system, code)
        began = next((first for first, last in periods if first <= on and (last is None or on <= last)), ICD10_BEGAN)
        cells |= {"valid_from": str(began)} if began > ICD10_BEGAN else {}
    return cells


def propose(folder: Path, proposal: Proposal, code_sets: CodeSets, on: date) -> Proposed:
    """Write a row among the proposals of a folder of tables.

    Raises TableError with everything that `tables check` would say of the row: nothing is written then.
    """
    name = table_id(proposal.kind, proposal.system)
    known = _cells_of_table(_in_use(folder, name))
    waiting = [cells for cells in _waiting(folder, name) if cells not in known]
    with drafted(folder, [*(Proposal(proposal.kind, proposal.system, one) for one in waiting), proposal], on) as draft:
        draft.must_be_sound(code_sets, on)
        for suffix in (".csv", ".toml"):
            shutil.move(draft.file.with_suffix(suffix), folder / PROPOSED / f"{name}{suffix}")
    table, _ = read_table(folder / PROPOSED / f"{name}.csv")
    assert table is not None, "what was sound before it was moved"
    return Proposed(table, len(known) + len(waiting) + 2, len(waiting) + 1)


@dataclass(frozen=True, slots=True)
class Draft:
    """A table as it would be with proposed rows, in a file nobody else reads; `others` are the tables beside it.

    `new` is how many rows it has that are not in use yet.
    """

    file: Path
    others: tuple[MappingTable, ...]
    new: int

    def must_be_sound(self, code_sets: CodeSets, on: date) -> None:
        """Raise TableError with everything that `tables check` would say of the proposed rows."""
        _must_be_sound(self.file, self.others, code_sets, on)


@contextmanager
def drafted(folder: Path, proposals: Sequence[Proposal], on: date, *, again: bool = False) -> Iterator[Draft]:
    """The table of a folder that proposed rows, all of one table, go to: with its rows in use and these.

    `again`: a row that is in use already is what an approval put there that went no further; it is not put in twice.
    Its file is there until the block ends. Raises TableError where the folder's tables have faults.
    """
    first = proposals[0]
    name = table_id(first.kind, first.system)
    tables = _tables_of(folder)
    active = next((table for table in tables if table.id == name), None)
    with tempfile.TemporaryDirectory(dir=_made(folder), prefix=".making-") as made:
        file = Path(made) / f"{name}.csv"
        header = replace(active.header, version=str(on)) if active else _header(name, first, on)
        known = _cells_of_table(active)
        new = [p.cells for p in proposals if not (again and any(_same(p.cells, one) for one in known))]
        file.write_text(csv_text([*known, *new]), encoding="utf-8", newline="")
        file.with_suffix(".toml").write_text(header_text(header), encoding="utf-8")
        yield Draft(file, tuple(table for table in tables if table.id != name), len(new))


def _tables_of(folder: Path) -> list[MappingTable]:
    tables, faults = read_folder(folder)
    if faults:
        raise TableError("the set of mapping tables", faults)
    return tables


def _in_use(folder: Path, name: str) -> MappingTable | None:
    return next((table for table in _tables_of(folder) if table.id == name), None)


def table_id(kind: Kind, system: str) -> str:
    """The id of the table that the decisions about a system's codes go to."""
    short = short_name(system)
    if not re.fullmatch(r"[a-z0-9]{1,12}", short):
        short = hashlib.sha256(system.encode()).hexdigest()[:8]
    return f"decisions-{kind}-{short}"


def rows_about(tables: Sequence[MappingTable], coding: Coding) -> list[Row]:
    """All rows of some tables for a code."""
    return [row for table in tables for row in table.rows.get(coding.code, ())]


def _made(folder: Path) -> Path:
    (folder / PROPOSED).mkdir(parents=True, exist_ok=True)
    return folder / PROPOSED


def _header(name: str, proposal: Proposal, on: date) -> Header:
    system = short_name(proposal.system)
    return Header(
        name,
        f"Decisions of coders: {proposal.kind}, {system}",
        proposal.kind,
        proposal.system,
        (),
        str(on),
        licence="the site's own; the codes under their own licences",
        source="fhir-coder tables propose",
    )


def _waiting(folder: Path, name: str) -> list[Cells]:
    file = folder / PROPOSED / f"{name}.csv"
    if not file.exists():
        return []
    table, faults = read_table(file)
    if faults:
        raise TableError(f"the proposals in {file}", faults)
    return _cells_of_table(table)


def _cells_of_table(table: MappingTable | None) -> list[Cells]:
    rows = [row for of_code in table.by_code() for row in of_code] if table else []
    return [cells_of(row) for row in sorted(rows, key=lambda row: row.line)]


def _same(one: Cells, other: Cells) -> bool:
    return {**_UNSAID, **one} == {**_UNSAID, **other}


_UNSAID: Cells = {"priority": "1", "group": "1"}
"""What cells mean that a row leaves out."""


def _must_be_sound(file: Path, others: Sequence[MappingTable], code_sets: CodeSets, on: date) -> None:
    table, faults = read_table(file)
    if table:
        faults = [fault for fault in check_use([[*others, table]], [table], code_sets, on) if not fault.is_warning]
    if faults:
        raise TableError("the proposed row", [_of_row(fault, file) for fault in faults])


def _of_row(fault: Fault, file: Path) -> Fault:
    return replace(fault, file=file.name) if fault.file == str(file) else fault
