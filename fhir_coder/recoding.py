"""What stored charts would be coded as with other tables: nothing is written, the same pure stages as the workers'."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from fhir_coder.filing import as_decided
from fhir_coder.model import Chart, ClaimStatus, CodedChart, Coding, Gap, Trace, is_code_shaped
from fhir_coder.pipeline import Rulebook, billed_slots
from fhir_coder.store import Ledger, claims, messages
from fhir_coder.store.claims import ClaimRow
from fhir_coder.terminology import Tables

_ZERO = Decimal(0)
Source = tuple[str, str]
"""A code as sent: system and code."""


@dataclass(frozen=True, slots=True)
class CodeChange:
    """What one code as sent gives with the tables of before and of after; `amount` is what that changes.

    `code` is empty where it may be no code: senders put words, and names, where codes belong.
    """

    system: str
    code: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    amount: Decimal


@dataclass(frozen=True, slots=True)
class ClaimChange:
    """A claim that would be coded differently. `status` is that of the newest one there is, empty where none is.

    `is_kept`: it was sent, so that it stays as it is unless a person has its visit coded again.
    """

    chart_key: str
    slot: str
    status: str
    is_kept: bool
    currency: str
    old_total: Decimal
    new_total: Decimal
    changes: tuple[CodeChange, ...]

    @property
    def amount(self) -> Decimal:
        """By how much the claim's total changes."""
        return self.new_total - self.old_total


@dataclass(frozen=True, slots=True)
class Recoding:
    """Codes stored charts with the tables of before and after. `fold` makes a chart of its stored messages."""

    ledger: Ledger
    rulebook: Rulebook
    fold: Callable[[str], Chart]
    before: Tables
    after: Tables

    def of_charts(self, keys: Iterable[str]) -> Iterable[ClaimChange]:
        """Yield the claims of charts that would be coded differently."""
        for key in keys:
            yield from self.of_chart(key)

    def of_chart(self, key: str) -> list[ClaimChange]:
        """The claims of one chart that would be coded differently.

        Before: with the tables that its claims keep where one was sent, as a late message would find them.
        """
        chart = self.fold(key)
        if chart.cancelled or chart.moved_to:
            return []
        with self.ledger.reading() as connection:
            chart = as_decided(connection, chart)
            rows = claims.of_chart(connection, key)
            states = claims.states_to_keep(connection, key, rows)
            feeds = messages.feeds_of(connection, chart.messages)
        old = self._coded(chart, self.before.as_of(states) if states else self.before, feeds)
        new = self._coded(chart, self.after, feeds)
        found = [_change(slot, old.get(slot), new.get(slot)) for slot in sorted(old.keys() | new.keys())]
        return [_about(one, key, rows, bool(states)) for one in found if one.changes]

    def _coded(self, chart: Chart, tables: Tables, feeds: tuple[str, ...]) -> dict[str, CodedChart]:
        book = replace(self.rulebook, tables=tables)
        return {billed.slot.name: billed.coded for billed in billed_slots(chart, book, feeds)}


def _about(one: ClaimChange, key: str, rows: dict[str, list[ClaimRow]], is_kept: bool) -> ClaimChange:
    newest = rows.get(one.slot, [])[:1]
    status = ClaimStatus(newest[0].status).value if newest else ""
    return replace(one, chart_key=key, status=status, is_kept=is_kept)


@dataclass
class _Said:
    """What one code as sent gives: codes, gaps and money."""

    codes: list[str] = field(default_factory=list)
    net: Decimal = _ZERO
    is_in_a_table: bool = field(default=False, compare=False)


def _change(slot: str, old: CodedChart | None, new: CodedChart | None) -> ClaimChange:
    before, after = _said(old), _said(new)
    changes = [
        _of_code(source, there, here)
        for source in sorted(before.keys() | after.keys())
        if (there := before.get(source, _Said())) != (here := after.get(source, _Said()))
    ]
    return ClaimChange("", slot, "", False, _currency(old, new), _total(old), _total(new), tuple(changes))


def _of_code(source: Source, there: _Said, here: _Said) -> CodeChange:
    system, code = source
    shown = code if there.is_in_a_table or here.is_in_a_table or is_code_shaped(code) else ""
    return CodeChange(system, shown, tuple(sorted(there.codes)), tuple(sorted(here.codes)), here.net - there.net)


def _said(coded: CodedChart | None) -> dict[Source, _Said]:
    found: dict[Source, _Said] = {}
    if coded is None:
        return found
    for diagnosis in coded.diagnoses:
        _add(found, diagnosis.trace, diagnosis.code)
    for procedure in coded.procedures:
        _add(found, procedure.trace, procedure.code)
    for line in coded.lines:
        said = _add(found, line.trace, line.code, [modifier.code for modifier in line.modifiers])
        said.net += line.net.value if line.net else _ZERO
    for trace in coded.not_billable:
        _add(found, trace, Coding("", "not billable"))
    for gap in coded.gaps:
        found.setdefault(_source(gap), _Said()).codes.append(f"gap {gap.reason}")
    return found


def _add(found: dict[Source, _Said], trace: Trace, code: Coding, modifiers: Iterable[str] = ()) -> _Said:
    said = found.setdefault(_source(trace.source), _Said())
    said.codes.append("-".join([code.code, *modifiers]))
    said.is_in_a_table = said.is_in_a_table or bool(trace.table)
    return said


def _source(named: Coding | Gap) -> Source:
    return named.system, named.code


def _total(coded: CodedChart | None) -> Decimal:
    return sum((line.net.value for line in coded.lines if line.net), _ZERO) if coded else _ZERO


def _currency(*charts: CodedChart | None) -> str:
    return next((line.net.currency for coded in charts if coded for line in coded.lines if line.net), "")
