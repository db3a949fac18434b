"""Coverage, and the Coverage that Synthea puts nowhere but inside an ExplanationOfBenefit: who pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fhir_coder.fhir.datatypes import codes, concept, human_name, identifiers, when
from fhir_coder.fhir.directory import organization, organization_named_by
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.model import CoverageFact, FiledFact, Name, Organization

_NOT_IN_FORCE = frozenset({"cancelled", "entered-in-error", "draft"})
_SELF_PAY = "http://terminology.hl7.org/CodeSystem/coverage-selfpay"


def coverage_facts(reading: Reading) -> Iterator[FiledFact]:
    """A coverage under its beneficiary's topic, so that all visits of the patient have it."""
    element = reading.element
    beneficiary = reading.named(reading.ref(element, "beneficiary", "Patient"))
    if not beneficiary:
        element.note_missing("beneficiary")
    reading.topic = beneficiary or reading.own_topic
    if element.is_modified():
        return
    fact = CoverageFact(reading.origin(), reading.own_topic, removed=True)
    if element.text("status") not in _NOT_IN_FORCE:
        fact = _without_insurer(reading, fact) if _is_self_pay(element) else _coverage(reading)
    yield from reading.file(fact, beneficiary, [fact.payer_ref])


def _is_self_pay(element: Element) -> bool:
    """Whether the patient pays: R5 says so by `kind`, R4 by a type."""
    said = concept(element.child("type"))
    return element.text("kind") == "self-pay" or any(c.system == _SELF_PAY for c in (said.codings if said else ()))


def _without_insurer(reading: Reading, taken_back: CoverageFact) -> CoverageFact:
    """No insurance. A patient who pays may have forbidden that an insurer hears of it (45 CFR 164.522(a)(1)(vi))."""
    reading.element.note("", "self_pay", "the patient pays: a person decides whether an insurer is billed")
    return taken_back


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
    if not patient or inner.element.text("status") in _NOT_IN_FORCE or inner.element.is_modified():
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
        yield reading.under(topic, fact, tuple(r for r in (reading.named(patient), fact.payer_ref) if r and r != topic))


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
        order=element.position("order") or 1,
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
    )


def _kind(element: Element) -> str:
    said = concept(element.child("type"))
    return (said.codings[0].code if said.codings else said.text) if said else ""


def _payer(reading: Reading) -> tuple[Organization | None, str]:
    """The payer and its topic. What came along is filled in here too: payers are chosen by its name and identifiers."""
    element = reading.element
    references = element.listed("insurer") or element.listed("payor")  # R5, R4
    references = references or [p for part in element.parts("paymentBy") for p in part.listed("party")]
    reference = references[0] if references else None
    if reference is None:
        element.note_missing("payor")
        return None, ""
    ref = reading.resolve(reference, "Organization")
    resource = reading.resources.by_ref.get(ref)
    if resource is None or resource.type != "Organization":
        return organization_named_by(reference), reading.named(ref)
    return organization(Element(resource.json, resource.path, [])), reading.named(ref)


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
    """subscriberId, in R5 Identifiers; else the member number, which US Core writes as an identifier (type MB)."""
    if isinstance(element.json.get("subscriberId"), list):
        said = next((value for value in map(_value, element.children("subscriberId")) if value), "")
    else:
        said = element.text("subscriberId")
    return said or next((i.value for i in identifiers(element) if i.type == "MB"), "")


def _subscriber(reading: Reading) -> Name | None:
    ref = reading.ref(reading.element, "subscriber", "Patient")
    person = reading.resources.by_ref.get(ref)
    return human_name(Element(person.json, person.path, [])) if person else None
