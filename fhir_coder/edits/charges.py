"""Edits on what is charged: nothing, less than nothing, or far from the charge master."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.model import ChargeFact, CodedLine, Severity

_TIMES = Decimal(3)


def charge_zero(context: ClaimContext) -> Iterator[Hit]:
    """A line that charges nothing, or less than nothing."""
    for index, line in enumerate(context.coded.lines):
        if line.net and line.net.value < 0:
            yield f"Claim.item[{index}].net", "the line charges less than nothing", Severity.REJECT
        elif line.net and line.net.value == 0:
            yield f"Claim.item[{index}].net", "the line charges nothing"


def charge_outlier(context: ClaimContext) -> Iterator[Hit]:
    """A line whose amount for one is more than three times, or less than a third, of the charge master's price."""
    for index, line in enumerate(context.coded.lines):
        each, price = _each(line), line.list_price
        if each is None or price is None or price.currency != (line.net.currency if line.net else ""):
            continue
        if each > price.value * _TIMES or each * _TIMES < price.value:
            yield f"Claim.item[{index}].net", "the amount for one is far from the charge master's or fee table's price"


def _each(line: CodedLine) -> Decimal | None:
    """What one of what was charged costs as sent; None where nothing was sent, or it is told elsewhere."""
    if not isinstance(line.fact, ChargeFact) or not line.net or line.net.value <= 0 or line.fact.quantity <= 0:
        return None
    return line.net.value / line.fact.quantity


EDITS = (
    Edit(
        "charge-zero",
        "Line charges nothing",
        Severity.WARN,
        "Correct the amount (FT1-11), or let a table say that it is not billed.",
        charge_zero,
        path="Claim.item.net",
    ),
    Edit(
        "charge-outlier",
        "Charge far from the charge master",
        Severity.WARN,
        "Check units and amount (FT1-10 to FT1-12), or the price.",
        charge_outlier,
        path="Claim.item.net",
    ),
)
"""In the order shown to the coder."""
