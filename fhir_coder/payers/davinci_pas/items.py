"""The services of a preauthorization: Claim.item with what the X12 278 asks of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fhir_coder.claims.changes import CHANGED, IS_CANCELLED
from fhir_coder.claims.elements import without_empty
from fhir_coder.model import Identifier, Json, PasRules
from fhir_coder.payers.answer import codes, objects, text
from fhir_coder.payers.davinci_pas.codes import (
    CANCEL,
    CERTIFICATION,
    INITIAL,
    REQUEST_TYPE,
    REVISED,
    SERVICE_TYPE,
    UNIT,
    UNIT_NAME,
    UNITS,
    concept,
    extension,
)

_BILL = "https://www.nubc.org/CodeSystem/TypeOfBill"


def item_of(item: Json, claim: Json, rules: PasRules, identifier: Identifier, team: Collection[int]) -> Json:
    """One line as PAS has it; `team` are the members of the care team that are about single services."""
    certification = _certification(item, claim)
    kind = rules.kind_of_service(codes(item.get("productOrService")))
    trace = {"system": identifier.system, "value": f"{identifier.value}-{item['sequence']}"}
    extensions = [
        extension("itemTraceNumber", valueIdentifier=trace),
        extension("serviceItemRequestType", valueCodeableConcept=concept(REQUEST_TYPE, rules.request_type)),
        extension("certificationType", valueCodeableConcept=concept(CERTIFICATION, certification)),
    ]
    made = {
        "extension": extensions + _change(item, certification),
        "modifierExtension": [_cancelled()] if certification == CANCEL and claim.get("related") else None,
        **{k: v for k, v in item.items() if k not in ("extension", "modifierExtension", "informationSequence")},
        "careTeamSequence": [s for s in item.get("careTeamSequence", ()) if s in team],
        "category": concept(SERVICE_TYPE, kind) if kind else None,
        "locationCodeableConcept": _location(item, claim),
        "quantity": _quantity(item),
    }
    return _ordered(without_empty(made))


def _certification(item: Json, claim: Json) -> str:
    if text(claim, "status") == "cancelled" or IS_CANCELLED in _urls(item, "modifierExtension"):
        return CANCEL
    change = next((text(e, "valueCode") for e in objects(item, "extension") if text(e, "url") == CHANGED), "")
    return REVISED if change == "changed" else INITIAL


def _change(item: Json, certification: str) -> list[Json]:
    told = [e for e in objects(item, "extension") if text(e, "url") == CHANGED]
    return [{"url": CHANGED, "valueCode": "changed"}] if certification == CANCEL else told


def _cancelled() -> Json:
    return {"url": IS_CANCELLED, "valueBoolean": True}


def _urls(holder: Json, name: str) -> set[str]:
    return {text(e, "url") for e in objects(holder, name)}


def _location(item: Json, claim: Json) -> Json | None:
    """The place of service of a professional line; the type of bill of an institutional one."""
    bills = [c for info in objects(claim, "supportingInfo") for c in objects(info.get("code"), "coding")]
    bill = next((text(c, "code") for c in bills if text(c, "system") == _BILL), "")
    if bill and "institutional" in codes(claim.get("type")):
        return concept(_BILL, bill)
    place: Json | None = item.get("locationCodeableConcept")
    return place


def _quantity(item: Json) -> Json | None:
    quantity: Json | None = item.get("quantity")
    if quantity is None or "code" in quantity or "unit" in quantity:
        return quantity
    return quantity | {"unit": UNIT_NAME, "system": UNITS, "code": UNIT}


_ORDER: Mapping[str, int] = {
    name: place
    for place, name in enumerate(
        (
            *("extension", "modifierExtension", "sequence", "careTeamSequence", "diagnosisSequence"),
            *("procedureSequence", "revenue", "category", "productOrService", "modifier", "programCode"),
            *("servicedDate", "servicedPeriod", "locationCodeableConcept", "quantity", "unitPrice", "factor", "net"),
        )
    )
}


def _ordered(item: Json) -> Json:
    return dict(sorted(item.items(), key=lambda member: _ORDER.get(member[0], len(_ORDER))))
