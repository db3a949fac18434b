"""ClaimResponse (FHIR R4 13.2) to what it means for the claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from fhir_coder.model import Adjudication, ClaimStatus, Json, LineDecision, Money
from fhir_coder.payers.answer import codes, member, objects, resources_in, text

PAID_CATEGORIES = ("paid", "benefit")
"""Adjudication categories that say what the payer pays, the more definite first."""

DENIED_CATEGORIES = frozenset({"denied", "noncovered"})

_OUTCOMES = frozenset({"queued", "complete", "error", "partial"})


def is_decision(response: Json) -> bool:
    """Whether this is a ClaimResponse in force: active, with an outcome of the standard (remittance-outcome)."""
    is_response = response.get("resourceType") == "ClaimResponse" and text(response, "outcome") in _OUTCOMES
    return is_response and response.get("status", "active") == "active"


def read_claim_response(response: Json) -> Adjudication:
    """Read a payer's decision. Never fails; what cannot be read is left out.

    `outcome` complete is not an acceptance: a claim of which every line is denied and nothing is paid is denied.
    """
    outcome = text(response, "outcome")
    lines = _lines(response)
    paid = _paid(response, lines)
    identity = text(response, "id")
    return Adjudication(
        status=_status(outcome, response, lines, paid),
        outcome=outcome,
        disposition=text(response, "disposition"),
        paid=paid,
        reference=f"ClaimResponse/{identity}" if identity else "",
        lines=lines,
        errors=_errors(response),
    )


def decision_named(answer: object, reference: str) -> Json | None:
    """The decided ClaimResponse of an answer that `reference` (`ClaimResponse/3`) names, else the only one in it."""
    found = [r for r in resources_in(answer) if is_decision(r)] if isinstance(answer, dict) else []
    decided = [r for r in found if r["outcome"] != "queued"]
    named = [r for r in decided if reference and reference == f"ClaimResponse/{text(r, 'id')}"]
    chosen = named or decided
    return chosen[0] if len(chosen) == 1 or named else None


def _status(outcome: str, response: Json, lines: Sequence[LineDecision], paid: Money | None) -> ClaimStatus:
    if outcome == "queued":
        return ClaimStatus.QUEUED
    if outcome == "error":
        return ClaimStatus.DENIED
    nothing_paid = paid is None or paid.value == 0
    denied = [line.denied for line in lines] or [_is_denied(_amounts(response, "total"), _reasons(response))]
    if all(denied) and nothing_paid:
        return ClaimStatus.DENIED
    return ClaimStatus.PARTIAL if any(denied) or outcome == "partial" else ClaimStatus.COMPLETE


def _lines(response: Json) -> tuple[LineDecision, ...]:
    items = [item for item in objects(response, "item") if type(item.get("itemSequence")) is int]
    return tuple(_line(item) for item in items)


def _line(item: Json) -> LineDecision:
    amounts, reasons = _amounts(item, "adjudication"), _reasons(item)
    return LineDecision(
        sequence=item["itemSequence"],
        paid=_first(amounts, *PAID_CATEGORIES),
        submitted=amounts.get("submitted"),
        denied=_is_denied(amounts, reasons),
        reasons=reasons,
    )


def _is_denied(amounts: Mapping[str, Money | None], reasons: Sequence[str]) -> bool:
    """Nothing is paid and the payer says so: by category, by a reason, or by finding nothing eligible.

    A benefit of zero is no denial where something is eligible: the deductible may have taken it.
    """
    paid = _first(amounts, *PAID_CATEGORIES)
    if paid is not None and paid.value != 0:
        return False
    if any(_counts(amounts, category) for category in DENIED_CATEGORIES):
        return True
    eligible, submitted = amounts.get("eligible"), amounts.get("submitted")
    if paid is None or (eligible is not None and eligible.value > 0):
        return False
    return bool(reasons) or submitted is None or submitted.value > 0


def _counts(amounts: Mapping[str, Money | None], category: str) -> bool:
    amount = amounts.get(category)
    return category in amounts and (amount is None or amount.value != 0)


def _paid(response: Json, lines: Sequence[LineDecision]) -> Money | None:
    """What is paid: payment.amount, else the totals, else the lines where each says it in one currency."""
    stated = _money(member(response, "payment").get("amount")) or _first(_amounts(response, "total"), *PAID_CATEGORIES)
    amounts = [line.paid for line in lines if line.paid]
    if stated or not amounts or len(amounts) < len(lines) or len({a.currency for a in amounts}) > 1:
        return stated
    return Money(sum((a.value for a in amounts), Decimal(0)), amounts[0].currency)


def _amounts(holder: Json, name: str) -> dict[str, Money | None]:
    """Category code -> amount, None where a category comes without one. The first of a category counts."""
    found: dict[str, Money | None] = {}
    for entry in objects(holder, name):
        for code in codes(entry.get("category")):
            found.setdefault(code, _money(entry.get("amount")))
    return found


def _first(amounts: Mapping[str, Money | None], *categories: str) -> Money | None:
    return next((amount for amount in (amounts.get(c) for c in categories) if amount is not None), None)


def _reasons(item: Json) -> tuple[str, ...]:
    found = [code for entry in objects(item, "adjudication") for code in codes(entry.get("reason"))]
    return tuple(dict.fromkeys(found))


def _errors(response: Json) -> tuple[str, ...]:
    """`code at item 2` for each error; codes only, no text of the payer's."""
    found = []
    for error in objects(response, "error"):
        place = f" at item {error['itemSequence']}" if type(error.get("itemSequence")) is int else ""
        found += [f"{code}{place}" for code in codes(error.get("code"))]
    return tuple(dict.fromkeys(found))


def _money(value: Any) -> Money | None:
    amount = value.get("value") if isinstance(value, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    exact = Decimal(amount)
    # 10^18 is more than any payer pays: such a number is a fault, and arithmetic on it can be endless.
    return Money(exact, text(value, "currency")) if exact.is_finite() and abs(exact.adjusted()) < 18 else None
