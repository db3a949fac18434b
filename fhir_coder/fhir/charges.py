"""ChargeItem: a service with the wish that it be billed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from fhir_coder.fhir.clinical import occurred, performers, team_refs
from fhir_coder.fhir.datatypes import concept, concepts, money, when
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.model import ChargeFact, Concept, FiledFact, Money, System, When

_TAKEN_BACK = frozenset({"not-billable", "aborted", "entered-in-error"})
# `billed` is no removal: it is also what a charge becomes once our own claim went out.
_NOT_NOW = frozenset({"planned", "billed"})


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
    supporting = element.children("supportingInformation")
    return ChargeFact(
        reading.origin(),
        reading.own_topic,
        said,
        service_date=_service_date(reading),
        quantity=Decimal(1) if count is None else count,
        amount=_amount(reading),
        diagnoses=concepts(element.children("reason")),
        diagnosis_refs=_refs_to(reading, supporting, "Condition"),
        care_team=performers(reading),
        ndc=_ndc(element),
        service_refs=_refs_to(reading, element.children("service"), ""),
        removed=removed,
    )


def _amount(reading: Reading) -> Money | None:
    """priceOverride: by its definition in R4 the *total* price of the charge, not that of one unit.

    A factorOverride alone changes a list price that we do not have: a person has to set the price.
    """
    element = reading.element
    total = money(element.child("priceOverride"), reading.rules)
    factor = element.number("factorOverride")
    if total is None and factor not in (None, 1):
        element.note(
            "factorOverride", "factor_without_price", "a factor changes a list price that is not in the message"
        )
    return total


def _service_date(reading: Reading) -> When | None:
    timing = reading.element.child("occurrenceTiming")
    events = timing.texts("event") if timing else ()
    first = Element({"event": events[0]}, timing.path, timing.flaws) if timing and events else None
    return occurred(reading, "occurrence") or when(first, "event", reading.rules)


def _refs_to(reading: Reading, references: list[Element], only: str) -> tuple[str, ...]:
    """The identities of what is referred to, of one type or of any."""
    refs = (reading.resolve(reference, only or "Procedure") for reference in references)
    return tuple(reading.named(ref) for ref in refs if ref and only in ("", reading.resources.type_of(ref)))


def _ndc(element: Element) -> str:
    product = concept(element.child("productCodeableConcept"))
    return next((c.code for c in product.codings if c.system == System.NDC), "") if product else ""


def _note_open_status(element: Element, status: str) -> None:
    if not status:
        element.note_missing("status")
    elif status not in _NOT_NOW:
        element.note("status", "unknown_status", "the status does not tell whether this may be billed")
