"""What an edit is and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fhir_coder.model import CodedChart, CoverageFact, Finding, Json, Payer, Severity
from fhir_coder.terminology import CodeSets

Hit = tuple[str, str] | tuple[str, str, Severity]
"""Where (FHIR path) and what; a severity where it differs from the edit's own."""


@dataclass(frozen=True, slots=True)
class ClaimContext:
    """A claim with what it was made from. `claim` is R4 JSON with Decimal money.

    `order` is the payer's place in the order of benefits, from 1. `waits_for` says what the visit waits for, empty
    where it may be billed. `is_prior_open`: a payer before this one has not decided; `is_paid_in_full`: those before
    have paid everything.
    """

    claim: Json
    coded: CodedChart
    payer: Payer | None
    code_sets: CodeSets
    order: int = 1
    waits_for: str = ""
    is_prior_open: bool = False
    is_paid_in_full: bool = False

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
    """One check: its id, title, severity, what to do about it, and the function that finds it."""

    id: str
    title: str
    severity: Severity
    advice: str
    check: Callable[[ClaimContext], Iterable[Hit]]
    resolves_itself: bool = False

    def findings(self, context: ClaimContext) -> Iterator[Finding]:
        """What this edit says about one claim."""
        for path, text, *severity in self.check(context):
            yield Finding(self.id, severity[0] if severity else self.severity, path, text, self.advice)
