"""Encounter: the visit itself."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.fhir.datatypes import billing_code, codes, coding, concept, concepts, identifier, identifiers, when
from fhir_coder.fhir.directory import care_team_member, organization_named_by
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.model import (
    CancelFact,
    CareTeamMember,
    DiagnosisFact,
    DiagnosisUse,
    FiledFact,
    Identifier,
    Organization,
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
    "unknown": "",
}
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
        *(m.ref for m in visit.care_team),
        *(u.ref for u in visit.diagnosis_uses),
    ]
    yield from reading.file(visit, key, pointed)
    if visit.status in ("cancelled", "entered-in-error"):
        yield FiledFact(key, CancelFact(reading.origin(), "visit"))
    for index, reason in enumerate(element.children("reasonCode")):
        said = concept(reason)
        if said:
            yield FiledFact(
                key, DiagnosisFact(reading.origin(reason), f"{reading.own_topic}.reasonCode[{index}]", said, "reason")
            )


def _visit(reading: Reading, patient: str) -> VisitFact:
    element = reading.element
    stay = element.child("hospitalization") or element.child("admission")
    stay = None if stay is None or stay.is_modified() else stay
    start, end = _period(reading)
    status = _status(element)
    facility, facility_ref = _facility(reading)
    return VisitFact(
        reading.origin(),
        number=_number(element),
        account=_account(reading),
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
    )


def _status(element: Element) -> str:
    said = element.text("status")
    if not said:
        element.note_missing("status")
    elif said not in _STATUSES:
        element.note("status", "unknown_code", "this is no status of an Encounter")
    return _STATUSES.get(said, "")


def _class_code(element: Element) -> str:
    if not isinstance(element.json.get("class"), list):
        one = element.child("class")
        found = coding(one) if one else None
        return found.code if found else ""
    return next((code for part in element.children("class") for code in codes(part)), "")  # R5


def _period(reading: Reading) -> tuple[When | None, When | None]:
    period = reading.element.child("period") or reading.element.child("actualPeriod")
    return when(period, "start", reading.rules), when(period, "end", reading.rules)


def _number(element: Element) -> Identifier | None:
    found = identifiers(element)
    return next((i for i in found if i.type == "VN"), found[0] if found else None)


def _account(reading: Reading) -> Identifier | None:
    """The account's number, where its Account came along or is named by its number."""
    for reference in reading.element.children("account"):
        logical = reference.child("identifier")
        if known := identifier(logical) if logical else None:
            return known
        account = reading.resources.by_ref.get(reading.resolve(reference, "Account"))
        if account and (found := identifiers(Element(account.json, account.path, []))):
            return found[0]
    return None


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
    """Encounter.diagnosis, then the Conditions of reasonReference that are not among them."""
    uses: dict[str, DiagnosisUse] = {}
    for diagnosis in reading.element.parts("diagnosis"):
        if ref := _condition(reading, diagnosis.child("condition")):
            use = next(iter(codes(diagnosis.child("use"))), "")
            uses.setdefault(f"{ref} {use}", DiagnosisUse(ref, use, diagnosis.position("rank")))
    listed = {use.ref for use in uses.values()}
    reasons = [_condition(reading, reason) for reason in reading.element.children("reasonReference")]
    return (
        *uses.values(),
        *(DiagnosisUse(ref, "reason") for ref in dict.fromkeys(reasons) if ref and ref not in listed),
    )


def _condition(reading: Reading, reference: Element | None) -> str:
    ref = reading.resolve(reference, "Condition") if reference else ""
    return reading.named(ref) if reading.resources.type_of(ref) == "Condition" else ""
