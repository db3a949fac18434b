"""What an edit is and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fhir_coder.model import CodedChart, CoverageFact, Denied, Finding, Json, Payer, Severity
from fhir_coder.terminology import CodeSets

Hit = tuple[str, str] | tuple[str, str, Severity]
"""Where (FHIR path) and what; a severity where it differs from the edit's own."""


@dataclass(frozen=True, slots=True)
class ClaimContext:
    """A claim with what it was made from. `claim` is R4 JSON with Decimal money.

    `order` is the payer's place in the order of benefits, from 1. `waits_for` says what the visit waits for, empty
    where it may be billed. `is_prior_open`: a payer before this one has not decided; `is_paid_in_full`: those before
    have paid everything. `unbilled` are the places of later coverages that nobody is billed for.
    `elsewhere` are claims of the patient's other visits that a payer has or may have, as R4 JSON.
    `denied` is what payers often denied before.
    `once` is what edits have worked out of this claim for the others of their family.
    """

    claim: Json
    coded: CodedChart
    payer: Payer | None
    code_sets: CodeSets
    order: int = 1
    waits_for: str = ""
    is_prior_open: bool = False
    is_paid_in_full: bool = False
    unbilled: tuple[int, ...] = ()
    elsewhere: tuple[Json, ...] = ()
    denied: Denied = field(default_factory=dict)
    once: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """`professional` or `institutional`."""
        return str(self.claim["type"]["coding"][0]["code"])

    @property
    def served(self) -> date | None:
        """The day on which the visit's codes are judged: discharge, or the last service."""
        if "served" not in self.once:
            self.once["served"] = self.coded.chart.service_date
        day: date | None = self.once["served"]
        return day

    @property
    def coverage(self) -> CoverageFact | None:
        """The coverage that this claim bills."""
        coverages = self.coded.chart.coverages
        return coverages[self.order - 1] if len(coverages) >= self.order else None

    @property
    def coverage_path(self) -> str:
        """Where the coverage stands on the claim."""
        return f"Claim.insurance[{self.order - 1}].coverage"


@dataclass(frozen=True, slots=True)
class Edit:
    """One check: its id, title, severity, what to do about it, the function that finds it, and where it looks."""

    id: str
    title: str
    severity: Severity
    advice: str
    check: Callable[[ClaimContext], Iterable[Hit]]
    resolves_itself: bool = False
    path: str = "Claim"

    def finding(self, hit: Hit) -> Finding:
        """What a hit of this edit says about a claim."""
        path, text, *severity = hit
        return Finding(self.id, severity[0] if severity else self.severity, path, text, self.advice)


def plain_code(code: str) -> str:
    """An ICD-10 code as code sets and the Medicare Code Editor write it: without its dot, in capitals."""
    return code.replace(".", "").upper()
