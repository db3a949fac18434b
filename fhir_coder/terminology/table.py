"""A mapping table's values, and which of a code's rows fits a visit. Pure: reading files is `csv_table`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby

from fhir_coder.model import Coding, CodingContext, Kind
from fhir_coder.terminology.conditions import Conditions

Answer = tuple[str, str, bool, Decimal | None]
"""What a row says: system and code (empty where nothing is billed), whether a person decides, price of one unit."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header file beside a table's CSV. Systems are URIs; a table of kind concept may name any vocabulary."""

    id: str
    title: str
    kind: Kind
    source_system: str
    target_systems: tuple[str, ...]
    version: str
    publisher: str = ""
    licence: str = ""
    valid_from: date | None = None
    valid_to: date | None = None
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a source code in a context, and the answer.

    `line` is the line in the CSV, `version` the table's content hash. `target` is None where nothing is billed or
    `needs_detail` leaves it to a person; in a fee table it is the code the price is for. Priority 1 is asked first.
    """

    table: str
    version: str
    line: int
    source_code: str
    display: str
    target: Coding | None
    needs_detail: bool
    conditions: Conditions
    priority: int
    unit_price: Decimal | None
    note: str

    @property
    def answer(self) -> Answer:
        """What the row says, so that two rows can be told to agree."""
        system, code = (self.target.system, self.target.code) if self.target else ("", "")
        return system, code, self.needs_detail, self.unit_price


Groups = tuple[tuple[Row, ...], ...]
"""The rows of one code: groups of equal priority, the group asked first in front."""


@dataclass(frozen=True, slots=True)
class MappingTable:
    """A loaded table. `rows` are by source code, in the order they are asked. `folder` is where it was found."""

    header: Header
    file: str
    folder: str
    version: str
    rows: Mapping[str, tuple[Row, ...]]

    @property
    def id(self) -> str:
        """The table's name in traces and lists."""
        return self.header.id

    @property
    def kind(self) -> Kind:
        """What the table is asked about."""
        return self.header.kind

    @property
    def source_system(self) -> str:
        """The URI of the codes it translates."""
        return self.header.source_system

    @property
    def label(self) -> str:
        """The title and edition, for people."""
        return f"{self.header.title} ({self.header.version})"

    def __len__(self) -> int:
        return sum(map(len, self.rows.values()))


@dataclass(frozen=True, slots=True)
class Undecided:
    """Why no row was chosen: a gap's reason, the rows that are to blame, and the data the context lacks."""

    reason: str
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()


def grouped(rows: Iterable[Row]) -> Groups:
    """Put rows of one code in the order they are asked. The order in the file does not matter."""
    ordered = sorted(rows, key=lambda row: (row.priority, row.table, row.line))
    return tuple(tuple(group) for _, group in groupby(ordered, key=lambda row: row.priority))


def first_fit(groups: Groups, context: CodingContext) -> Row | Undecided:
    """Choose the first row that fits by ascending priority.

    A row that cannot be decided stops the search, unless a row of the same priority fits and says the same.
    """
    for group in groups:
        if chosen := _fit_in_group(group, context):
            return chosen
    return Undecided("no_row_fits", tuple(row for group in groups for row in group))


def _fit_in_group(group: Sequence[Row], context: CodingContext) -> Row | Undecided | None:
    decided = [(row, row.conditions.decide(context)) for row in group]
    fitting = [row for row, fits in decided if fits]
    unknown = [row for row, fits in decided if fits is None]
    if len({row.answer for row in fitting}) > 1:
        return Undecided("ambiguous", tuple(fitting))
    rivals = [row for row in unknown if not fitting or row.answer != fitting[0].answer]
    if rivals:
        return Undecided("unknown_context", tuple(rivals), _missing(rivals, context))
    return fitting[0] if fitting else None


def _missing(rows: Sequence[Row], context: CodingContext) -> tuple[str, ...]:
    named = [name for row in rows for name in row.conditions.missing(context)]
    return tuple(dict.fromkeys(named))
