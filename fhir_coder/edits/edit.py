"""What an edit is and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fhir_coder.model import CodedChart, Finding, Json, Payer, Severity
from fhir_coder.terminology import CodeSets

Hit = tuple[str, str] | tuple[str, str, Severity]
"""Where (FHIR path) and what; a severity where it differs from the edit's own."""


@dataclass(frozen=True, slots=True)
class ClaimContext:
    """A claim with what it was made from. `claim` is R4 JSON with Decimal money."""

    claim: Json
    coded: CodedChart
    payer: Payer | None
    code_sets: CodeSets


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
