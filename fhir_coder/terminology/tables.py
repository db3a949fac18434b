"""The tables a site works with, in layers of folders: they choose a billing code, or say what prevents the choice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import combinations
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
    System,
    Trace,
)
from fhir_coder.terminology.conditions import overlap
from fhir_coder.terminology.csv_table import read_table
from fhir_coder.terminology.seventh import LACKS_SEVENTH, with_seventh
from fhir_coder.terminology.table import (
    BROADER,
    LAYERS,
    MappingTable,
    Plan,
    Row,
    Undecided,
    fitting_rows,
    layer_plan,
)

_NOWHERE = Origin("", "")

KEPT_PLANS = 16_384
"""Codes whose rows stay in memory after they were asked; about 1 KB each."""

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
        self._sources = _sources(self._layers)
        self._plans: dict[tuple[Kind, str, str], Plan] = {}
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
        codings = concept.codings
        if len(codings) == 1:
            return self._answer(kind, codings[0], context, origin, chart_key)
        answers = [self._answer(kind, coding, context, origin, chart_key) for coding in codings]
        choices = [answer for answer in answers if isinstance(answer, Choice)]
        if not choices:
            gaps = [answer for answer in answers if isinstance(answer, Gap)]
            return max(gaps, key=_says_more) if gaps else _gap_without_code(kind, origin, chart_key)
        if len(choices) > 1 and len({_codes_of(choice) for choice in choices}) > 1:
            return _gap_between(choices, origin, chart_key)
        return choices[0]

    def has(self, kind: Kind, concept: Concept) -> bool:
        """Say whether any row stands for any coding of a concept."""
        return any(self._plan(kind, coding) for coding in concept.codings)

    def tables_for(self, kind: Kind, system: str) -> tuple[MappingTable, ...]:
        """The tables that translate a system's codes for this kind, in the order they are asked."""
        return tuple(table for layer in self._sources.get((kind, system), ()) for table in layer)

    def asked_together(self) -> Iterator[tuple[MappingTable, ...]]:
        """Yield the tables that are asked about the same codes at the same time."""
        for layers in self._sources.values():
            yield from layers

    def table(self, table_id: str) -> MappingTable | None:
        """The table of an id, the uppermost layer's; None where there is none."""
        return next((table for layer in self._layers for table in layer if table.id == table_id), None)

    def price(self, code: Coding, context: CodingContext, origin: Origin = _NOWHERE) -> tuple[Decimal, Trace] | None:
        """Find the price of one unit of a billing code in the fee tables; None where no single row fits."""
        found = fitting_rows(self._plan(Kind.FEE, code), context)
        if isinstance(found, Undecided) or found[0].unit_price is None:
            return None
        return found[0].unit_price, _trace(found[0], code, origin)

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

    def _plan(self, kind: Kind, coding: Coding) -> Plan:
        """All layers' rows for a code, the upper layer's first: where none of those fits, the next layer is asked."""
        key = (kind, coding.system, coding.code)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= KEPT_PLANS:
                self._plans.clear()
            plan = self._plans[key] = self._new_plan(kind, coding)
        return plan

    def _new_plan(self, kind: Kind, coding: Coding) -> Plan:
        code = icd9_dotted(coding.code, kind) if coding.system == System.ICD9CM else coding.code
        layers = (
            layer_plan(row for table in layer for row in table.rows.get(code, ()))
            for layer in self._sources.get((kind, coding.system), ())
        )
        return tuple(layer for layer in layers if layer)

    def _answer(
        self, kind: Kind, coding: Coding, context: CodingContext, origin: Origin, chart_key: str
    ) -> Choice | Gap:
        plan = self._plan(kind, coding)
        if not plan:
            reason = self._why_no_row(kind, coding)
            text = _TEXTS[reason](kind, coding.system)
            return Gap(chart_key, origin, coding.system, coding.code, reason, text)
        found = fitting_rows(plan, context)
        if isinstance(found, Undecided):
            rows, reason, text = found.rows, found.reason, _undecided(found)
        else:
            rows = found
            problem = _problem(rows, context)
            if problem is None:
                return _choice(rows, coding, context, origin)
            reason, text = problem
        return Gap(chart_key, origin, coding.system, coding.code, reason, text, _display(rows))

    def _why_no_row(self, kind: Kind, coding: Coding) -> str:
        if not coding.code:
            return "no_code"
        if not coding.system:
            return "no_system"
        return "no_row" if (kind, coding.system) in self._sources else "no_table"


