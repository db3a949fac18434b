"""Money in a payer's answer: amounts by their category."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from fhir_coder.model import Json, Money
from fhir_coder.payers.answer import codes, objects, text

Amounts = Mapping[str, Money | None]

PAID_CATEGORIES = ("paid", "benefit")
"""Adjudication categories that say what the payer pays, the more definite first."""

ALLOWED_CATEGORIES = ("eligible", "allowed")

PATIENT_TOTALS = ("patientliability", "memberliability", "paidbypatient")
"""Categories (base R4 and CARIN) that say what the patient owes in one amount, the more definite first."""

PATIENT_PARTS = ("deductible", "copay", "coinsurance")
"""Categories whose amounts together are what the patient owes of what is allowed."""


def money(value: Any) -> Money | None:
    """An amount of Money, None where there is none to read."""
    amount = value.get("value") if isinstance(value, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    exact = Decimal(amount)
    # 10^18 is more than any payer pays: such a number is a fault, and arithmetic on it can be endless.
    return Money(exact, text(value, "currency")) if exact.is_finite() and abs(exact.adjusted()) < 18 else None


def amounts_of(holder: Json, name: str) -> dict[str, Money | None]:
    """Category code -> amount, None where a category comes without one. The first of a category counts."""
    found: dict[str, Money | None] = {}
    for entry in objects(holder, name):
        for code in codes(entry.get("category")):
            found.setdefault(code, money(entry.get("amount")))
    return found


def first(amounts: Amounts, *categories: str) -> Money | None:
    """The amount of the first of these categories that has one."""
    return next((amount for amount in (amounts.get(c) for c in categories) if amount is not None), None)


def summed(amounts: Iterable[Money | None]) -> Money | None:
    """The sum of all amounts that are there; None where there is none, or where they are of several currencies."""
    there = [amount for amount in amounts if amount is not None]
    if not there or len({amount.currency for amount in there}) > 1:
        return None
    return Money(sum((amount.value for amount in there), Decimal(0)), there[0].currency)


def owed_by_patient(amounts: Amounts) -> Money | None:
    """What the patient owes, None where the answer does not say it."""
    return first(amounts, *PATIENT_TOTALS) or summed(amounts.get(part) for part in PATIENT_PARTS)
