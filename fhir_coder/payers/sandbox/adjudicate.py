"""How the sandbox decides: simple published rules, and the ClaimResponse (FHIR R4 13.2) that tells the decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from fhir_coder.model import Json
from fhir_coder.payers.adjudication import read_claim_response
from fhir_coder.payers.answer import codes, member, objects, text

RULES_TEXT = """\
The sandbox payer's rules, in their order:

1. A claim with a fault of structure is refused (422).
2. A claim identifier it has already: 409, or the claim it has where If-None-Exist asks so.
3. A claim with a prior related claim replaces that claim, or with frequency 5 of its type of bill adds to it; a prior
   claim it does not have is a refusal.
4. A cancelled claim, or one of frequency 8, is taken and nothing is paid; a prior related claim is voided by it. To
   void or replace a claim that is voided already is a refusal.
5. A subscriber id that begins with INACTIVE: every line is denied (coverage-inactive).
6. A line whose code is on the denied list is denied (not-covered).
7. Every other line is paid at 80 % of its net amount, rounded half up to the cent, and never more than is left of it
   after what the payers before have paid (their ClaimResponses on the claim).
8. With a pend time the answer is queued first, and decided when that time is over.
"""

REASONS = "urn:fhir-coder:sandbox:reason"
"""The system of the sandbox's denial reasons: coverage-inactive, not-covered."""

_REASON_TEXT = {
    "coverage-inactive": "The coverage is not active.",
    "not-covered": "The service is not covered.",
}
_CATEGORY = "http://terminology.hl7.org/CodeSystem/adjudication"
_PAYMENT_TYPE = "http://terminology.hl7.org/CodeSystem/ex-paymenttype"
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Rules:
    """What can be set of the rules. `denied_codes` are service codes; a claim stays queued for `pend_seconds`."""

    paid_percent: Decimal = Decimal(80)
    denied_codes: frozenset[str] = frozenset()
    inactive_prefix: str = "INACTIVE"
    pend_seconds: float = 0.0


PUBLISHED_RULES = Rules()
"""The rules as `RULES_TEXT` tells them."""


@dataclass(frozen=True, slots=True)
class TakenClaim:
    """A claim the sandbox has taken: its resource, its id here, and what its references lead to."""

    claim: Json
    id: str
    resources: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class _Line:
    sequence: int
    net: Decimal
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
    eligible = _sum(line.net for line in lines if not line.reason)
    return response | {
        "outcome": "complete",
        "disposition": _disposition(lines),
        "item": [_item(line, currency) for line in lines],
        "total": [
            {"category": _category(name), "amount": {"value": amount, "currency": currency}}
            for name, amount in (("submitted", submitted), ("eligible", eligible), ("benefit", paid))
        ],
        "payment": {
            "type": {"coding": [{"system": _PAYMENT_TYPE, "code": "complete" if eligible == submitted else "partial"}]},
            "amount": {"value": paid, "currency": currency},
        },
    }


def frequency(claim: Json) -> str:
    """The last character of a claim's type of bill, empty where it has none."""
    codings = [c for info in objects(claim, "supportingInfo") for c in objects(member(info, "code"), "coding")]
    return next((text(c, "code")[-1:] for c in codings if text(c, "system").endswith("/TypeOfBill")), "")


def is_void(claim: Json) -> bool:
    """Whether a claim takes back another, or itself."""
    return text(claim, "status") == "cancelled" or frequency(claim) == "8"


def queued(response: Json) -> Json:
    """The same response before the decision is made."""
    open_part = {k: v for k, v in response.items() if k not in ("item", "total", "payment")}
    return open_part | {"outcome": "queued", "disposition": "The claim waits for its decision."}


def decision_of(response: Json) -> str:
    """The decision in one word: queued, cancelled, paid, part-paid or denied."""
    if response["outcome"] == "queued":
        return "queued"
    if "payment" not in response:
        return "cancelled"
    if response["payment"]["amount"]["value"] > 0:
        return "paid" if codes(response["payment"]["type"]) == ["complete"] else "part-paid"
    return "denied"


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
    member_id = text(target(focal["coverage"], resources), "subscriberId")
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
    """The first identifier with a value of what a reference leads to, or of the reference itself; empty for none."""
    known = [*objects(target(reference, resources), "identifier"), member(reference, "identifier")]
    return next((i for i in known if text(i, "value")), {})


def _decide(line: Json, taken: TakenClaim, rules: Rules) -> _Line:
    net = Decimal(member(line, "net").get("value", 0))
    reason = _reason(line, taken, rules)
    left = max(net - _paid_before(line["sequence"], taken), Decimal(0))
    paid = Decimal(0) if reason else min(max(net, Decimal(0)) * rules.paid_percent / 100, left)
    return _Line(line["sequence"], net, paid.quantize(_CENT, ROUND_HALF_UP), reason)


def _paid_before(sequence: int, taken: TakenClaim) -> Decimal:
    """What the payers before have paid of a line, by their decisions on the claim."""
    answers = [target(member(i, "claimResponse"), taken.resources) for i in objects(taken.claim, "insurance")]
    lines = [n for answer in answers for n in read_claim_response(answer).lines if n.sequence == sequence]
    return _sum(line.paid.value for line in lines if line.paid)


def _reason(line: Json, taken: TakenClaim, rules: Rules) -> str:
    """Why a line is denied, empty where it is not."""
    coverage = target(_focal(taken.claim)["coverage"], taken.resources)
    if text(coverage, "subscriberId").startswith(rules.inactive_prefix):
        return "coverage-inactive"
    return "not-covered" if rules.denied_codes.intersection(codes(line.get("productOrService"))) else ""


def _disposition(lines: Sequence[_Line]) -> str:
    denied = sum(bool(line.reason) for line in lines)
    return f"{len(lines) - denied} of {len(lines)} lines are accepted."


def _item(line: _Line, currency: str) -> Json:
    eligible = Decimal(0) if line.reason else line.net
    benefit: Json = {"category": _category("benefit"), "amount": {"value": line.paid, "currency": currency}}
    if line.reason:
        coding = {"system": REASONS, "code": line.reason}
        benefit["reason"] = {"coding": [coding], "text": _REASON_TEXT[line.reason]}
    plain = (("submitted", line.net), ("eligible", eligible))
    amounts = [{"category": _category(n), "amount": {"value": v, "currency": currency}} for n, v in plain]
    return {"itemSequence": line.sequence, "adjudication": [*amounts, benefit]}


def _category(code: str) -> Json:
    return {"coding": [{"system": _CATEGORY, "code": code}]}


def _currency(claim: Json) -> str:
    amounts = [member(claim, "total"), *(member(line, "net") for line in objects(claim, "item"))]
    return next((text(a, "currency") for a in amounts if text(a, "currency")), "USD")


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))
