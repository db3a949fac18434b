"""What FHIR R4 says of a type beyond its elements: its invariants, and two rules of ours on codes and amounts.

To add one: a row in `INVARIANTS`. A rule takes an object of any quality and says whether it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from fhir_coder.edits.r4_values import PRIMITIVES, is_currency, is_decimal
from fhir_coder.model import Json, System

_DOTTED = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?")


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule on one type: its edit, the element where the fault is told (empty for the object itself), and the text."""

    edit: str
    element: str
    text: str
    is_kept: Callable[[Json], bool]


def _extension_says_one_thing(extension: Json) -> bool:
    has_value = any(name.lstrip("_").startswith("value") for name in extension)
    return ("extension" in extension) != has_value


def _starts_before_it_ends(period: Json) -> bool:
    """Compared as far as both are known: by the moment with times of day, else by their common precision."""
    start: Any = period.get("start")
    end: Any = period.get("end")
    if not (PRIMITIVES["dateTime"](start) and PRIMITIVES["dateTime"](end)):
        return True
    if len(start) > 10 and len(end) > 10 and ":60" not in start + end:
        return datetime.fromisoformat(start) <= datetime.fromisoformat(end)
    known = min(len(start), len(end), 10)
    return bool(start[:known] <= end[:known])


def _low_is_below_high(bounds: Json) -> bool:
    low, high = bounds.get("low"), bounds.get("high")
    if not (isinstance(low, dict) and isinstance(high, dict)):
        return True
    numbers = low.get("value"), high.get("value")
    if low.get("code") != high.get("code") or not all(map(is_decimal, numbers)):
        return True
    return Decimal(str(numbers[0])) <= Decimal(str(numbers[1]))


def _ratio_is_whole(ratio: Json) -> bool:
    has_both = "numerator" in ratio and "denominator" in ratio
    has_one = "numerator" in ratio or "denominator" in ratio
    return has_both or (not has_one and "extension" in ratio)


def _names_its_resource(reference: Json) -> bool:
    return any(name in reference for name in ("reference", "_reference", "identifier", "display", "extension"))


def _icd_has_its_dot(coding: Json) -> bool:
    code: Any = coding.get("code")
    return coding.get("system") != System.ICD10CM or not isinstance(code, str) or bool(_DOTTED.fullmatch(code))


def _has_currency(money: Json) -> bool:
    return is_currency(money.get("currency")) or not ("value" in money or "currency" in money)


def _code_has_system(quantity: Json) -> bool:
    return "code" not in quantity or "system" in quantity


def _has_name_or_identifier(organization: Json) -> bool:
    return "identifier" in organization or "name" in organization


def _says_who(contact: Json) -> bool:
    return any(name in contact for name in ("name", "telecom", "address", "organization"))


def _says_how(contact: Json) -> bool:
    return "value" not in contact or "system" in contact or "_system" in contact


def _data_has_type(attachment: Json) -> bool:
    return "data" not in attachment or "contentType" in attachment


_QUANTITY = Invariant("r4-invariant", "system", "qty-3: a unit's code needs its system", _code_has_system)

INVARIANTS: Mapping[str, tuple[Invariant, ...]] = {
    "Attachment": (Invariant("r4-invariant", "contentType", "att-1: data needs its content type", _data_has_type),),
    "Coding": (Invariant("icd-dot", "code", "the code is not written as in ICD-10-CM", _icd_has_its_dot),),
    "ContactPoint": (Invariant("r4-invariant", "system", "cpt-2: a value needs its system", _says_how),),
    "Extension": (
        Invariant(
            "r4-invariant", "", "ext-1: an extension has either a value or extensions", _extension_says_one_thing
        ),
    ),
    "Money": (Invariant("money-has-currency", "currency", "the amount has no ISO 4217 currency", _has_currency),),
    "Organization": (Invariant("r4-invariant", "", "org-1: neither name nor identifier", _has_name_or_identifier),),
    "Patient.contact": (Invariant("r4-invariant", "", "pat-1: the contact names nobody", _says_who),),
    "Period": (Invariant("period-order", "", "per-1: the end is before the start", _starts_before_it_ends),),
    "Range": (Invariant("r4-invariant", "", "rng-2: low is above high", _low_is_below_high),),
    "Ratio": (Invariant("r4-invariant", "", "rat-1: numerator and denominator go together", _ratio_is_whole),),
    "Reference": (
        Invariant("reference-form", "", "neither reference, identifier nor display is there", _names_its_resource),
    ),
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), (_QUANTITY,)),
}
"""The rules by type."""
