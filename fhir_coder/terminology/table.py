"""A mapping table's values, and which of a code's rows fits a visit. Pure: reading files is `csv_table`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import groupby

from fhir_coder.model import Coding, CodingContext, Kind
from fhir_coder.terminology.conditions import Conditions

Answer = tuple[str, str, bool, Decimal | None, "Brings"]
"""What a row says: system and code (empty where nothing is billed), whether a person decides, price, what it brings."""

RELATED = "related-to"
"""The relationship of a row that says none (FHIR R5 concept-map-relationship)."""

BROADER = "source-is-broader-than-target"
"""The relationship of a row whose target says more than the source: a person confirms it."""

EQUIVALENT = "equivalent"
"""The relationship of a row whose target means the same as its source."""

RELATIONSHIPS = (EQUIVALENT, "source-is-narrower-than-target", BROADER, RELATED)
"""How the target of a row may relate to its source. `not-related-to` has no target: `needs-detail`."""

WHEN_UNKNOWN = ("gap", "default-row")
"""What becomes of a code whose row asks for a datum that is not known: a gap, or the row without conditions."""


LAYERS = ("payer", "site", "base")
"""The order in which the tables of one folder are asked: a payer's, the site's own, those of a publisher."""


@dataclass(frozen=True, slots=True)
class Brings:
    """What a row adds to its target: modifiers, billed units for one of the source, and the code of giving it.

    `revenue_code` is that of the line on an institutional claim, `given_revenue_code` that of the line of giving it.
    """

    modifiers: tuple[Coding, ...] = ()
    units: Decimal = Decimal(1)
    administration: Coding | None = None
    revenue_code: str = ""
    given_revenue_code: str = ""


NOTHING_MORE = Brings()


@dataclass(frozen=True, slots=True)
class Header:
    """The header file beside a table's CSV. Systems are URIs; a table of kind concept may name any vocabulary.

    `when_unknown` is one of WHEN_UNKNOWN, or empty: as the site has it. `equal_rows` is "ask" where rows of one code
    may fit equally well, and a person chooses. `layer` is one of LAYERS, or empty: the site's.
    """

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
    when_unknown: str = ""
    equal_rows: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a source code in a context, and the answer.

    `line` is the line in the CSV, `version` the table's content hash. `target` is None where nothing is billed or
    `needs_detail` leaves it to a person; in a fee table it is the code the price is for. Priority 1 is asked first.

    Every `group` gives a code of its own. A target that ends in `?` lacks its 7th character: `sevenths` are those that
    the episode of care alone decides. `may_default`: the table gives this row where a row before it is undecided.
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
    group: int = 1
    relationship: str = RELATED
    brings: Brings = NOTHING_MORE
    sevenths: str = ""
    may_default: bool = False

    @property
    def answer(self) -> Answer:
        """What the row says, so that two rows can be told to agree."""
        system, code = (self.target.system, self.target.code) if self.target else ("", "")
        return system, code, self.needs_detail, self.unit_price, self.brings


Tiers = tuple[tuple[Row, ...], ...]
"""The rows of one group of one code: those of equal priority together, those asked first in front."""

Plan = tuple[tuple[Tiers, ...], ...]
"""All rows of one code: by layer, and in a layer by group."""


class StoredRows(Mapping[str, tuple[Row, ...]]):
    """Rows by source code that are kept in a file. `row_count` is their number."""

    row_count: int

    @abstractmethod
    def in_turn(self) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of one code after the other, in memory one code at a time."""


Rows = Mapping[str, tuple[Row, ...]]
"""All rows of a table by source code, in the order they are asked."""

Days = tuple[tuple[date, date], ...]
"""Periods of days of service, first and last day inclusive."""

EVERY_DAY: Days = ((date.min, date.max),)


