"""Claim to findings: every check of a claim before it goes out, in the order a coder sees them.

To add an edit: write one small function in the module of its family and add one row to `EDITS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_coder.edits import codes, parties, visit
from fhir_coder.edits.edit import ClaimContext, Edit
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import Finding, Severity

EDITS: tuple[Edit, ...] = (*visit.EDITS, *parties.EDITS, *codes.EDITS)
"""All edits that look at more than the claim's own structure."""


def findings_for(context: ClaimContext) -> tuple[Finding, ...]:
    """All findings of one claim: its visit, parties and codes, then its structure."""
    found = [finding for edit in EDITS for finding in edit.findings(context)]
    return tuple(found + structure_findings(context.claim))


def rejects(findings: Sequence[Finding]) -> bool:
    """Whether any finding holds the claim."""
    return any(f.severity is Severity.REJECT for f in findings)


RESOLVES_ITSELF = frozenset(edit.id for edit in EDITS if edit.resolves_itself)
"""Edits whose finding goes away when the next message comes: they hold the claim but ask nobody."""

__all__ = ["EDITS", "RESOLVES_ITSELF", "ClaimContext", "Edit", "findings_for", "rejects"]
