"""Account: what visits are billed to. Its number, the order of benefits, who answers for the bill."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.fhir.datatypes import codes, concept, human_name, identifier, identifiers, postal_address
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.fhir.versions import concepts_at, references_at
from fhir_coder.model import AccountFact, DiagnosisUse, FiledFact, GuarantorFact

_PRINCIPAL = "principal"


def account_facts(reading: Reading) -> Iterator[FiledFact]:
    """An account under its own topic, which its visits name, and under its patient's; its guarantor beside it."""
    element = reading.element
    if element.is_modified():
        return
    subjects = (reading.resolve(subject, "Patient") for subject in element.listed("subject"))
    patients = [reading.named(ref) for ref in subjects if reading.resources.type_of(ref) == "Patient"]
    fact = AccountFact(
        reading.origin(),
        reading.own_topic,
        number=next(iter(identifiers(element)), None),
        coverage_order=tuple(_coverage_order(reading)),
        diagnosis_uses=tuple(_diagnosis_uses(reading)),
        removed=element.text("status") == "entered-in-error",
    )
    yield reading.under(reading.own_topic, fact)
    for patient in dict.fromkeys(patients):
        yield reading.under(patient, fact, (reading.own_topic,))
    if guarantor := _guarantor(reading):
        yield reading.under(reading.own_topic, guarantor)


def _coverage_order(reading: Reading) -> Iterator[tuple[str, int]]:
    for part in reading.element.parts("coverage"):
        ref, priority = reading.ref(part, "coverage", "Coverage"), part.position("priority")
        if ref and priority:
            yield reading.named(ref), priority


def _diagnosis_uses(reading: Reading) -> Iterator[DiagnosisUse]:
    """R5: the order in which Conditions are billed; one told only by a code is on no visit, so a person files it."""
    for part in reading.element.parts("diagnosis"):
        types = [code for kind in part.listed("type") for code in codes(kind)]
        use = "DD" if _PRINCIPAL in types else next(iter(types), "")
        present = {True: "Y", False: "N", None: ""}[part.flag("onAdmission")]
        for reference in references_at(part, "condition"):
            if ref := reading.resolve(reference, "Condition"):
                yield DiagnosisUse(reading.named(ref), use, part.position("sequence"), present)
        _note_code(part, "condition")
    for part in reading.element.parts("procedure"):
        _note_code(part, "code")


def _note_code(part: Element, name: str) -> None:
    if any(concept(said) for said in concepts_at(part, name)):
        part.note(name, "account_code", "a code on an account names no visit: a person decides where it is billed")


def _guarantor(reading: Reading) -> GuarantorFact | None:
    """The first guarantor whose part is not on hold, as far as its resource or the reference tells who it is."""
    for part in reading.element.parts("guarantor"):
        party = part.child("party")
        if party is None or part.flag("onHold"):
            continue
        found = reading.resources.by_ref.get(reading.resolve(party, "Patient"))
        if found is None:
            logical = party.child("identifier")
            known = identifier(logical) if logical else None
            return GuarantorFact(reading.origin(part), reading.part_identity(part), (known,)) if known else None
        person = Element(found.json, found.path, [])
        is_company = found.type == "Organization"  # its name is a text
        name, address = None if is_company else human_name(person), postal_address(person)
        return GuarantorFact(reading.origin(part), reading.part_identity(part), identifiers(person), name, address)
    return None
