"""The structure of a Claim: what the standard and every payer take for granted and no model checks (FHIR R4 13.1).

Looks at the claim alone, as plain JSON of any quality. To add a check: write one small function and add it to
`STRUCTURE_CHECKS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from fhir_coder.model import Finding, Json, Severity, System

_REQUIRED = ("status", "type", "use", "patient", "created", "provider", "priority", "insurance")

_REQUIRED_IN: Mapping[str, tuple[str, ...]] = {
    "insurance": ("sequence", "focal", "coverage"),
    "item": ("sequence", "productOrService"),
    "diagnosis": ("sequence", "diagnosis[x]"),
    "procedure": ("sequence", "procedure[x]"),
    "supportingInfo": ("sequence", "category"),
    "careTeam": ("sequence", "provider"),
}

_BINDINGS: Mapping[str, frozenset[str]] = {
    "status": frozenset({"active", "cancelled", "draft", "entered-in-error"}),
    "use": frozenset({"claim", "preauthorization", "predetermination"}),
}
"""fm-status and claim-use: the bindings of the Claim itself that R4 marks required."""

_POINTERS: Mapping[str, str] = {
    "careTeamSequence": "careTeam",
    "diagnosisSequence": "diagnosis",
    "procedureSequence": "procedure",
    "informationSequence": "supportingInfo",
}

_NUMBERS = frozenset({"sequence", "factor", *_POINTERS})

_CURRENCY = re.compile(r"[A-Z]{3}")
_DOTTED = re.compile(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?")

_HALF_A_CENT = Decimal("0.005")

STRUCTURE_ADVICE: Mapping[str, str] = {
    "required-element": "Fill the element: the standard requires it.",
    "required-binding": "Use a code of the value set that the standard requires.",
    "number-as-text": "Write the number as a JSON number.",
    "empty-value": "Leave the element out where there is nothing to say.",
    "duplicate-sequence": "Number the entries uniquely.",
    "one-focal-insurance": "Mark exactly one insurance as focal: the one this claim is sent to.",
    "pointer-to-nothing": "Point to an entry that is on the claim, or add the entry.",
    "reference-resolves": "Add the contained resource, or correct the reference.",
    "money-has-currency": "Name the ISO 4217 currency of every amount.",
    "net-is-product": "Correct quantity, unit price or net amount.",
    "total-is-sum": "Make the total the sum of the lines' net amounts.",
    "icd-dot": "Write the code as ICD-10-CM does, with a dot after the third character.",
}
"""Every structure edit by its id, with what to do."""


def structure_findings(claim: Json) -> list[Finding]:
    """All that is wrong with one Claim's structure, in the order of `STRUCTURE_CHECKS`. Texts never show values."""
    inside = Inside(claim)
    return [finding for check in STRUCTURE_CHECKS for finding in check(inside)]


@dataclass(frozen=True)
class Inside:
    """A claim with all its members, walked through once for all checks."""

    claim: Json

    @cached_property
    def members(self) -> tuple[tuple[str, Any], ...]:
        """Every member with its path, depth first."""
        return tuple(_walk(self.claim, "Claim"))


def required_elements(inside: Inside) -> Iterator[Finding]:
    """Elements that R4 requires of the claim and of its parts are there."""
    for name in _REQUIRED:
        if not _is_there(inside.claim, name):
            yield _reject("required-element", f"Claim.{name}", f"{name} is missing")
    for part, names in _REQUIRED_IN.items():
        for path, entry in _entries(inside.claim, part):
            for name in names:
                if not _is_there(entry, name):
                    yield _reject("required-element", f"{path}.{name}", f"{name} is missing")


def required_bindings(inside: Inside) -> Iterator[Finding]:
    """`status` and `use` hold codes of their required value sets."""
    for name, codes in _BINDINGS.items():
        value = inside.claim.get(name)
        if value is not None and not (isinstance(value, str) and value in codes):
            yield _reject("required-binding", f"Claim.{name}", f"{name} is not one of {', '.join(sorted(codes))}")


def empty_values(inside: Inside) -> Iterator[Finding]:
    """No null, empty text, empty list or empty object stands anywhere (R4 2.24.0)."""
    for path, value in inside.members:
        if value is None or value in ([], {}) or (isinstance(value, str) and not value.strip()):
            yield _reject("empty-value", path, "the value is empty")


