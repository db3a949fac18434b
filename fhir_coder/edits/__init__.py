"""Claim to findings: every check of a claim before it goes out, in the order a coder sees them.

To add an edit: write one small function in the module of its family and add one row to `EDITS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from fhir_coder.edits import (
    bill,
    charges,
    codes,
    coverages,
    diagnoses,
    duplicates,
    experience,
    mce,
    modifiers,
    ncci,
    parties,
    preauthorization,
    visit,
)
from fhir_coder.edits.edit import ClaimContext, Edit
from fhir_coder.edits.structure import STRUCTURE_EDITS, structure_findings
from fhir_coder.model import Finding, Payer, Severity

EDITS: tuple[Edit, ...] = (
    *visit.EDITS,
    *charges.EDITS,
    *bill.EDITS,
    *parties.EDITS,
    *coverages.EDITS,
    *preauthorization.EDITS,
    *codes.EDITS,
    *diagnoses.EDITS,
    *mce.EDITS,
    *modifiers.EDITS,
    *ncci.EDITS,
    *duplicates.EDITS,
    *experience.EDITS,
)
"""All edits that look at more than the claim's own structure."""

_ON = tuple(edit for edit in EDITS if edit.severity)
"""Those that look at the claims of a payer that says nothing of edits."""


@dataclass(frozen=True, slots=True)
class EditRow:
    """An edit as it is listed. `family` is the module it stands in."""

    id: str
    title: str
    severity: Severity
    path: str
    advice: str
    family: str


def catalogue() -> tuple[EditRow, ...]:
    """Every edit of this room, in the order shown to the coder."""
    rows = [EditRow(e.id, e.title, e.severity, e.path, e.advice, _family(e)) for e in EDITS]
    rows += [EditRow(e.id, e.title, e.severity, e.path, e.advice, "structure") for e in STRUCTURE_EDITS]
    return tuple(rows)


def _family(edit: Edit) -> str:
    check = edit.check.func if isinstance(edit.check, partial) else edit.check
    return check.__module__.rpartition(".")[2]


def findings_for(context: ClaimContext) -> tuple[Finding, ...]:
    """All findings of one claim as its payer judges them: its visit, parties and codes, then its structure."""
    said = context.payer.severities if context.payer else {}
    edits = [edit for edit in EDITS if said.get(edit.id, edit.severity)] if said else _ON
    found = [edit.finding(hit) for edit in edits for hit in edit.check(context)]
    return judged_by(context.payer, found + structure_findings(context.claim))


def judged_by(payer: Payer | None, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings with the severities that a payer gives its edits; those it has off are left out."""
    said = payer.severities if payer else {}
    if not said:
        return tuple(findings)
    judged = ((f, said.get(f.edit, f.severity)) for f in findings)
    return tuple(f if f.severity is severity else replace(f, severity=severity) for f, severity in judged if severity)


def rejects(findings: Sequence[Finding]) -> bool:
    """Whether any finding holds the claim."""
    return any(f.severity is Severity.REJECT for f in findings)


RESOLVES_ITSELF = frozenset(edit.id for edit in EDITS if edit.resolves_itself)
"""Edits whose finding goes away when the next message comes: they hold the claim but ask nobody."""

__all__ = [
    "EDITS",
    "RESOLVES_ITSELF",
    "ClaimContext",
    "Edit",
    "EditRow",
    "catalogue",
    "findings_for",
    "judged_by",
    "rejects",
]