@dataclass(frozen=True, slots=True)
class MappingTable:
    """A loaded table. `rows` are in memory, or read from a file when asked. `folder` is where it was found.

    `days` are the days of service for which this version of the table is the one in use.
    """

    header: Header
    file: str
    folder: str
    version: str
    rows: Rows
    days: Days = EVERY_DAY

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
        return self.rows.row_count if isinstance(self.rows, StoredRows) else sum(map(len, self.rows.values()))

    def by_code(self) -> Iterator[tuple[Row, ...]]:
        """Yield the rows of one code after the other; of a large table one code at a time is in memory."""
        return self.rows.in_turn() if isinstance(self.rows, StoredRows) else iter(self.rows.values())


@dataclass(frozen=True, slots=True)
class Undecided:
    """Why no row was chosen: a gap's reason, the rows that are to blame, and the data the context lacks."""

    reason: str
    rows: tuple[Row, ...]
    missing: tuple[str, ...] = ()


def grouped(rows: Iterable[Row]) -> Tiers:
    """Put rows of one group in the order they are asked. The order in the file does not matter."""
    ordered = sorted(rows, key=lambda row: (row.priority, row.table, row.line))
    return tuple(tuple(tier) for _, tier in groupby(ordered, key=lambda row: row.priority))


def layer_plan(rows: Iterable[Row]) -> tuple[Tiers, ...]:
    """Put a layer's rows of one code into their groups, the lowest number in front."""
    ordered = sorted(rows, key=lambda row: row.group)
    return tuple(grouped(of_group) for _, of_group in groupby(ordered, key=lambda row: row.group))


def fitting_rows(plan: Plan, context: CodingContext) -> tuple[Row, ...] | Undecided:
    """Choose the rows of a code: the first that fits of every group, of the first layer where any fits.

    A group of which no row fits gives nothing, as long as another group does. A group that cannot be decided makes the
    whole code undecided.
    """
    for layer in plan:
        found = [first_fit(tiers, context) for tiers in layer]
        chosen = tuple(one for one in found if isinstance(one, Row))
        if len(chosen) < len(found):
            undecided = [one for one in found if isinstance(one, Undecided) and one.reason != "no_row_fits"]
            if undecided:
                return undecided[0]
        if chosen:
            return chosen
    return Undecided("no_row_fits", tuple(row for layer in plan for tiers in layer for tier in tiers for row in tier))


def first_fit(tiers: Tiers, context: CodingContext) -> Row | Undecided:
    """Choose the first row of a group that fits by ascending priority.

    A row that cannot be decided stops the search, unless a row of the same priority fits and says the same, or the
    table gives its default row then.
    """
    for tier in tiers:
        if chosen := _fit_in_tier(tier, context):
            return _default(tiers, chosen, context) if isinstance(chosen, Undecided) else chosen
    return Undecided("no_row_fits", tuple(row for tier in tiers for row in tier))


def _fit_in_tier(tier: Sequence[Row], context: CodingContext) -> Row | Undecided | None:
    if len(tier) == 1 and not tier[0].conditions.tests:
        return tier[0]
    decided = [(row, row.conditions.decide(context)) for row in tier]
    fitting = [row for row, fits in decided if fits]
    unknown = [row for row, fits in decided if fits is None]
    if len(fitting) > 1 and len({row.answer for row in fitting}) > 1:
        return Undecided("ambiguous", tuple(fitting))
    rivals = [row for row in unknown if not fitting or row.answer != fitting[0].answer]
    if rivals:
        return Undecided("unknown_context", tuple(rivals), _missing(rivals, context))
    return fitting[0] if fitting else None


def _default(tiers: Tiers, found: Undecided, context: CodingContext) -> Row | Undecided:
    """The group's row without conditions where its table gives it for what is not known; marked in its note."""
    if found.reason != "unknown_context":
        return found
    defaults = (row for tier in tiers for row in tier if row.may_default and row.conditions.decide(context))
    default = next(defaults, None)
    if default is None:
        return found
    mark = f"default row: not known: {', '.join(found.missing)}"
    return replace(default, note=f"{mark}; {default.note}" if default.note else mark)


def _missing(rows: Sequence[Row], context: CodingContext) -> tuple[str, ...]:
    named = [name for row in rows for name in row.conditions.missing(context)]
    return tuple(dict.fromkeys(named))
