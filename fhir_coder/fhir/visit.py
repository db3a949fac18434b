"""Encounter: the visit itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_coder.fhir.datatypes import billing_code, codes, coding, concept, concepts, identifier, identifiers, when
from fhir_coder.fhir.directory import care_team_member, organization_named_by
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.fhir.versions import concepts_at, references_at
from fhir_coder.model import (
    CancelFact,
    CareTeamMember,
    Coding,
    DiagnosisFact,
    DiagnosisUse,
    FiledFact,
    Identifier,
    Organization,
    PlaceFact,
    System,
    VisitFact,
    When,
)

# EncounterStatus of R4, and the words R5 put in their place.
_STATUSES = {
    "planned": "planned",
    "arrived": "in-progress",
    "triaged": "in-progress",
    "in-progress": "in-progress",
    "onleave": "in-progress",
    "on-hold": "in-progress",
    "discharged": "in-progress",
    "finished": "finished",
    "completed": "finished",
    "cancelled": "cancelled",
    "entered-in-error": "entered-in-error",
    "discontinued": "",
    "unknown": "",
}
# R5 puts EncounterDiagnosisUse in the place of R4's diagnosis-role.
_USES = {"final": "DD"}
_KIND_OF_USE = {"AD": "admitting", "DD": "final", "working": "working"}
# v3-ParticipationType; other types (translator, emergency contact, escort ...) are not on a bill.
_ROLES = {"ATND": "attending", "PPRF": "rendering", "ADM": "admitting", "REF": "referring", "CON": "consulting"}
# v3-ActPriority to the NUBC's priority of admission, which a bill wants; others have no certain counterpart.
_ADMISSION_TYPES = {"EM": "1", "UR": "2", "EL": "3"}


def encounter_facts(reading: Reading) -> Iterator[FiledFact]:
    """The visit, what it was for, and its cancellation where the Encounter is cancelled or entered in error."""
    element = reading.element
    element.is_modified()
    patient = reading.ref(element, "subject", "Patient")
    if not patient:
        element.note_missing("subject")
    key = reading.visit_key(patient, reading.located.ref)
    visit = _visit(reading, reading.named(patient))
    pointed = [
        visit.patient_ref,
        visit.facility_ref,
        *visit.account_refs,
        *(m.ref for m in visit.care_team),
        *(u.ref for u in visit.diagnosis_uses),
    ]
    yield from reading.file(visit, key, pointed)
    yield reading.under(reading.own_topic, PlaceFact(reading.origin(), key))
    if visit.status in ("cancelled", "entered-in-error"):
        yield reading.under(key, CancelFact(reading.origin(), "visit"))
    for fact in _diagnoses_by_code(reading):
        yield reading.under(key, fact)
    _note_what_a_person_decides(reading)


def _diagnoses_by_code(reading: Reading) -> Iterator[DiagnosisFact]:
    """What the Encounter itself says by a code, with no Condition: its reasons, and in R5 its diagnoses."""
    element = reading.element
    for part in element.parts("diagnosis"):
        kind = _KIND_OF_USE.get(_use(part), "")
        for said in concepts_at(part, "condition"):
            yield from _diagnosis_by_code(reading, said, kind)
    reasons = concepts_at(element, "reasonCode")
    reasons += [said for part in _reasons(element) for said in concepts_at(part, "value")]
    for said in reasons:
        yield from _diagnosis_by_code(reading, said, "reason")


def _diagnosis_by_code(reading: Reading, said: Element, kind: str) -> Iterator[DiagnosisFact]:
    found = concept(said)
    if found:
        yield DiagnosisFact(reading.origin(said), reading.part_identity(said), found, kind)


def _reasons(element: Element) -> list[Element]:
    """The R5 backbone `reason`, empty in R4."""
    return element.parts("reason") if "reason" in element.json else []


def _note_what_a_person_decides(reading: Reading) -> None:
    element = reading.element
    if element.text("status") == "discontinued":
        element.note("status", "encounter_discontinued", "it was broken off: a person decides what is billed")
    if element.child("partOf"):
        element.note("partOf", "part_of_encounter", "it is part of another encounter: a person decides whose bill")


def _visit(reading: Reading, patient: str) -> VisitFact:
    element = reading.element
    stay = element.child("hospitalization") or element.child("admission")
    stay = None if stay is None or stay.is_modified() else stay
    start, end = _period(reading)
    status = _status(element)
    facility, facility_ref = _facility(reading)
    account, account_refs = _accounts(reading)
    return VisitFact(
        reading.origin(),
        number=_number(element),
        account=account,
        patient_ref=patient,
        class_code=_class_code(element),
        status=status,
        types=concepts(element.children("type")),
        start=start,
        end=end,
        admission_type=_admission_type(element),
        admit_source=billing_code(stay.child("admitSource")) if stay else "",
        discharge_disposition=billing_code(stay.child("dischargeDisposition")) if stay else "",
        location=_location(reading),
        facility=facility,
        facility_ref=facility_ref,
        care_team=tuple(_care_team(reading)),
        diagnosis_uses=tuple(_diagnosis_uses(reading)),
        billable=True if status == "finished" else None,
        account_refs=account_refs,
    )


def _status(element: Element) -> str:
    said = element.text("status")
    if not said:
        element.note_missing("status")
    elif said not in _STATUSES:
        element.note("status", "unknown_code", "this is no status of an Encounter")
    return _STATUSES.get(said, "")


def _class_code(element: Element) -> str:
    """The class: a Coding, in R5 CodeableConcepts, of which one of v3-ActCode counts before others."""
    said = [c for part in element.listed("class") for c in _codings(part)]
    return next((c.code for c in said if c.system == System.ACT), said[0].code if said else "")


def _codings(part: Element) -> Iterable[Coding]:
    parts = part.children("coding") if "coding" in part.json else [part]
    return (c for c in map(coding, parts) if c)


def _period(reading: Reading) -> tuple[When | None, When | None]:
    period = reading.element.child("period") or reading.element.child("actualPeriod")
    return when(period, "start", reading.rules), when(period, "end", reading.rules)


def _number(element: Element) -> Identifier | None:
    found = identifiers(element)
    return next((i for i in found if i.type == "VN"), found[0] if found else None)


def _accounts(reading: Reading) -> tuple[Identifier | None, tuple[str, ...]]:
    """The account's number where the reference says it, and the topics of the accounts, which say it otherwise."""
    references = reading.element.children("account")
    known = next((i for i in map(_number_in, references) if i), None)
    refs = (reading.named(reading.resolve(reference, "Account")) for reference in references)
    return known, tuple(dict.fromkeys(ref for ref in refs if ref))


