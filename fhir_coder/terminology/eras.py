"""The times between two changes of the versions of tables, and the tables that are asked in each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from fhir_coder.model import Coding, Kind, System
from fhir_coder.terminology.table import LAYERS, MappingTable, Plan, layer_plan

KEPT_PLANS = 16_384
"""Codes whose rows stay in memory after they were asked; about 1 KB each."""

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


class Era:
    """The tables of a time between two changes of versions, from its first day of service on."""

    def __init__(self, begins: date, layers: Iterable[Sequence[MappingTable]]) -> None:
        self.begins = begins
        self.sources = _sources(layers)
        self._plans: dict[tuple[Kind, str, str], Plan] = {}

    def plan(self, kind: Kind, coding: Coding) -> Plan:
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
            for layer in self.sources.get((kind, coding.system), ())
        )
        return tuple(layer for layer in layers if layer)


def eras_of(layers: Sequence[Sequence[MappingTable]]) -> tuple[Era, ...]:
    """The times between the days on which the version of some table changes."""
    periods = {period for layer in layers for table in layer for period in table.days}
    changes = {first for first, _ in periods} | {last + timedelta(1) for _, last in periods if last < date.max}
    return tuple(
        Era(day, [[table for table in layer if _is_of(table, day)] for layer in layers])
        for day in sorted({date.min, *changes})
    )


def _is_of(table: MappingTable, day: date) -> bool:
    return any(first <= day <= last for first, last in table.days)
