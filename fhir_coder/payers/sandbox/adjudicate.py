"""How the sandbox decides: simple published rules, and the ClaimResponse (FHIR R4 13.2) that tells the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from fhir_coder.model import Json
from fhir_coder.payers.adjudication import read_claim_response
from fhir_coder.payers.answer import codes, member, objects, text
from fhir_coder.payers.review import extension, review_of
from fhir_coder.payers.sandbox.rules import Rules

REASONS = "urn:fhir-coder:sandbox:reason"
"""The system of the sandbox's denial reasons: the keys of `REASON_TEXT`."""

REASON_TEXT = {
    "member-unknown": "The member is not known.",
    "coverage-inactive": "The coverage is not active.",
    "duplicate": "The service is on another claim already.",
    "not-covered": "The service is not covered.",
    "authorization-missing": "The service needs an authorization.",
    "authorization-unknown": "There is no such authorization.",
}
"""Why a line is denied."""

_CATEGORY = "http://terminology.hl7.org/CodeSystem/adjudication"
_PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/ex-paymenttype"
_CENT = Decimal("0.01")
_NOTHING = Decimal("0.00")


@dataclass(frozen=True, slots=True)
class TakenClaim:
    """A claim the sandbox has taken: its resource, its id here, and what its references lead to.

    `billed` are the services that stand on other claims already, as `services_of` names them.
    """

    claim: Json
    id: str
    resources: Mapping[str, Json]
    billed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Line:
    sequence: int
    net: Decimal
    allowed: Decimal
    paid: Decimal
    reason: str


def decided(taken: TakenClaim, rules: Rules, at: datetime) -> Json:
    """The ClaimResponse with the decision on a claim."""
    response = _response(taken, at)
    if is_void(taken.claim):
        return response | {"outcome": "complete", "disposition": "The claim is cancelled."}
    lines = [_decide(line, taken, rules) for line in objects(taken.claim, "item")]
    currency = _currency(taken.claim)
    paid, submitted = _sum(line.paid for line in lines), _sum(line.net for line in lines)
    eligible = _sum(line.allowed for line in lines)
    is_whole = not any(line.reason for line in lines)
    return response | {
        "outcome": "complete",
        "disposition": _disposition(lines),
        "item": [_item(line, currency) for line in lines],
        "total": [
            {"category": _category(name), "amount": {"value": amount, "currency": currency}}
            for name, amount in (("submitted", submitted), ("eligible", eligible), ("benefit", paid))
        ],
        "payment": {
            "type": {"coding": [{"system": _PAYMENT_TYPE, "code": "complete" if is_whole else "partial"}]},
            "amount": {"value": paid, "currency": currency},
        },
    }


def frequency(claim: Json) -> str:
    """The last character of a claim's type of bill, empty where it has none."""
    codings = [c for info in objects(claim, "supportingInfo") for c in objects(member(info, "code"), "coding")]
    return next((text(c, "code")[-1:] for c in codings if text(c, "system").endswith("/TypeOfBill")), "")


def is_void(claim: Json) -> bool:
    """Whether a claim takes back another, or itself."""
    # A PAS request stays active: its certification type (X12 1322) says that it is cancelled.
    certification = codes(extension(claim, "certificationType").get("valueCodeableConcept"))
    return text(claim, "status") == "cancelled" or frequency(claim) == "8" or "3" in certification


def queued(response: Json) -> Json:
    """The same response before the decision is made."""
    open_part = {k: v for k, v in response.items() if k not in ("item", "total", "payment")}
    return open_part | {"outcome": "queued", "disposition": "The claim waits for its decision."}


DECISIONS = ("queued", "paid", "part-paid", "certified", "part-certified", "denied", "cancelled")
"""Every decision, as `decision_of` words it."""


def decision_of(response: Json) -> str:
    """The decision in one word, one of `DECISIONS`."""
    if response["outcome"] == "queued":
        return "queued"
    reviews = {review_of(item).code for item in objects(response, "item")} - {""}
    if reviews:
        return _REVIEWED.get(reviews.pop(), "queued") if len(reviews) == 1 else "part-certified"
    if "payment" not in response:
        return "cancelled"
    if response["payment"]["amount"]["value"] > 0:
        return "paid" if codes(response["payment"]["type"]) == ["complete"] else "part-paid"
    return "denied"


