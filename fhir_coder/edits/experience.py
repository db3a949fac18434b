"""Edits that learn from what payers decided before."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import Severity


def _denied_before(context: ClaimContext) -> Iterator[Hit]:
    """Lines with a code that this payer often denied (`Occasion.denied`)."""
    payer = context.payer.name if context.payer else ""
    for index, item in enumerate(context.claim.get("item", ())):
        code = str(item.get("productOrService", {}).get("coding", [{}])[0].get("code", ""))
        for one in context.denied.get((payer, code), ()) if payer and code else ():
            why = f"reason {one.reason}" if one.reason else "no reason given"
            share = f"{one.claims} of {one.decided} claims"
            yield f"Claim.item[{index}]", f"this payer denied {code} in {share} of the last year: {why}"


EDITS: tuple[Edit, ...] = (
    Edit(
        "denied-before",
        "Code this payer has denied",
        Severity.INFO,
        "See fhir-coder denials for what these claims had in common.",
        _denied_before,
        path="Claim.item",
    ),
)
