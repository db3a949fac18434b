"""Patient, Practitioner, PractitionerRole, Organization and Location: what many visits share."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.fhir.datatypes import (
    coding,
    human_name,
    identifier,
    identifiers,
    phone,
    postal_address,
    when,
)
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.fhir.references import conditional, identifier_pairs
from fhir_coder.model import (
    CareTeamMember,
    DirectoryFact,
    FiledFact,
    MergeFact,
    Name,
    Organization,
    PatientFact,
    Practitioner,
)

# A topic is shown and logged; no one refers to a patient by these, so they need not stand in one.
_PRIVATE_IDENTIFIERS = frozenset({"SS", "SB", "DL", "PPN", "CZ", "NI"})
_TAXONOMY = "nucc.org/provider-taxonomy"


def patient_facts(reading: Reading) -> Iterator[FiledFact]:
    """A Patient under its own topic and under those of the business identifiers it may be referred to by."""
    element = reading.element
    element.is_modified()
    found = identifiers(element)
    fact = PatientFact(
        reading.origin(),
        found,
        human_name(element),
        when(element, "birthDate", reading.rules),
        element.text("gender"),
        postal_address(element),
        phone(element),
    )
    yield reading.under(reading.own_topic, fact)
    yield from _merges(reading)
    for known in found:
        if known.type not in _PRIVATE_IDENTIFIERS and not known.system.endswith("us-ssn"):
            alias = reading.named(conditional("Patient", known.system, known.value))
            yield reading.under(alias, fact, (reading.own_topic,))


def _merges(reading: Reading) -> Iterator[FiledFact]:
    """Patient.link: of two records of one person, the one to use is the one that replaces or is not replaced.

    `refer` and `seealso` leave both records in use.
    """
    for part in reading.element.parts("link"):
        kind, other = part.text("type"), reading.named(reading.ref(part, "other", "Patient"))
        if kind in ("replaced-by", "replaces") and other and other != reading.own_topic:
            pair = (reading.own_topic, other) if kind == "replaced-by" else (other, reading.own_topic)
            yield reading.under(pair[0], MergeFact(reading.origin(part), *pair), (pair[1],))


def practitioner_facts(reading: Reading) -> Iterator[FiledFact]:
    """A Practitioner, with the first NUCC taxonomy among the qualifications."""
    element = reading.element
    element.is_modified()
    codes = (q.child("code") for q in element.parts("qualification"))
    taxonomy = next((t for t in map(_taxonomy, codes) if t), "")
    person = Practitioner(human_name(element), identifiers(element), taxonomy)
    yield from _listed(reading, DirectoryFact(reading.origin(), practitioner=person))


def practitioner_role_facts(reading: Reading) -> Iterator[FiledFact]:
    """A PractitionerRole: the person and organization it joins, and its first specialty that is a NUCC taxonomy."""
    element = reading.element
    element.is_modified()
    taxonomy = next((t for t in map(_taxonomy, element.children("specialty")) if t), "")
    person = practitioner_named_by(element.child("practitioner"))
    fact = DirectoryFact(
        reading.origin(),
        practitioner=Practitioner(person.name, person.identifiers, taxonomy)
        if person
        else Practitioner(taxonomy=taxonomy),
        practitioner_ref=reading.named(reading.ref(element, "practitioner", "Practitioner")),
        organization_ref=reading.named(reading.ref(element, "organization", "Organization")),
    )
    yield from _listed(reading, fact, fact.practitioner_ref, fact.organization_ref)


def organization_facts(reading: Reading) -> Iterator[FiledFact]:
    """An Organization."""
    element = reading.element
    element.is_modified()
    company = organization(element)
    yield from _listed(reading, DirectoryFact(reading.origin(), organization=company))


def location_facts(reading: Reading) -> Iterator[FiledFact]:
    """A Location by its name, with the organization that runs it."""
    element = reading.element
    element.is_modified()
    owner = reading.named(reading.ref(element, "managingOrganization", "Organization"))
    fact = DirectoryFact(reading.origin(), location=element.text("name"), organization_ref=owner)
    yield from _listed(reading, fact, owner)


def _listed(reading: Reading, fact: DirectoryFact, *refs: str) -> Iterator[FiledFact]:
    """The fact under its own topic and under the conditional references that lead to it."""
    pointed = tuple(r for r in refs if r)
    yield reading.under(reading.own_topic, fact, pointed)
    for system, value in identifier_pairs(Element(reading.element.json, reading.element.path, [])):
        yield reading.under(reading.named(conditional(reading.located.type, system, value)), fact, pointed)


def organization(element: Element) -> Organization:
    """An Organization resource as a value."""
    return Organization(element.text("name"), identifiers(element), postal_address(element))


def organization_named_by(reference: Element | None, *, by_display: bool = True) -> Organization | None:
    """What a Reference itself says about an organization: a business identifier and, if asked for, its display."""
    logical = reference.child("identifier") if reference else None
    known = identifier(logical) if logical else None
    display = reference.text("display") if reference and (by_display or known) else ""
    return Organization(display, (known,) if known else ()) if display or known else None


def practitioner_named_by(reference: Element | None) -> Practitioner | None:
    """What a Reference itself says about a person: a business identifier, or the display where it leads nowhere."""
    if reference is None:
        return None
    logical = reference.child("identifier")
    known = identifier(logical) if logical else None
    display = reference.text("display") if known or not reference.json.get("reference") else ""
    name = Name(family=display) if display else None
    return Practitioner(name, (known,) if known else ()) if name or known else None


def care_team_member(reading: Reading, reference: Element | None, role: str) -> CareTeamMember | None:
    """Who a Reference makes part of the care team in that role; None for relatives, devices and organizations."""
    if reference is None:
        return None
    ref = reading.resolve(reference, "Practitioner")
    if ref and reading.resources.type_of(ref) not in ("Practitioner", "PractitionerRole"):
        return None
    # A person whose resource came along is filled in by the chart; a bare identifier is all that may ever be known.
    named = None if ref in reading.resources.by_ref else practitioner_named_by(reference)
    return CareTeamMember(role, named, reading.named(ref)) if ref or named else None


def _taxonomy(concept: Element | None) -> str:
    codings = [c for c in map(coding, concept.children("coding")) if c] if concept else []
    return next((c.code for c in codings if _TAXONOMY in c.system), "")
