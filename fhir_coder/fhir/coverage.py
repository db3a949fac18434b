"""Coverage, and the Coverage that Synthea puts nowhere but inside an ExplanationOfBenefit: who pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fhir_coder.fhir.datatypes import codes, concept, human_name, when
from fhir_coder.fhir.directory import organization, organization_named_by
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.model import CoverageFact, FiledFact, Name, Organization

_TAKEN_BACK = frozenset({"cancelled", "entered-in-error"})


def coverage_facts(reading: Reading) -> Iterator[FiledFact]:
    """A coverage under its beneficiary's topic, so that all visits of the patient have it."""
    element = reading.element
    beneficiary = reading.named(reading.ref(element, "beneficiary", "Patient"))
    if not beneficiary:
        element.note_missing("beneficiary")
    reading.topic = beneficiary or reading.own_topic
    if element.text("status") == "draft" or element.is_modified():
        return
    fact = _coverage(reading)
    yield from reading.file(fact, beneficiary, [fact.payer_ref])


def explanation_facts(reading: Reading) -> Iterator[FiledFact]:
    """The contained Coverage of an ExplanationOfBenefit, for the visits its items name, else for the patient.

    Only where the message has no Coverage of its own (FIELD: Synthea). The rest of the resource is a payer's answer to
    somebody else's claim and no fact for ours.
    """
    element = reading.element
    if element.text("status") not in ("active", "") or reading.resources.of_type("Coverage"):
        return
    for part in element.children("contained"):
        if part.json.get("resourceType") == "Coverage":
            yield from _explained(reading, replace(reading, element=part))


def _explained(reading: Reading, inner: Reading) -> Iterator[FiledFact]:
    element = reading.element
    patient = reading.ref(element, "patient", "Patient") or inner.ref(inner.element, "beneficiary", "Patient")
    if not patient or inner.element.text("status") == "draft" or inner.element.is_modified():
        return
    fact = _coverage(inner)
    # Every visit has an ExplanationOfBenefit with a copy of the same coverage: what it says is its identity.
    fact = replace(
        fact, identity=f"{inner.named(patient)}/Coverage?{fact.kind}|{_payer_name(fact)}|{fact.subscriber_id}"
    )
    encounters = [e for item in element.parts("item") for e in item.children("encounter")]
    keys = dict.fromkeys(reading.visit_key(patient, reading.resolve(e, "Encounter")) for e in encounters)
    for topic in [key for key in keys if key] or [reading.named(patient)]:
        reading.topic = topic
        yield FiledFact(topic, fact, tuple(r for r in (reading.named(patient), fact.payer_ref) if r and r != topic))


def _payer_name(fact: CoverageFact) -> str:
    named = fact.payer or Organization()
    return named.name or next((i.value for i in named.identifiers), fact.payer_ref)


def _coverage(reading: Reading) -> CoverageFact:
    element = reading.element
    period = element.child("period")
    payer, payer_ref = _payer(reading)
    return CoverageFact(
        reading.origin(),
        reading.own_topic,
        order=_order(reading),
        plan=_class_value(element, "plan"),
        payer=payer,
        payer_ref=payer_ref,
        subscriber_id=_subscriber_id(element),
        group=_class_value(element, "group"),
        relationship=next(iter(codes(element.child("relationship"))), ""),
        subscriber=_subscriber(reading),
        start=when(period, "start", reading.rules),
        end=when(period, "end", reading.rules),
        kind=_kind(element),
        removed=element.text("status") in _TAKEN_BACK,
    )


def _kind(element: Element) -> str:
    said = concept(element.child("type"))
    return (said.codings[0].code if said.codings else said.text) if said else ""


def _payer(reading: Reading) -> tuple[Organization | None, str]:
    """The payer and its topic. What came along is filled in here too: payers are chosen by its name and identifiers."""
    element = reading.element
    references = [element.child("insurer")] if "insurer" in element.json else element.children("payor")  # R5, R4
    reference = references[0] if references else None
    if reference is None:
        element.note_missing("payor")
        return None, ""
    ref = reading.resolve(reference, "Organization")
    resource = reading.resources.by_ref.get(ref)
    if resource is None or resource.type != "Organization":
        return organization_named_by(reference), reading.named(ref)
    return organization(Element(resource.json, resource.path, [])), reading.named(ref)


def _order(reading: Reading) -> int:
    """The place in the order of benefits: an Account's of the same message before the Coverage's own, else first."""
    own = reading.located.ref
    for account in reading.resources.of_type("Account"):
        element = Element(account.json, account.path, [])
        for part in element.children("coverage"):
            reference = part.child("coverage")
            priority = part.position("priority")
            if reference and priority and reading.resources.resolve(reference, "Coverage", account.ref) == own:
                return priority
    return reading.element.position("order") or 1


def _class_value(element: Element, kind: str) -> str:
    if not isinstance(element.json.get("class"), list):
        return ""
    matching = (part for part in element.parts("class") if kind in codes(part.child("type")))
    return next((value for value in map(_value, matching) if value), "")


def _value(part: Element) -> str:
    if isinstance(part.json.get("value"), dict):  # R5: an Identifier
        inner = part.child("value")
        return inner.text("value") if inner else ""
    return part.text("value")


def _subscriber_id(element: Element) -> str:
    if isinstance(element.json.get("subscriberId"), list):  # R5: Identifiers
        return next((value for value in map(_value, element.children("subscriberId")) if value), "")
    return element.text("subscriberId")


def _subscriber(reading: Reading) -> Name | None:
    ref = reading.ref(reading.element, "subscriber", "Patient")
    person = reading.resources.by_ref.get(ref)
    return human_name(Element(person.json, person.path, [])) if person else None