# --- loading --------------------------------------------------------------------------------------


def load_tables(folders: Sequence[Path], ids: Collection[str] | None = None, when_unknown: str = "gap") -> Tables:
    """Load the tables of all folders, the first folder's going before the next one's.

    `ids` names the tables to use; None uses all. `when_unknown` holds for tables whose header does not say it. Raises
    TableError with every fault of every table.
    """
    layers, faults = read_layers(folders, when_unknown)
    if ids is not None:
        known = {table.id for layer in layers for table in layer}
        if not faults:
            faults += [Fault("", 0, name, "no folder has a table of this id") for name in sorted(set(ids) - known)]
        layers = [[table for table in layer if table.id in ids] for layer in layers]
    if faults:
        raise TableError("the set of mapping tables", faults)
    return Tables(layers)


def read_layers(folders: Sequence[Path], when_unknown: str = "gap") -> tuple[list[list[MappingTable]], list[Fault]]:
    """Read every folder's sound tables, and list the faults of the others. Subfolders are not looked into."""
    layers, faults = [], []
    for folder in folders:
        tables, found = _read_layer(folder, when_unknown)
        layers.append(tables)
        faults += found
    return layers, faults


def _read_layer(folder: Path, when_unknown: str) -> tuple[list[MappingTable], list[Fault]]:
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
        table, found = read_table(path, when_unknown)
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


def equal_rows_of(tables: Sequence[MappingTable]) -> Iterator[tuple[MappingTable, Row, MappingTable, Row]]:
    """Yield rows of two tables, asked together, that can fit one visit equally well with different answers."""
    for one, other in combinations(sorted(tables, key=len), 2):
        for of_code in one.by_code():
            for row in of_code:
                for rival in other.rows.get(row.source_code, ()):
                    if _fit_equally(row, rival):
                        yield one, row, other, rival


def _fit_equally(one: Row, other: Row) -> bool:
    return (
        (one.group, one.priority) == (other.group, other.priority)
        and one.answer != other.answer
        and overlap(one.conditions, other.conditions)
    )


Sources = dict[tuple[Kind, str], tuple[tuple[MappingTable, ...], ...]]


def _sources(layers: Iterable[Sequence[MappingTable]]) -> Sources:
    """The tables to ask, by kind and source system: by layer, and in a layer those that have rows for it."""
    sources: Sources = {}
    ranked = (
        [table for table in layer if (table.header.layer or "site") == rank] for layer in layers for rank in LAYERS
    )
    for of_rank in ranked:
        asked: dict[tuple[Kind, str], tuple[MappingTable, ...]] = {}
        for table in of_rank:
            key = (table.kind, table.source_system)
            asked[key] = (*asked.get(key, ()), table)
        for key, tables in asked.items():
            sources[key] = (*sources.get(key, ()), tables)
    return sources


def icd9_dotted(code: str, kind: Kind) -> str:
    """Write an ICD-9-CM code with its dot, as tables have it; feeds often leave it out."""
    whole = 2 if kind is Kind.PROCEDURE else 4 if code.startswith("E") else 3
    return code if "." in code or len(code) <= whole else f"{code[:whole]}.{code[whole:]}"


def _concepts(layers: Sequence[Sequence[MappingTable]]) -> dict[str, dict[str, str]]:
    concepts: dict[str, dict[str, str]] = {}
    for table in (table for layer in reversed(layers) for table in layer if table.kind is Kind.CONCEPT):
        answers = {code: rows[0].target.code for code, rows in table.rows.items() if rows[0].target}
        concepts.setdefault(table.id, {}).update(answers)
    return concepts


# --- what is said ---------------------------------------------------------------------------------
# Texts name tables, rows and kinds of data, never what the sender wrote: its words may name a patient.