def _number_in(reference: Element) -> Identifier | None:
    logical = reference.child("identifier")
    return identifier(logical) if logical else None


def _admission_type(element: Element) -> str:
    priority = concept(element.child("priority")) if isinstance(element.json.get("priority"), dict) else None
    for said in priority.codings if priority else ():
        if "nubc" in said.system.lower() or said.code in _ADMISSION_TYPES:
            return _ADMISSION_TYPES.get(said.code, said.code)
    return ""


def _location(reading: Reading) -> str:
    places = reading.element.parts("location")
    now = next((p for p in places if p.text("status") == "active"), places[-1] if places else None)
    reference = now.child("location") if now else None
    if reference is None:
        return ""
    resource = reading.resources.by_ref.get(reading.resolve(reference, "Location"))
    name = Element(resource.json, resource.path, []).text("name") if resource else ""
    return name or reference.text("display")


def _facility(reading: Reading) -> tuple[Organization | None, str]:
    reference = reading.element.child("serviceProvider")
    ref = reading.resolve(reference, "Organization") if reference else ""
    named = None if ref in reading.resources.by_ref else organization_named_by(reference, by_display=not ref)
    return named, reading.named(ref)


def _care_team(reading: Reading) -> Iterator[CareTeamMember]:
    for participant in reading.element.parts("participant"):
        person = participant.child("individual") or participant.child("actor")
        types = [code for kind in participant.children("type") for code in codes(kind)]
        for role in [_ROLES[t] for t in types if t in _ROLES] if types else ["rendering"]:
            if member := care_team_member(reading, person, role):
                yield member


def _diagnosis_uses(reading: Reading) -> tuple[DiagnosisUse, ...]:
    """Encounter.diagnosis, then the Conditions that are its reasons and are not among them."""
    element = reading.element
    uses: dict[str, DiagnosisUse] = {}
    for diagnosis in element.parts("diagnosis"):
        use, rank = _use(diagnosis), diagnosis.position("rank")
        for reference in references_at(diagnosis, "condition"):
            if ref := _condition(reading, reference):
                uses.setdefault(f"{ref} {use}", DiagnosisUse(ref, use, rank))
    listed = {use.ref for use in uses.values()}
    reasons = references_at(element, "reasonReference")
    reasons += [reference for part in _reasons(element) for reference in references_at(part, "value")]
    refs = dict.fromkeys(_condition(reading, reference) for reference in reasons)
    return (*uses.values(), *(DiagnosisUse(ref, "reason") for ref in refs if ref and ref not in listed))


def _use(diagnosis: Element) -> str:
    said = next((code for part in diagnosis.listed("use") for code in codes(part)), "")
    return _USES.get(said, said)


def _condition(reading: Reading, reference: Element) -> str:
    """The topic of the Condition a reference leads to; Procedures and Observations are no diagnoses."""
    ref = reading.resolve(reference, "Condition")
    return reading.named(ref) if reading.resources.type_of(ref) == "Condition" else ""
