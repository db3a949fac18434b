"""The tables a site works with, in layers of folders: they choose a billing code, or say what prevents the choice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from fhir_coder.errors import Fault, TableError
from fhir_coder.model import (
    SYSTEM_TITLES,
    Choice,
    Coding,
    CodingContext,
    Concept,
    Gap,
    Kind,
    Origin,
    Trace,
)
from fhir_coder.terminology.csv_table import read_table
from fhir_coder.terminology.table import Groups, MappingTable, Row, Undecided, first_fit, grouped

_NOWHERE = Origin("", "")

_GAP_ORDER = ("no_code", "no_system", "no_table", "no_row")
"""Gaps that say less the further left; any other reason says more, because rows for the code exist."""


@dataclass(frozen=True, slots=True)
class TableSummary:
    """One table as a list shows it. `layer` 1 is asked first; `rows` is their number."""

    id: str
    title: str
    kind: Kind
    source_system: str
    rows: int
    version: str
    edition: str
    licence: str
    publisher: str
    folder: str
    layer: int


class Tables:
    """Mapping tables in layers; an earlier layer (the site's) goes before a later one (the shipped)."""

    def __init__(self, layers: Sequence[Sequence[MappingTable]] = ()) -> None:
        self._layers = tuple(tuple(layer) for layer in layers)
        self._rows = _index(self._layers)
        self._concepts = _concepts(self._layers)

    @property
    def versions(self) -> tuple[str, ...]:
        """The content versions (`id@hash`) of all tables, in layer order."""
        return tuple(table.version for layer in self._layers for table in layer)

    def choose(
        self, kind: Kind, concept: Concept, context: CodingContext, origin: Origin, chart_key: str
    ) -> Choice | Gap:
        """Choose what to bill for a concept, or say in a gap why that cannot be decided and what would settle it.

        Every coding of the concept is looked up; choices that differ are a gap. The first row that fits wins, layer by
        layer, in a layer by ascending priority: a site overrides one row without copying the table.
        """
        answers = [self._answer(kind, coding, context, origin, chart_key) for coding in concept.codings]
        choices = [answer for answer in answers if isinstance(answer, Choice)]
        if not choices:
            gaps = [answer for answer in answers if isinstance(answer, Gap)]
            return max(gaps, key=_says_more) if gaps else _gap_without_code(kind, origin, chart_key)
        if len(choices) > 1 and len({(c.trace.system, c.trace.code) for c in choices}) > 1:
            return _gap_between(choices, origin, chart_key)
        return choices[0]

    def has(self, kind: Kind, concept: Concept) -> bool:
        """Say whether any row stands for any coding of a concept."""
        return any(self._groups(kind, coding) for coding in concept.codings)

    def price(self, code: Coding, context: CodingContext, origin: Origin = _NOWHERE) -> tuple[Decimal, Trace] | None:
        """Find the price of one unit of a billing code in the fee tables; None where no single row fits."""
        row = first_fit(self._groups(Kind.FEE, code), context)
        if not isinstance(row, Row) or row.unit_price is None:
            return None
        return row.unit_price, _trace(row, code, origin)

    def concept(self, table_id: str) -> dict[str, str]:
        """Give a concept table's codes and answers (`v2-sex`), the site's before the shipped; empty where absent."""
        return dict(self._concepts.get(table_id, {}))

    def describe(self) -> list[TableSummary]:
        """List all tables in the order they are asked."""
        return [
            TableSummary(
                id=table.id,
                title=table.header.title,
                kind=table.kind,
                source_system=table.source_system,
                rows=len(table),
                version=table.version,
                edition=table.header.version,
                licence=table.header.licence,
                publisher=table.header.publisher,
                folder=table.folder,
                layer=number,
            )
            for number, layer in enumerate(self._layers, 1)
            for table in layer
        ]

    def _groups(self, kind: Kind, coding: Coding) -> Groups:
        """All layers' rows for a code, the upper layer's first: where none of those fits, the next layer is asked."""
        layers = self._rows.get((kind, coding.system), ())
        return tuple(group for layer in layers for group in layer.get(coding.code, ()))

    def _answer(
        self, kind: Kind, coding: Coding, context: CodingContext, origin: Origin, chart_key: str
    ) -> Choice | Gap:
        groups = self._groups(kind, coding)
        if not groups:
            reason = self._why_no_row(kind, coding)
            text = _TEXTS[reason](kind, coding.system)
            return Gap(chart_key, origin, coding.system, coding.code, reason, text)
        found = first_fit(groups, context)
        if isinstance(found, Row) and not found.needs_detail:
            return Choice(found.target, _trace(found, coding, origin), found.unit_price)
        reason, text = ("needs_detail", _detail(found)) if isinstance(found, Row) else (found.reason, _undecided(found))
        return Gap(chart_key, origin, coding.system, coding.code, reason, text, _display(found))

    def _why_no_row(self, kind: Kind, coding: Coding) -> str:
        if not coding.code:
            return "no_code"
        if not coding.system:
            return "no_system"
        return "no_row" if (kind, coding.system) in self._rows else "no_table"


# --- loading --------------------------------------------------------------------------------------


def load_tables(folders: Sequence[Path], ids: Collection[str] | None = None) -> Tables:
    """Load the tables of all folders, the first folder's going before the next one's.

    `ids` names the tables to use; None uses all. Raises TableError with every fault of every table.
    """
    layers, faults = read_layers(folders)
    if ids is not None:
        known = {table.id for layer in layers for table in layer}
        if not faults:
            faults += [Fault("", 0, name, "no folder has a table of this id") for name in sorted(set(ids) - known)]
        layers = [[table for table in layer if table.id in ids] for layer in layers]
    if faults:
        raise TableError("the set of mapping tables", faults)
    return Tables(layers)


def read_layers(folders: Sequence[Path]) -> tuple[list[list[MappingTable]], list[Fault]]:
    """Read every folder's sound tables, and list the faults of the others. Subfolders are not looked into."""
    layers, faults = [], []
    for folder in folders:
        tables, found = _read_layer(folder)
        layers.append(tables)
        faults += found
    return layers, faults


def _read_layer(folder: Path) -> tuple[list[MappingTable], list[Fault]]:
    if not folder.is_dir():
        return [], [Fault(str(folder), 0, "", "no such folder")]
    tables: list[MappingTable] = []
    faults = [
        Fault(str(path), 0, "", "a header file without its CSV")
        for path in sorted(folder.glob("*.toml"))
        if not path.with_suffix(".csv").exists()
    ]
    files_of: dict[str, str] = {}
    for path in sorted(folder.glob("*.csv")):
        table, found = read_table(path)
        faults += found
        if table is None:
            continue
        if table.id in files_of:
            text = f"the id is taken by {files_of[table.id]}"
            faults.append(Fault(str(path.with_suffix(".toml")), 0, "id", text))
            continue
        files_of[table.id] = path.name
        tables.append(table)
    return tables, faults


Index = dict[tuple[Kind, str], list[dict[str, Groups]]]


def _index(layers: Iterable[Sequence[MappingTable]]) -> Index:
    index: Index = {}
    for layer in layers:
        merged: dict[tuple[Kind, str], dict[str, list[Row]]] = {}
        for table in layer:
            by_code = merged.setdefault((table.kind, table.source_system), {})
            for code, rows in table.rows.items():
                by_code.setdefault(code, []).extend(rows)
        for key, by_code in merged.items():
            index.setdefault(key, []).append({code: grouped(rows) for code, rows in by_code.items()})
    return index


def _concepts(layers: Sequence[Sequence[MappingTable]]) -> dict[str, dict[str, str]]:
    concepts: dict[str, dict[str, str]] = {}
    for table in (table for layer in reversed(layers) for table in layer if table.kind is Kind.CONCEPT):
        answers = {code: rows[0].target.code for code, rows in table.rows.items() if rows[0].target}
        concepts.setdefault(table.id, {}).update(answers)
    return concepts


# --- what is said ---------------------------------------------------------------------------------
# Texts name tables, rows and kinds of data, never what the sender wrote: its words may name a patient.


def _trace(row: Row, source: Coding, origin: Origin) -> Trace:
    system, code = (row.target.system, row.target.code) if row.target else ("", "")
    return Trace(system, code, origin, source, row.table, row.line, row.version, "", row.note)


def _place(row: Row) -> str:
    return f"{row.table}:{row.line}"


def _and(words: Sequence[str], joint: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _display(found: Row | Undecided) -> str:
    rows = (found,) if isinstance(found, Row) else found.rows
    return next((row.display for row in rows if row.display), "")


def _detail(row: Row) -> str:
    return row.note or f"Row {_place(row)} asks for more detail than was recorded; a person chooses the code."


def _undecided(found: Undecided) -> str:
    return _UNDECIDED_TEXTS[found.reason](found)


def _text_unknown_context(found: Undecided) -> str:
    verb = "is" if len(found.missing) == 1 else "are"
    return (
        f"The {_and(found.missing)} {verb} not known, and row {_place(found.rows[0])} asks for it: "
        f"record the {_and(found.missing)} for the visit, or choose the code."
    )


def _text_ambiguous(found: Undecided) -> str:
    places = _and([_place(row) for row in found.rows])
    return f"Rows {places} fit equally well with different answers: set their priorities, or choose the code."


def _text_no_row_fits(found: Undecided) -> str:
    tables = _and(list(dict.fromkeys(row.table for row in found.rows)))
    asked = dict.fromkeys(name for row in found.rows for name in row.conditions.asked())
    return (
        f"Table {tables} has rows for this code, but none fits the {_and(list(asked) or ['visit'])}: "
        "correct the visit, add a row, or choose the code."
    )


_UNDECIDED_TEXTS: Mapping[str, Callable[[Undecided], str]] = {
    "unknown_context": _text_unknown_context,
    "ambiguous": _text_ambiguous,
    "no_row_fits": _text_no_row_fits,
}


def _system_title(system: str) -> str:
    return SYSTEM_TITLES.get(system, "code of this system")


_TEXTS: Mapping[str, Callable[[Kind, str], str]] = {
    "no_row": lambda kind, system: (
        f"No {kind} table has a row for this {_system_title(system)}: add a row, or choose the code."
    ),
    "no_table": lambda kind, system: (
        f"There is no {kind} table for a {_system_title(system)}: add one, or choose the code."
    ),
    "no_system": lambda kind, _: (
        f"The sender named no code system for this {kind}: have the sender name it, or choose the code."
    ),
    "no_code": lambda kind, _: f"The sender gave words without a code for this {kind}: choose the code.",
}


def _says_more(gap: Gap) -> int:
    return _GAP_ORDER.index(gap.reason) if gap.reason in _GAP_ORDER else len(_GAP_ORDER)


def _gap_without_code(kind: Kind, origin: Origin, chart_key: str) -> Gap:
    return Gap(chart_key, origin, "", "", "no_code", _TEXTS["no_code"](kind, ""))


def _gap_between(choices: Sequence[Choice], origin: Origin, chart_key: str) -> Gap:
    first = choices[0]
    rows = _and([f"{choice.trace.table}:{choice.trace.row}" for choice in choices])
    text = f"The codes sent for this mean different things to rows {rows}: correct the rows, or choose the code."
    source = first.trace.source
    display = next((choice.code.display for choice in choices if choice.code), "")
    return Gap(chart_key, origin, source.system, source.code, "ambiguous", text, display)