def _trace(row: Row, source: Coding, origin: Origin, target: Coding | None = None) -> Trace:
    code = target or row.target
    system, value = (code.system, code.code) if code else ("", "")
    return Trace(system, value, origin, source, row.table, row.line, row.version, "", row.note)


def _choice(rows: Sequence[Row], source: Coding, context: CodingContext, origin: Origin) -> Choice:
    """The answer of the rows that fit: the first with a code, the others and what they bring beside it."""
    if len(rows) == 1:
        row = rows[0]
        brings = row.brings
        target = row.target
        if target and target.code.endswith(LACKS_SEVENTH):
            target = with_seventh(target, context.episode)
        given = brings.administration
        also = (Choice(given, _trace(row, source, origin, given)),) if given else ()
        trace = _trace(row, source, origin, target)
        return Choice(target, trace, row.unit_price, brings.modifiers, brings.units, also)
    choices = [_choice((row,), source, context, origin) for row in rows]
    with_code = [choice for choice in choices if choice.code]
    if not with_code:
        return choices[0]
    first, *others = with_code
    return replace(first, also=(*first.also, *(one for other in others for one in _flat(other))))


def _flat(choice: Choice) -> tuple[Choice, ...]:
    return (replace(choice, also=()), *choice.also)


def _codes_of(choice: Choice) -> frozenset[tuple[str, str]]:
    return frozenset((one.trace.system, one.trace.code) for one in _flat(choice))


def _problem(rows: Sequence[Row], context: CodingContext) -> tuple[str, str] | None:
    """Why rows that fit give no code yet: a gap's reason and text."""
    for row in rows:
        said = _row_problem(row, context)
        if said:
            besides = [f"{one.target.code} (row {_place(one)})" for one in rows if one is not row and one.target]
            reason, text = said
            return reason, f"{text} Beside it: {_and(besides)}." if besides else text
    return None


def _row_problem(row: Row, context: CodingContext) -> tuple[str, str] | None:
    if row.needs_detail:
        return "needs_detail", _detail(row)
    if row.target and row.relationship == BROADER:
        return "needs_detail", (
            f"Row {_place(row)} says {row.target.code}, which says more than the code sent: "
            f"confirm it, or choose another.{_advice((row,))}"
        )
    if row.target and row.target.code.endswith(LACKS_SEVENTH) and context.episode not in tuple(row.sevenths):
        return _seventh_problem(row, row.target, context)
    return None


def _seventh_problem(row: Row, target: Coding, context: CodingContext) -> tuple[str, str]:
    if context.episode or not row.sevenths:
        return "needs_detail", (
            f"{target.code} (row {_place(row)}) needs a 7th character that says more than the episode of care: "
            f"choose the code.{_advice((row,))}"
        )
    return "unknown_context", (
        f"The episode of care is not known, and {target.code} (row {_place(row)}) needs it for its 7th character: "
        f"choose the code.{_advice((row,))}"
    )


def _advice(rows: Sequence[Row]) -> str:
    notes = dict.fromkeys(row.note.rstrip(".") for row in rows if row.note)
    return f" Advice of the table: {'; '.join(notes)}." if notes else ""


def _place(row: Row) -> str:
    return f"{row.table}:{row.line}"


def _and(words: Sequence[str], joint: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def _display(rows: Sequence[Row]) -> str:
    return next((row.display for row in rows if row.display), "")


def _detail(row: Row) -> str:
    return row.note or f"Row {_place(row)} asks for more detail than was recorded; a person chooses the code."


def _undecided(found: Undecided) -> str:
    return _UNDECIDED_TEXTS[found.reason](found)


def _text_unknown_context(found: Undecided) -> str:
    verb = "is" if len(found.missing) == 1 else "are"
    return (
        f"The {_and(found.missing)} {verb} not known, and row {_place(found.rows[0])} asks for it: "
        f"record the {_and(found.missing)} for the visit, or choose the code.{_advice(found.rows)}"
    )


def _text_ambiguous(found: Undecided) -> str:
    places = _and([f"{_place(row)}{f' ({row.target.code})' if row.target else ''}" for row in found.rows])
    return (
        f"Rows {places} fit equally well with different answers: set their priorities, or choose the code."
        f"{_advice(found.rows)}"
    )


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
