"""The tables a site works with, in layers of folders: they choose a billing code, or say what prevents the choice."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import combinations

from fhir_coder.model import (
    ICD10_BEGAN,
    Choice,
    Coding,
    CodingContext,
    Concept,
    Gap,
    Kind,
    Origin,
    System,
    Trace,
    Validity,
)
from fhir_coder.terminology.conditions import overlap
from fhir_coder.terminology.eras import KEPT_PLANS, Era, eras_of
from fhir_coder.terminology.gap_texts import (
    BEFORE_ICD10,
    NO_ROW_TEXTS,
    advice,
    detail,
    display,
    listed,
    place,
    target_not_valid_text,
    undecided_text,
)
from fhir_coder.terminology.seventh import LACKS_SEVENTH, with_seventh
from fhir_coder.terminology.table import (
    BROADER,
    EQUIVALENT,
    MappingTable,
    Row,
    Undecided,
    fitting_rows,
)

_NOWHERE = Origin("", "")
_CONVERTED = {System.ICD10CM: Kind.DIAGNOSIS, System.ICD10PCS: Kind.PROCEDURE}
_REPLACED = "the code sent had ended before the day of service"

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


Judge = Callable[[str, str, date], Validity]
"""What a code set says of a system's code on a day."""


class Tables:
    """Mapping tables in layers; an earlier layer (the site's) goes before a later one (the shipped).

    The day of service picks the version of each table. `judge` says whether a target is valid on that day. `state` is
    the number of the newest activation in the site's folder, and `past` loads the tables as they were after another.
    `replaces_ended`: a billing code that has ended may be replaced (`in_its_place`).
    """

    def __init__(
        self,
        layers: Sequence[Sequence[MappingTable]] = (),
        judge: Judge | None = None,
        state: int = 0,
        past: Callable[[int], Tables] | None = None,
        replaces_ended: bool = False,
    ) -> None:
        self._layers = tuple(tuple(layer) for layer in layers)
        self._eras = eras_of(self._layers)
        self._begins = [era.begins for era in self._eras]
        self._concepts = _concepts(self._layers)
        self._judge, self.state, self._past = judge, state, past
        self._replaces_ended = replaces_ended
        self._judged: dict[tuple[str, str, date], bool] = {}
        self._past_tables: dict[int, Tables] = {}
        self._next: Tables | None = None

    @property
    def versions(self) -> tuple[str, ...]:
        """The content versions (`id@hash`) of all tables, in layer order."""
        return tuple(table.version for layer in self._layers for table in layer)

    @property
    def states(self) -> tuple[int, ...]:
        """The activations as of which these tables answer, the one asked first in front."""
        return (self.state, *(self._next.states if self._next else ()))

    def with_layers(self, layers: Sequence[Sequence[MappingTable]]) -> Tables:
        """Other tables in the place of these, with the same judge and the same past."""
        return Tables(layers, self._judge, self.state, self._past, self._replaces_ended)

    def as_of(self, states: Collection[int]) -> Tables:
        """The tables as they were after some activations: what the earliest leaves open the next one decides.

        What all of them leave open is decided as now. Raises TableError where a kept version cannot be read.
        """
        tables = self
        for state in sorted({one for one in states if one < self.state}, reverse=True):
            earlier = copy(self._at(state))
            earlier._next = tables
            tables = earlier
        return tables

    def _at(self, state: int) -> Tables:
        assert self._past is not None, "tables that were activated know how to load their past"
        if state not in self._past_tables:
            self._past_tables[state] = self._past(state)
        return self._past_tables[state]

    def choose(
        self, kind: Kind, concept: Concept, context: CodingContext, origin: Origin, chart_key: str
    ) -> Choice | Gap:
        """Choose what to bill for a concept, or say in a gap why that cannot be decided and what would settle it.

        Every coding of the concept is looked up; choices that differ are a gap. The first row that fits wins, layer by
        layer, in a layer by ascending priority: a site overrides one row without copying the table.
        """
        answer = self._choose(kind, concept, context, origin, chart_key)
        if self._next is not None and isinstance(answer, Gap):
            return self._next.choose(kind, concept, context, origin, chart_key)
        return answer

    def _choose(
        self, kind: Kind, concept: Concept, context: CodingContext, origin: Origin, chart_key: str
    ) -> Choice | Gap:
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

    def has(self, kind: Kind, concept: Concept, on: date | None = None) -> bool:
        """Say whether any row stands for any coding of a concept on a day of service, or on any day."""
        if any(era.plan(kind, coding) for coding in concept.codings for era in self._eras_of(on)):
            return True
        return self._next is not None and self._next.has(kind, concept, on)

    def tables_for(self, kind: Kind, system: str) -> tuple[MappingTable, ...]:
        """The tables that translate a system's codes for this kind, in the order they are asked."""
        found = (table for era in self._eras for layer in era.sources.get((kind, system), ()) for table in layer)
        return tuple({table.version: table for table in found}.values())

    def asked_together(self) -> Iterator[tuple[MappingTable, ...]]:
        """Yield the tables that are asked about the same codes at the same time."""
        told = set[tuple[str, ...]]()
        for together in (one for era in self._eras for layers in era.sources.values() for one in layers):
            versions = tuple(table.version for table in together)
            if versions not in told:
                told.add(versions)
                yield together

    def table(self, table_id: str) -> MappingTable | None:
        """The table of an id, the uppermost layer's, in the version activated last; None where there is none."""
        return next((table for layer in self._layers for table in layer if table.id == table_id), None)

    def only(self, table_id: str) -> Tables:
        """The table of an id in all its layers and versions, without the other tables."""
        layers = [[table for table in layer if table.id == table_id] for layer in self._layers]
        return Tables(layers, self._judge, self.state)

    def price(self, code: Coding, context: CodingContext, origin: Origin = _NOWHERE) -> tuple[Decimal, Trace] | None:
        """Find the price of one unit of a billing code in the fee tables; None where no single row fits."""
        found = self._fitting(Kind.FEE, code, context)
        if found is None or isinstance(found, Undecided) or found[0].unit_price is None:
            return self._next.price(code, context, origin) if self._next else None
        return found[0].unit_price, _trace(found[0], code, origin)

    def in_its_place(self, code: Coding, context: CodingContext, origin: Origin) -> Choice | None:
        """The code that came in the place of a billing code that had ended before the day of service.

        Only where a conversion table names exactly one, step by step, and calls each equivalent; None otherwise.
        """
        kind, on = _CONVERTED.get(code.system), context.service_date
        if not self._replaces_ended or self._judge is None or kind is None or on is None:
            return None
        steps: dict[str, Row] = {}
        current = code
        while not self._is_valid(current, on):
            found = self._fitting(kind, current, context)
            if current.code in steps or found is None or isinstance(found, Undecided) or not _is_one_to_one(found):
                return None
            steps[current.code] = found[0]
            current = found[0].target or current
        if not steps or current.system != code.system:
            return None
        trace = _trace(list(steps.values())[-1], code, origin, current)
        return Choice(current, replace(trace, note=f"{_REPLACED}; {trace.note}" if trace.note else _REPLACED))

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

    def _eras_of(self, on: date | None) -> Sequence[Era]:
        """The times that a day of service may be of."""
        if on is None or len(self._eras) == 1:
            return self._eras
        return (self._eras[bisect_right(self._begins, on) - 1],)

    def _fitting(self, kind: Kind, coding: Coding, context: CodingContext) -> tuple[Row, ...] | Undecided | None:
        """The rows that fit; None where there is none for the code."""
        eras = self._eras_of(context.service_date)
        if len(eras) == 1:
            plan = eras[0].plan(kind, coding)
            return fitting_rows(plan, context) if plan else None
        plans = [era.plan(kind, coding) for era in eras]
        found = [fitting_rows(plan, context) if plan else None for plan in plans]
        if len({_answers(one) for one in found}) == 1:
            return found[-1]
        # Without a day of service nobody knows which version is meant, and they say different things.
        rows = (row for plan in plans for layer in plan for tiers in layer for tier in tiers for row in tier)
        return Undecided("unknown_context", tuple(rows), ("service date",))

    def _answer(
        self, kind: Kind, coding: Coding, context: CodingContext, origin: Origin, chart_key: str
    ) -> Choice | Gap:
        found = self._fitting(kind, coding, context)
        if found is None:
            reason = self._why_no_row(kind, coding)
            text = NO_ROW_TEXTS[reason](kind, coding.system)
            return Gap(chart_key, origin, coding.system, coding.code, reason, text)
        if isinstance(found, Undecided):
            rows, reason, text = found.rows, found.reason, undecided_text(found)
        else:
            rows = found
            problem = _problem(rows, context)
            if problem is None:
                choice = _choice(rows, coding, context, origin)
                problem = self._not_valid(choice, coding.system, context.service_date)
                if problem is None:
                    return choice
            reason, text = problem
        return Gap(chart_key, origin, coding.system, coding.code, reason, text, display(rows))

    def _not_valid(self, choice: Choice, source_system: str, on: date | None) -> tuple[str, str] | None:
        """Why a choice may not be billed on a day: a code of it that its code set does not have then."""
        if self._judge is None or on is None:
            return None
        for one in _flat(choice) if choice.also else (choice,):
            if one.code and not self._is_valid(one.code, on):
                is_icd9 = source_system == System.ICD9CM and on < ICD10_BEGAN
                return "target_not_valid", BEFORE_ICD10 if is_icd9 else target_not_valid_text(one)
        return None

    def _is_valid(self, code: Coding, on: date) -> bool:
        """Whether a code set may have a code on a day; asked once, as visits of one day share their codes."""
        key = (code.system, code.code, on)
        known = self._judged.get(key)
        if known is None:
            assert self._judge is not None
            if len(self._judged) >= KEPT_PLANS:
                self._judged.clear()
            known = self._judged[key] = self._judge(*key) is not Validity.INVALID
        return known

    def _why_no_row(self, kind: Kind, coding: Coding) -> str:
        if not coding.code:
            return "no_code"
        if not coding.system:
            return "no_system"
        return "no_row" if any((kind, coding.system) in era.sources for era in self._eras) else "no_table"


