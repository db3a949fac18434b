"""Condition, Procedure and Immunization: what was found and done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_coder.fhir.datatypes import codes, coding, concept, concepts, when
from fhir_coder.fhir.directory import care_team_member
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.fhir.versions import concepts_at, references_at
from fhir_coder.model import (
    CareTeamMember,
    Coding,
    Concept,
    DiagnosisFact,
    FiledFact,
    ImmunizationFact,
    ProcedureFact,
    System,
    When,
)

_TAKEN_BACK = frozenset({"refuted", "entered-in-error"})
_NOT_SURE = frozenset({"provisional", "differential", "unconfirmed"})
_NOT_YET = frozenset({"preparation", "in-progress", "on-hold"})
_NOT_DONE = frozenset({"not-done", "entered-in-error"}) | _NOT_YET
_MODIFIER_SYSTEMS = frozenset({System.HCPCS, System.CPT})
# What the International Patient Summary says where there is nothing to say: `no-known-problems` and its like.
_ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"


def condition_facts(reading: Reading) -> Iterator[FiledFact]:
    """A diagnosis under its visit and under its own topic, where other visits and procedures that name it find it."""
    element = reading.element
    patient = reading.ref(element, "subject", "Patient")
    key = reading.visit_key(patient, reading.ref(element, "encounter", "Encounter"))
    verification = set(codes(element.child("verificationStatus")))
    removed = bool(verification & _TAKEN_BACK) or _says_there_is_none(element, "code")
    is_suspected = bool(verification & _NOT_SURE)
    if element.is_modified():
        return
    said = _concept(element, "code", needed=not removed)
    if said is None:
        return
    fact = DiagnosisFact(
        reading.origin(),
        reading.own_topic,
        said,
        kind="working" if is_suspected else "",
        recorded=when(element, "recordedDate", reading.rules) or when(element, "onsetDateTime", reading.rules),
        removed=removed,
        is_suspected=is_suspected,
        laterality=_laterality(element),
    )
    if key:
        yield from reading.file(fact, key, [reading.named(patient)])
    yield from reading.file(fact, "")


_SIDES = {"7771000": "left", "24028007": "right", "51440002": "bilateral"}
"""The qualifiers of a side (SNOMED CT). A body structure that has its side within is not taken apart."""


def _laterality(element: Element) -> str:
    """The side that bodySite names by a qualifier, empty where it names none or two."""
    if "bodySite" not in element.json:
        return ""
    sites = [coding(part) for site in element.listed("bodySite") for part in site.children("coding")]
    sides = {_SIDES[one.code] for one in sites if one and one.system == System.SNOMED and one.code in _SIDES}
    return sides.pop() if len(sides) == 1 else ""


def procedure_facts(reading: Reading) -> Iterator[FiledFact]:
    """What was done. One that has not ended is not there yet; of a stopped one a person says what may be billed."""
    element = reading.element
    patient = reading.ref(element, "subject", "Patient")
    key = reading.visit_key(patient, reading.ref(element, "encounter", "Encounter"))
    status = element.text("status")
    removed = status in _NOT_DONE or _says_there_is_none(element, "code")
    if status != "completed" and not removed:
        _note_open_status(element, status)
        return
    said = _concept(element, "code", needed=not removed)
    if said is None:
        return
    if not removed:
        _note_what_a_person_decides(element)
    reasons = _reasons(reading)
    fact = ProcedureFact(
        reading.origin(),
        reading.own_topic,
        said,
        performed=occurred(reading, "performed") or occurred(reading, "occurrence"),
        modifiers=modifiers_at(element, "bodySite"),
        care_team=performers(reading),
        reasons=reasons,
        reason_concepts=concepts(concepts_at(element, "reasonCode", "reason")),
        unknown_modifier=_unknown_modifier(element),
        removed=removed,
    )
    yield from reading.file(fact, key, [reading.named(patient), *team_refs(fact.care_team), *reasons])


def immunization_facts(reading: Reading) -> Iterator[FiledFact]:
    """A vaccination given here; one that is only reported (primarySource false) was given, and billed, elsewhere."""
    element = reading.element
    patient = reading.ref(element, "patient", "Patient")
    key = reading.visit_key(patient, reading.ref(element, "encounter", "Encounter"))
    status = element.text("status")
    removed = status in _NOT_DONE or element.flag("primarySource") is False
    removed = removed or _says_there_is_none(element, "vaccineCode")
    if status != "completed" and not removed:
        _note_open_status(element, status)
        return
    if element.is_modified():
        return
    said = _concept(element, "vaccineCode", needed=not removed)
    if said is None:
        return
    fact = ImmunizationFact(
        reading.origin(),
        reading.own_topic,
        said,
        given=occurred(reading, "occurrence"),
        lot=element.text("lotNumber"),
        care_team=performers(reading, {"AP": "rendering", "OP": "ordering"}),
        removed=removed,
        reasons=_reasons(reading),
        reason_concepts=concepts(concepts_at(element, "reasonCode", "reason")),
    )
    yield from reading.file(fact, key, [reading.named(patient), *team_refs(fact.care_team), *fact.reasons])


def occurred(reading: Reading, name: str) -> When | None:
    """When something was: an `x[x]` that is a dateTime, a Period (its start) or a Timing (its first event).

    One told in words or by an age is noted: it may have been anywhere at any time.
    """
    element = reading.element
    if f"{name}DateTime" in element.json:
        return when(element, f"{name}DateTime", reading.rules)
    if f"{name}Period" in element.json:
        return when(element.child(f"{name}Period"), "start", reading.rules)
    timing = element.child(f"{name}Timing")
    if timing and (events := timing.texts("event")):
        return when(Element({"event": events[0]}, timing.path, timing.flaws), "event", reading.rules)
    for kind in ("String", "Age", "Range"):
        if element.json.get(f"{name}{kind}"):
            element.note(f"{name}{kind}", "no_date", "when it was is not told by a date: a person dates it")
    return None


def performers(reading: Reading, roles: dict[str, str] | None = None) -> tuple[CareTeamMember, ...]:
    """Who did it. `roles` translates performer.function; a function it does not know counts as rendering."""
    team = []
    for part in reading.element.parts("performer"):
        functions = codes(part.child("function")) if roles else ()
        role = next((roles[f] for f in functions if f in roles), "rendering") if roles else "rendering"
        if member := care_team_member(reading, part.child("actor"), role):
            team.append(member)
    return tuple(team)


def team_refs(team: Iterable[CareTeamMember]) -> list[str]:
    """The topics of a care team."""
    return [member.ref for member in team if member.ref]


def modifiers_at(element: Element, name: str) -> tuple[Coding, ...]:
    """The billing modifiers (LT, RT, E1 ...) among the codings of a body site; no other site is translated to one."""
    if name not in element.json:
        return ()
    sites = [coding(part) for site in element.listed(name) for part in site.children("coding")]
    return tuple(s for s in sites if s and s.system in _MODIFIER_SYSTEMS and len(s.code) == 2)


def conditions_at(reading: Reading, *names: str) -> tuple[str, ...]:
    """The identities of the Conditions referred to; Observations, Procedures and reports are no diagnoses."""
    refs = (reading.resolve(reference, "Condition") for reference in references_at(reading.element, *names))
    return tuple(reading.named(ref) for ref in refs if reading.resources.type_of(ref) == "Condition")


def _reasons(reading: Reading) -> tuple[str, ...]:
    return conditions_at(reading, "reasonReference", "reason")


def _says_there_is_none(element: Element, name: str) -> bool:
    said = element.json.get(name)
    codings = said.get("coding") if isinstance(said, dict) else None
    return isinstance(codings, list) and any(isinstance(c, dict) and c.get("system") == _ABSENT for c in codings)


def _note_what_a_person_decides(element: Element) -> None:
    if element.json.get("reportedBoolean") or element.json.get("reportedReference"):
        element.note("reported", "procedure_reported", "it is only reported: a person says whether it was done here")
    if "complication" in element.json and concepts(concepts_at(element, "complication")):
        element.note("complication", "procedure_complication", "a complication is coded by a person")


def _concept(element: Element, name: str, *, needed: bool) -> Concept | None:
    """The concept at `name`; a resource that is taken back may have lost it."""
    said = concept(element.child(name))
    if said is None and needed:
        element.note_missing(name)
        return None
    return said or Concept()


def _unknown_modifier(element: Element) -> str:
    """What changes the meaning of a Procedure: the modifier's or the rules' address, empty where nothing does."""
    if rules := element.json.get("implicitRules"):
        return rules if isinstance(rules, str) else "unnamed"
    if not element.json.get("modifierExtension"):
        return ""
    urls = (part.text("url") for part in element.children("modifierExtension"))
    return next((url for url in urls if url), "unnamed")


def _note_open_status(element: Element, status: str) -> None:
    if not status:
        element.note_missing("status")
    elif status == "stopped":
        element.note("status", "procedure_stopped", "it was stopped before its end: a person decides what is billed")
    elif status not in _NOT_YET:
        element.note("status", "unknown_status", "the status does not tell whether this was done")