def numbers_are_numbers(inside: Inside) -> Iterator[Finding]:
    """Amounts, quantities, factors and sequences are JSON numbers, not text."""
    for path, value in inside.members:
        if isinstance(value, str) and path.rpartition(".")[2].partition("[")[0] in _NUMBERS:
            yield _reject("number-as-text", path, "a number is written as text")
    for path, holder in [*_monies(inside.claim), *_quantities(inside.claim)]:
        if isinstance(holder.get("value"), str):
            yield _reject("number-as-text", f"{path}.value", "a number is written as text")


def unique_sequences(inside: Inside) -> Iterator[Finding]:
    """No two entries of one list carry the same sequence."""
    lists = [("Claim", inside.claim, part) for part in _REQUIRED_IN]
    lists += [(path, item, "detail") for path, item in _entries(inside.claim, "item")]
    lists += [(path, detail, "subDetail") for path, detail in _lines(inside.claim, "detail")]
    for base, holder, part in lists:
        seen: set[int] = set()
        for path, entry in _entries(holder, part, base):
            sequence = entry.get("sequence")
            if isinstance(sequence, int) and sequence in seen:
                yield _reject("duplicate-sequence", f"{path}.sequence", "an earlier entry has the same sequence")
            if isinstance(sequence, int):
                seen.add(sequence)


def one_focal_insurance(inside: Inside) -> Iterator[Finding]:
    """Exactly one insurance is focal."""
    entries = [entry for _, entry in _entries(inside.claim, "insurance")]
    focal = sum(entry.get("focal") is True for entry in entries)
    if entries and focal != 1:
        yield _reject("one-focal-insurance", "Claim.insurance", f"{focal} insurances are focal")


def pointers_exist(inside: Inside) -> Iterator[Finding]:
    """What a line points to by sequence is on the claim."""
    known = {part: _sequences(inside.claim, part) for part in _POINTERS.values()}
    for path, item in _entries(inside.claim, "item"):
        for pointer, part in _POINTERS.items():
            for position, sequence in enumerate(_list(item.get(pointer))):
                if not _is_int(sequence) or sequence not in known[part]:
                    yield _reject("pointer-to-nothing", f"{path}.{pointer}[{position}]", f"no {part} has this sequence")


def references_resolve(inside: Inside) -> Iterator[Finding]:
    """Every `#id` reference has its contained resource."""
    contained = {entry["id"] for _, entry in _entries(inside.claim, "contained") if isinstance(entry.get("id"), str)}
    for path, value in inside.members:
        local = isinstance(value, str) and path.endswith(".reference") and value.startswith("#")
        if local and value != "#" and value[1:] not in contained:
            yield _reject("reference-resolves", path, "no contained resource has this id")


def money_has_currency(inside: Inside) -> Iterator[Finding]:
    """Every amount names its currency."""
    for path, money in _monies(inside.claim):
        currency = money.get("currency")
        if not (isinstance(currency, str) and _CURRENCY.fullmatch(currency)):
            yield _reject("money-has-currency", f"{path}.currency", "the amount has no ISO 4217 currency")


def net_is_product(inside: Inside) -> Iterator[Finding]:
    """net = quantity x unitPrice x factor on every line and detail, to the cent."""
    for path, line in _lines(inside.claim, "item", "detail", "subDetail"):
        net, product = _amount(line.get("net")), _product(line)
        if net is not None and product is not None and abs(net - product) > _HALF_A_CENT:
            yield _reject("net-is-product", f"{path}.net", "net is not quantity x unit price x factor")


def total_is_sum(inside: Inside) -> Iterator[Finding]:
    """total = the sum of the lines' net amounts, all in one currency. A line without net counts with its product."""
    total = _amount(inside.claim.get("total"))
    items = [item for _, item in _entries(inside.claim, "item")]
    if total is None or not items:
        return
    amounts = [_net_or_product(item) for item in items]
    if total != sum(amounts, Decimal(0)):
        yield _reject("total-is-sum", "Claim.total", "total is not the sum of the lines' net amounts")
    holders = [_dict(inside.claim.get("total")), *(_dict(item.get("net")) for item in items)]
    if len({h["currency"] for h in holders if isinstance(h.get("currency"), str)}) > 1:
        yield _reject("total-is-sum", "Claim.total.currency", "total and lines are in more than one currency")