def _is_one_to_one(rows: Sequence[Row]) -> bool:
    return len(rows) == 1 and rows[0].relationship == EQUIVALENT and rows[0].target is not None


def _answers(found: tuple[Row, ...] | Undecided | None) -> object:
    """What rows that fit say, to tell whether two versions say the same."""
    if isinstance(found, Undecided):
        return found.reason, found.missing
    return None if found is None else tuple(row.answer for row in found)


# --- rows of several tables ------------------------------------------------------------------------


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


def _concepts(layers: Sequence[Sequence[MappingTable]]) -> dict[str, dict[str, str]]:
    concepts: dict[str, dict[str, str]] = {}
    # Within a layer the version activated last stands in front.
    for table in (table for layer in reversed(layers) for table in reversed(layer) if table.kind is Kind.CONCEPT):
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
        trace = _trace(row, source, origin, given)
        also = (Choice(given, trace, revenue_code=brings.given_revenue_code),) if given else ()
        trace = _trace(row, source, origin, target)
        return Choice(target, trace, row.unit_price, brings.modifiers, brings.units, also, brings.revenue_code)
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
            besides = [f"{one.target.code} (row {place(one)})" for one in rows if one is not row and one.target]
            reason, text = said
            return reason, f"{text} Beside it: {listed(besides)}." if besides else text
    return None


