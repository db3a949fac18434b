"""The chart: everything known about one visit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from fhir_coder.model.facts import (
    ChargeFact,
    CoverageFact,
    DiagnosisFact,
    GuarantorFact,
    ImmunizationFact,
    PatientFact,
    Problem,
    ProcedureFact,
    VisitFact,
)
from fhir_coder.model.worklist import ClaimCorrection, PersonDecision


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything known about one visit: references filled in, repeats and removals resolved.

    Diagnoses stand in billing order (principal first), coverages in order of benefits. `moved_to` is the chart key
    under which the visit is known now: nothing is billed under this one. `moved_from` are the keys it had before.
    `copayments` are what the patient has paid. `decisions` are those of people about codes of this chart, `corrections`
    what they corrected on its claims: the ledger has them, no message does.
    """

    key: str
    patient: PatientFact | None
    visit: VisitFact | None
    diagnoses: tuple[DiagnosisFact, ...]
    procedures: tuple[ProcedureFact, ...]
    charges: tuple[ChargeFact, ...]
    immunizations: tuple[ImmunizationFact, ...]
    coverages: tuple[CoverageFact, ...]
    guarantor: GuarantorFact | None
    cancelled: bool
    messages: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    moved_to: str = ""
    moved_from: tuple[str, ...] = ()
    copayments: tuple[ChargeFact, ...] = ()
    decisions: tuple[PersonDecision, ...] = ()
    corrections: tuple[ClaimCorrection, ...] = ()

    def correction(self, field: str) -> str:
        """What a person says of a field of the claim, empty where nobody did."""
        return next((one.value for one in self.corrections if one.field == field), "")

    @property
    def service_date(self) -> date | None:
        """The day codes are judged on: discharge, else the end of the visit's last service, else the start."""
        days = [self.visit.end.day] if self.visit and self.visit.end else []
        if not any(days):
            days = [c.service_date.day for c in self.charges if c.service_date]
            days += [p.performed.day for p in self.procedures if p.performed]
            days += [i.given.day for i in self.immunizations if i.given]
        if not any(days) and self.visit and self.visit.start:
            days = [self.visit.start.day]
        return max((d for d in days if d), default=None)
