"""Diagnoses, procedures, vaccinations and coverages of a visit: one entry an identity, the later word wins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from fhir_coder.charts.billing import billing_order
from fhir_coder.charts.directory import Directory
from fhir_coder.model import (
    ChargeFact,
    CoverageFact,
    DiagnosisFact,
    DiagnosisUse,
    ImmunizationFact,
    ProcedureFact,
)

_Listed = TypeVar("_Listed", DiagnosisFact, ProcedureFact, ImmunizationFact, CoverageFact)
_Served = TypeVar("_Served", ProcedureFact, ChargeFact, ImmunizationFact)

_USES_THAT_COUNT = {"DD": 0, "AD": 2}


def keep(facts: dict[str, _Listed], fact: _Listed) -> None:
    """Take one in, or away where it is removed."""
    if fact.removed:
        facts.pop(fact.identity, None)
    else:
        facts[fact.identity] = fact


class Filled(Generic[_Served]):
    """Services with their care teams filled in, and kept so: a chart is looked at after each message."""

    def __init__(self) -> None:
        self._filled: dict[str, tuple[_Served, int, _Served]] = {}

    def all(self, facts: dict[str, _Served], directory: Directory) -> tuple[_Served, ...]:
        """The services in their order."""
        return tuple([self._one(fact, directory) for fact in facts.values()])

    def _one(self, fact: _Served, directory: Directory) -> _Served:
        if not fact.care_team:
            return fact
        known = self._filled.get(fact.identity)
        if known and known[0] is fact and known[1] == directory.changes:
            return known[2]
        filled = directory.filled(fact)
        self._filled[fact.identity] = (fact, directory.changes, filled)
        return filled


def with_uses(facts: Iterable[DiagnosisFact], said: tuple[DiagnosisUse, ...]) -> tuple[DiagnosisFact, ...]:
    """Diagnoses in billing order, as what the visit says they are to it."""
    if not said:
        return billing_order(facts)
    # A condition may be admitting and discharge diagnosis of one stay: what it was found to be counts.
    ordered = sorted(said, key=lambda u: _USES_THAT_COUNT.get(u.use, 1))
    uses = {u.ref: u for u in reversed(ordered)}
    return billing_order(_used(fact, uses.get(fact.identity)) for fact in facts)


def _used(fact: DiagnosisFact, use: DiagnosisUse | None) -> DiagnosisFact:
    if use is None:
        return fact
    kind = {"AD": "admitting", "DD": "final", "working": "working"}.get(use.use, fact.kind)
    on_admission = use.on_admission or fact.on_admission
    return replace(fact, kind=kind, rank=use.rank or fact.rank, on_admission=on_admission)