def _row_problem(row: Row, context: CodingContext) -> tuple[str, str] | None:
    if row.needs_detail:
        return "needs_detail", detail(row)
    if row.target and row.relationship == BROADER:
        return "needs_detail", (
            f"Row {place(row)} says {row.target.code}, which says more than the code sent: "
            f"confirm it, or choose another.{advice((row,))}"
        )
    if row.target and row.target.code.endswith(LACKS_SEVENTH) and context.episode not in tuple(row.sevenths):
        return _seventh_problem(row, row.target, context)
    return None


def _seventh_problem(row: Row, target: Coding, context: CodingContext) -> tuple[str, str]:
    if context.episode or not row.sevenths:
        return "needs_detail", (
            f"{target.code} (row {place(row)}) needs a 7th character that says more than the episode of care: "
            f"choose the code.{advice((row,))}"
        )
    return "unknown_context", (
        f"The episode of care is not known, and {target.code} (row {place(row)}) needs it for its 7th character: "
        f"choose the code.{advice((row,))}"
    )


def _says_more(gap: Gap) -> int:
    return _GAP_ORDER.index(gap.reason) if gap.reason in _GAP_ORDER else len(_GAP_ORDER)


def _gap_without_code(kind: Kind, origin: Origin, chart_key: str) -> Gap:
    return Gap(chart_key, origin, "", "", "no_code", NO_ROW_TEXTS["no_code"](kind, ""))


def _gap_between(choices: Sequence[Choice], origin: Origin, chart_key: str) -> Gap:
    first = choices[0]
    rows = listed([f"{choice.trace.table}:{choice.trace.row}" for choice in choices])
    text = f"The codes sent for this mean different things to rows {rows}: correct the rows, or choose the code."
    source = first.trace.source
    display = next((choice.code.display for choice in choices if choice.code), "")
    return Gap(chart_key, origin, source.system, source.code, "ambiguous", text, display)
