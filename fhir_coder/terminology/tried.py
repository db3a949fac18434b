"""Which rows of the tables were tried for a code, and what of a visit they did not fit. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_coder.model import Coding, CodingContext, Kind
from fhir_coder.terminology.rows import Cells, cells_of
from fhir_coder.terminology.table import Row
from fhir_coder.terminology.tables import Tables


@dataclass(frozen=True, slots=True)
class TriedRow:
    """One row for a code: what it gives, and which of its conditions the visit does not fit or does not say.

    `cells` is the row as its CSV has it. `gives` is None where it is not billable or leaves the code to a person.
    """

    table: str
    line: int
    version: str
    gives: Coding | None
    misses: tuple[str, ...]
    unknown: tuple[str, ...]
    needs_detail: bool
    note: str
    cells: Cells

    @property
    def why(self) -> str:
        """Why the row gave no code, in words."""
        if self.misses:
            return f"does not fit the {' and the '.join(self.misses)}"
        if self.unknown:
            return f"asks for the {' and the '.join(self.unknown)}, which is not known"
        if self.needs_detail:
            return "leaves the code to a person"
        return "fits, and so does another that says otherwise, or its code is not valid on the day of service"


def rows_tried(tables: Tables, kind: Kind, coding: Coding, context: CodingContext) -> tuple[TriedRow, ...]:
    """The rows for a code in the tables of its kind, those that miss least in front."""
    found = [
        _tried(row, context)
        for table in tables.tables_for(kind, coding.system)
        for row in table.rows.get(coding.code, ())
    ]
    return tuple(sorted(found, key=lambda one: (len(one.misses), len(one.unknown))))


def _tried(row: Row, context: CodingContext) -> TriedRow:
    judged = [(name, fits(row.conditions, context)) for name, fits in row.conditions.tests]
    return TriedRow(
        row.table,
        row.line,
        row.version,
        row.target,
        tuple(name for name, fits in judged if fits is False),
        tuple(name for name, fits in judged if fits is None),
        row.needs_detail,
        row.note,
        cells_of(row),
    )