def icd_has_dot(inside: Inside) -> Iterator[Finding]:
    """ICD-10-CM codes are written with their dot."""
    for path, value in inside.members:
        if isinstance(value, dict) and value.get("system") == System.ICD10CM:
            code = value.get("code")
            if isinstance(code, str) and not _DOTTED.fullmatch(code):
                yield _reject("icd-dot", f"{path}.code", "the code is not written as in ICD-10-CM")


STRUCTURE_CHECKS: tuple[Callable[[Inside], Iterator[Finding]], ...] = (
    required_elements,
    required_bindings,
    numbers_are_numbers,
    empty_values,
    unique_sequences,
    one_focal_insurance,
    pointers_exist,
    references_resolve,
    money_has_currency,
    net_is_product,
    total_is_sum,
    icd_has_dot,
)
"""Every structure check, in the order shown to the coder."""


# --- reading JSON of any quality --------------------------------------------------------------------


def _reject(edit: str, path: str, text: str) -> Finding:
    return Finding(edit, Severity.REJECT, path, text, STRUCTURE_ADVICE[edit])


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _sequences(claim: Json, part: str) -> set[int]:
    return {entry["sequence"] for _, entry in _entries(claim, part) if _is_int(entry.get("sequence"))}


def _is_there(holder: Json, name: str) -> bool:
    """`diagnosis[x]` is there where any of its types is; an empty value is not there."""
    if name.endswith("[x]"):
        stem = name[:-3]
        return any(key.startswith(stem) and value not in (None, "", [], {}) for key, value in holder.items())
    return holder.get(name) not in (None, "", [], {})


def _entries(holder: Json, part: str, base: str = "Claim") -> Iterator[tuple[str, Json]]:
    """The objects of one list with their paths."""
    for position, entry in enumerate(_list(holder.get(part))):
        if isinstance(entry, dict):
            yield f"{base}.{part}[{position}]", entry


def _lines(claim: Json, *levels: str) -> Iterator[tuple[str, Json]]:
    """Items, details and subdetails with their paths, those of `levels` only."""
    for item_path, item in _entries(claim, "item"):
        if "item" in levels:
            yield item_path, item
        for detail_path, detail in _entries(item, "detail", item_path):
            if "detail" in levels:
                yield detail_path, detail
            if "subDetail" in levels:
                yield from _entries(detail, "subDetail", detail_path)


def _monies(claim: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(claim.get("total"), dict):
        yield "Claim.total", claim["total"]
    for path, line in _lines(claim, "item", "detail", "subDetail"):
        for name in ("unitPrice", "net"):
            if isinstance(line.get(name), dict):
                yield f"{path}.{name}", line[name]


def _quantities(claim: Json) -> Iterator[tuple[str, Json]]:
    for path, line in _lines(claim, "item", "detail", "subDetail"):
        if isinstance(line.get("quantity"), dict):
            yield f"{path}.quantity", line["quantity"]


def _number(value: Any) -> Decimal | None:
    """A JSON number as Decimal; floats by their shortest text. Numbers no payer means (1e999) count as none."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() and abs(number.adjusted()) < 18 else None


def _amount(money: Any) -> Decimal | None:
    return _number(_dict(money).get("value"))


def _product(line: Json) -> Decimal | None:
    """quantity x unitPrice x factor, None without a unit price. Quantity and factor are 1 where not said."""
    price = _amount(line.get("unitPrice"))
    quantity = _amount(line["quantity"]) if "quantity" in line else Decimal(1)
    factor = _number(line["factor"]) if "factor" in line else Decimal(1)
    return None if price is None or quantity is None or factor is None else quantity * price * factor


def _net_or_product(line: Json) -> Decimal:
    net = _amount(line.get("net"))
    return net if net is not None else _product(line) or Decimal(0)


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every member of a resource with its path, depth first; a loop, so that no depth of nesting ends it."""
    pending = list(_members(value, path))[::-1]
    while pending:
        here, current = pending.pop()
        yield here, current
        pending += list(_members(current, here))[::-1]


def _members(holder: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The members of one object or list.

    A null in a list is no member where the list has a twin for extensions (`given` and `_given`, R4 2.6.2.3).
    """
    if isinstance(holder, list):
        yield from ((f"{path}[{i}]", value) for i, value in enumerate(holder))
    elif isinstance(holder, dict):
        for key, value in holder.items():
            twin = key[1:] if key.startswith("_") else f"_{key}"
            if isinstance(value, list) and twin in holder:
                yield from ((f"{path}.{key}[{i}]", v) for i, v in enumerate(value) if v is not None)
            else:
                yield f"{path}.{key}", value
