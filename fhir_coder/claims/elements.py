"""Small FHIR elements every part of a claim is made of."""

from __future__ import annotations

from fhir_coder.model import Coding, Json, Money, Trace


def codeable(system: str, code: str) -> Json | None:
    """A CodeableConcept of one code, None where there is no code."""
    return {"coding": [{"system": system, "code": code}]} if code else None


def coded_element(code: Coding, trace: Trace) -> Json:
    """A billing code with the words of the sender or the table: they are no `display` (R4 2.24.0.10)."""
    return without_empty({"coding": [{"system": code.system, "code": code.code}], "text": trace.display})


def money_element(money: Money | None) -> Json | None:
    """An amount with its currency, None where there is none."""
    return {"value": money.value, "currency": money.currency} if money else None


def without_empty(resource: Json) -> Json:
    """The resource without members that have nothing to say (FHIR R4 2.24.0: no empty values on the wire)."""
    return {k: v for k, v in resource.items() if v or v not in (None, "", [], {})}