_REVIEWED = {"A1": "certified", "A3": "denied", "A4": "queued", "C": "cancelled"}


def _response(taken: TakenClaim, at: datetime) -> Json:
    claim = taken.claim
    response = {
        "resourceType": "ClaimResponse",
        "id": f"{taken.id}-response",
        "status": "active",
        "type": claim["type"],
        "use": claim["use"],
        "patient": _party(claim, "patient", taken.resources),
        "created": at.isoformat(timespec="seconds"),
        "insurer": _party(claim, "insurer", taken.resources) or {"display": "Sandbox payer"},
        "requestor": _party(claim, "provider", taken.resources),
        "request": {
            "reference": f"Claim/{taken.id}",
            "identifier": {k: v for k, v in claim["identifier"][0].items() if k in ("system", "value")},
        },
    }
    return response | {"insurance": [_insurance(claim, taken.resources)]}


def _insurance(claim: Json, resources: Mapping[str, Json]) -> Json:
    focal = _focal(claim)
    member_id = _subscriber(claim, resources)
    coverage: Json = {"type": "Coverage", "identifier": {"value": member_id}} if member_id else {"type": "Coverage"}
    return {"sequence": focal["sequence"], "focal": True, "coverage": coverage}


def _focal(claim: Json) -> Json:
    return next(entry for entry in objects(claim, "insurance") if entry["focal"] is True)


def _party(claim: Json, name: str, resources: Mapping[str, Json]) -> Json:
    """A reference by identifier: what is contained in the claim has no address outside of it."""
    resource = target(member(claim, name), resources)
    identifier = identifier_of(member(claim, name), resources)
    found: Json = {"type": resource["resourceType"]} if "resourceType" in resource else {}
    return found | ({"identifier": identifier} if identifier else {})


def target(reference: Json, resources: Mapping[str, Json]) -> Json:
    """The resource a reference leads to, empty where it is not among those sent along."""
    return resources.get(text(reference, "reference"), {})


def identifier_of(reference: Json, resources: Mapping[str, Json]) -> Json:
    """The first identifier with a value of what a reference leads to, or of the reference itself; empty for none.

    A role without one is known by its practitioner, else by its organization.
    """
    resource = target(reference, resources)
    known = [*objects(resource, "identifier"), member(reference, "identifier")]
    if resource.get("resourceType") == "PractitionerRole":
        behind = (target(member(resource, name), resources) for name in ("practitioner", "organization"))
        known += [i for one in behind for i in objects(one, "identifier")]
    return next((i for i in known if text(i, "value")), {})


def _decide(line: Json, taken: TakenClaim, rules: Rules) -> _Line:
    net = Decimal(member(line, "net").get("value", 0))
    reason = denial_reason(line, taken, rules)
    if reason:
        return _Line(line["sequence"], net, _NOTHING, _NOTHING, reason)
    allowed = min(net, _fee(line, rules, net))
    left = max(net - _paid_before(line["sequence"], taken), Decimal(0))
    paid = min(max(allowed, Decimal(0)) * rules.paid_percent / 100, left)
    return _Line(line["sequence"], net, allowed, paid.quantize(_CENT, ROUND_HALF_UP), "")


def _fee(line: Json, rules: Rules, otherwise: Decimal) -> Decimal:
    """What the fee schedule allows for a line."""
    fees = [rules.fees[code] for code in codes(line.get("productOrService")) if code in rules.fees]
    quantity = Decimal(member(line, "quantity").get("value", 1))
    return (fees[0] * quantity).quantize(_CENT, ROUND_HALF_UP) if fees else otherwise


