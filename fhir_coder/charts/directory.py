"""Who and where: references to practitioners and organizations, filled in from the facts of a directory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from fhir_coder.model import (
    CareTeamMember,
    ChargeFact,
    CoverageFact,
    DirectoryFact,
    ImmunizationFact,
    Organization,
    Practitioner,
    ProcedureFact,
    VisitFact,
)

_Served = TypeVar("_Served", ProcedureFact, ChargeFact, ImmunizationFact, VisitFact)


@dataclass
class Directory:
    """The entries that a chart draws on, by topic. `changes` counts them, so that what was filled in can be kept."""

    entries: dict[str, DirectoryFact] = field(default_factory=dict)
    changes: int = 0

    def take(self, topic: str, fact: DirectoryFact) -> None:
        """Take an entry in; a later one replaces it."""
        self.entries[topic] = fact
        self.changes += 1

    def filled(self, fact: _Served) -> _Served:
        """A fact with the persons of its care team."""
        if all(m.practitioner or not m.ref for m in fact.care_team):
            return fact
        return replace(fact, care_team=self._team(fact.care_team))

    def visit(self, visit: VisitFact) -> VisitFact:
        """A visit with its care team and facility."""
        visit = self.filled(visit)
        if visit.facility or not visit.facility_ref:
            return visit
        return replace(visit, facility=self._organization(visit.facility_ref))

    def coverages(self, coverages: Iterable[CoverageFact]) -> tuple[CoverageFact, ...]:
        """Coverages with their payers, in order of benefits."""
        return tuple(sorted(map(self._coverage, coverages), key=lambda c: c.order))

    def _coverage(self, coverage: CoverageFact) -> CoverageFact:
        return replace(coverage, payer=coverage.payer or self._organization(coverage.payer_ref))

    def _team(self, members: tuple[CareTeamMember, ...]) -> tuple[CareTeamMember, ...]:
        return tuple(m if m.practitioner else replace(m, practitioner=self._practitioner(m.ref)) for m in members)

    def _practitioner(self, ref: str) -> Practitioner | None:
        entry = self.entries.get(ref)
        if entry is None or not entry.practitioner_ref:
            return entry.practitioner if entry else None
        person = self.entries.get(entry.practitioner_ref)
        if person is None or person.practitioner is None:
            return entry.practitioner
        taxonomy = entry.practitioner.taxonomy if entry.practitioner else ""
        return replace(person.practitioner, taxonomy=taxonomy or person.practitioner.taxonomy)

    def _organization(self, ref: str) -> Organization | None:
        entry = self.entries.get(ref)
        return entry.organization if entry else None
