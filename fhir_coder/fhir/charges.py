"""ChargeItem: a service with the wish that it be billed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from fhir_coder.fhir.clinical import conditions_at, modifiers_at, occurred, performers, team_refs
from fhir_coder.fhir.datatypes import concept, concepts, money
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.fhir.versions import concepts_at, references_at
from fhir_coder.model import ChargeFact, Concept, FiledFact, Money, System

_TAKEN_BACK = frozenset({"planned", "not-billable", "aborted", "entered-in-error"})
# `billed` is no removal: it is also what a charge becomes once our own claim went out.
_BILLED = "billed"
_UCUM = "http://unitsofmeasure.org"


def charge_item_facts(reading: Reading) -> Iterator[FiledFact]:
    """A charge that may be billed, or the word that it may not."""
    element = reading.element
    patient = reading.ref(element, "subject", "Patient")
    context = reading.ref(element, "context", "Encounter") or reading.ref(element, "encounter", "Encounter")
    key = reading.visit_key(patient, context)
    status = element.text("status")
    removed = status in _TAKEN_BACK
    if status != "billable" and not removed:
        _note_open_status(element, status)
        return
    if element.is_modified():
        return
    said = concept(element.child("code"))
    if said is None and not removed:
        element.note_missing("code")
        return
    if not key and not removed:
        element.note("context", "no_encounter", "a charge names no encounter: it is on no chart")
    fact = _charge(reading, said or Concept(), removed=removed)
    yield from reading.file(fact, key, [reading.named(patient), *team_refs(fact.care_team), *fact.diagnosis_refs])


def _charge(reading: Reading, said: Concept, *, removed: bool) -> ChargeFact:
    element = reading.element
    quantity = element.child("quantity")
    count = quantity.number("value") if quantity else None
    unit = quantity.text("code") if quantity and quantity.text("system") == _UCUM else ""
    return ChargeFact(
        reading.origin(),
        reading.own_topic,
        said,
        service_date=occurred(reading, "occurrence"),
        quantity=Decimal(1) if count is None else count,
        unit_amount=_price(reading, "unitPriceComponent"),
        amount=_amount(reading),
        modifiers=modifiers_at(element, "bodysite"),
        diagnoses=concepts(concepts_at(element, "reason")),
        diagnosis_refs=conditions_at(reading, "supportingInformation", "reason"),
        care_team=performers(reading),
        ndc=_ndc(element),
        service_refs=_services(reading),
        removed=removed,
        unit=unit,
    )


def _amount(reading: Reading) -> Money | None:
    """priceOverride: by its definition in R4 the *total* price of the charge, not that of one unit; in R5 its total.

    A factorOverride alone changes a list price that we do not have: a person has to set the price.
    """
    element = reading.element
    total = money(element.child("priceOverride"), reading.rules) or _price(reading, "totalPriceComponent")
    factor = element.number("factorOverride")
    if total is None and factor not in (None, 1):
        element.note(
            "factorOverride", "factor_without_price", "a factor changes a list price that is not in the message"
        )
    return total


def _price(reading: Reading, name: str) -> Money | None:
    """The amount of an R5 MonetaryComponent. A discount, a tax or a factor alone is no price: a person sets it."""
    component = reading.element.child(name)
    if component is None:
        return None
    if component.text("type") not in ("base", ""):
        component.note("type", "no_base_price", "this is not the price itself but something added or taken off")
        return None
    amount = money(component.child("amount"), reading.rules)
    if amount is None and component.number("factor") is not None:
        component.note("factor", "factor_without_price", "a factor changes a list price that is not in the message")
    return amount


def _services(reading: Reading) -> tuple[str, ...]:
    """The identities of what was done for the charge."""
    refs = (reading.resolve(reference, "Procedure") for reference in references_at(reading.element, "service"))
    return tuple(reading.named(ref) for ref in refs if ref)


def _ndc(element: Element) -> str:
    products = concepts(concepts_at(element, "productCodeableConcept", "product"))
    return next((c.code for product in products for c in product.codings if c.system == System.NDC), "")


def _note_open_status(element: Element, status: str) -> None:
    if not status:
        element.note_missing("status")
    elif status != _BILLED:
        element.note("status", "unknown_status", "the status does not tell whether this may be billed")