def _paid_before(sequence: int, taken: TakenClaim) -> Decimal:
    """What the payers before have paid of a line, by their decisions on the claim."""
    named = [member(one, "claimResponse") for one in objects(taken.claim, "insurance") if "claimResponse" in one]
    answers = [target(one, taken.resources) for one in named]
    lines = [n for answer in answers for n in read_claim_response(answer).lines if n.sequence == sequence]
    return _sum(line.paid.value for line in lines if line.paid)


def denial_reason(line: Json, taken: TakenClaim, rules: Rules) -> str:
    """Why a line is denied, empty where it is not."""
    found = set(codes(line.get("productOrService")))
    is_covered = not found & rules.denied_codes and (not rules.covered_codes or found & rules.covered_codes)
    reasons = (
        _member_reason(line, taken, rules),
        "duplicate" if rules.deny_duplicates and _service(line, taken.claim, taken.resources) in taken.billed else "",
        "" if is_covered else "not-covered",
        _authorization_reason(taken, rules) if found & rules.authorization_codes else "",
    )
    return next(filter(None, reasons), "")


def _member_reason(line: Json, taken: TakenClaim, rules: Rules) -> str:
    name = _subscriber(taken.claim, taken.resources)
    if rules.members and name not in rules.members:
        return "member-unknown"
    day = _day(line, taken.claim)
    is_outside = name in rules.members and day is not None and not rules.members[name].is_covered(day)
    return "coverage-inactive" if is_outside or name.startswith(rules.inactive_prefix) else ""


def _authorization_reason(taken: TakenClaim, rules: Rules) -> str:
    said = _focal(taken.claim).get("preAuthRef")
    numbers = {number for number in said if isinstance(number, str)} if isinstance(said, list) else set()
    if not numbers:
        return "authorization-missing"
    is_known = not rules.authorization_numbers or rules.authorization_numbers & numbers
    return "" if is_known else "authorization-unknown"


def services_of(claim: Json, resources: Mapping[str, Json]) -> frozenset[str]:
    """What a claim bills, to tell duplicates by: member, service, modifiers and day of each line."""
    return frozenset(_service(line, claim, resources) for line in objects(claim, "item"))


def _service(line: Json, claim: Json, resources: Mapping[str, Json]) -> str:
    modifiers = sorted(code for modifier in objects(line, "modifier") for code in codes(modifier))
    day = _day(line, claim)
    parts = (_subscriber(claim, resources), str(day or ""), *codes(line.get("productOrService"))[:1], *modifiers)
    return "|".join(parts)


def _subscriber(claim: Json, resources: Mapping[str, Json]) -> str:
    return text(target(_focal(claim)["coverage"], resources), "subscriberId")


def _day(line: Json, claim: Json) -> date | None:
    """The first day of a line's service, None where nothing says it to the day."""
    said = (
        text(line, "servicedDate"),
        text(member(line, "servicedPeriod"), "start"),
        text(member(claim, "billablePeriod"), "start"),
        text(claim, "created"),
    )
    first = next(filter(None, said), "")
    try:
        return date.fromisoformat(first[:10])
    except ValueError:
        return None


def _disposition(lines: Sequence[_Line]) -> str:
    denied = sum(bool(line.reason) for line in lines)
    return f"{len(lines) - denied} of {len(lines)} lines are accepted."


def _item(line: _Line, currency: str) -> Json:
    benefit: Json = {"category": _category("benefit"), "amount": {"value": line.paid, "currency": currency}}
    if line.reason:
        coding = {"system": REASONS, "code": line.reason}
        benefit["reason"] = {"coding": [coding], "text": REASON_TEXT[line.reason]}
    plain = (("submitted", line.net), ("eligible", line.allowed))
    amounts = [{"category": _category(n), "amount": {"value": v, "currency": currency}} for n, v in plain]
    return {"itemSequence": line.sequence, "adjudication": [*amounts, benefit]}


def _category(code: str) -> Json:
    return {"coding": [{"system": _CATEGORY, "code": code}]}


def _currency(claim: Json) -> str:
    amounts = [member(claim, "total"), *(member(line, "net") for line in objects(claim, "item"))]
    return next((text(a, "currency") for a in amounts if text(a, "currency")), "USD")


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
