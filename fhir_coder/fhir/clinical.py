"""Condition, Procedure and Immunization: what was found and done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_coder.fhir.datatypes import codes, concept, concepts, when
from fhir_coder.fhir.directory import care_team_member
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reading import Reading
from fhir_coder.model import CareTeamMember, Concept, DiagnosisFact, FiledFact, ImmunizationFact, ProcedureFact, When

_TAKEN_BACK = frozenset({"refuted", "entered-in-error"})
_NOT_SURE = frozenset({"provisional", "differential", "unconfirmed"})
_NOT_YET = frozenset({"preparation", "in-progress", "on-hold"})


def condition_facts(reading: Reading) -> Iterator[FiledFact]:
    """A diagnosis under its visit and under its own topic, where other visits and procedures that name it find it."""
    element = reading.element
    patient = reading.ref(element, "subject", "Patient")
    key = reading.visit_key(patient, reading.ref(element, "encounter", "Encounter"))
    verification = set(codes(element.child("verificationStatus")))
    removed = bool(verification & _TAKEN_BACK)
    if element.is_modified():
        return
    said = _concept(element, "code", needed=not removed)
    if said is None:
        return
    fact = DiagnosisFact(
        reading.origin(),
        reading.own_topic,
        said,
        kind="working" if verification & _NOT_SURE else "",
        recorded=when(element, "recordedDate", reading.rules) or when(element, "onsetDateTime", reading.rules),
        removed=removed,
    )
    if key:
        yield from reading.file(fact, key, [reading.named(patient)])
    yield from reading.file(fact, "")


def procedure_facts(reading: Reading) -> Iterator[FiledFact]:
    """What was done. One that has not ended is no fact yet; of a stopped one a person says what may be billed."""
    element = reading.element
    patient = reading.ref(element, "subject", "Patient")
    key = reading.visit_key(patient, reading.ref(element, "encounter", "Encounter"))
    status = element.text("status")
    removed = status in ("not-done", "entered-in-error")
    if status != "completed" and not removed:
        _note_open_status(element, status)
        return
    said = _concept(element, "code", needed=not removed)
    if said is None:
        return
    reasons = tuple(r for r in (_reason(reading, part) for part in element.children("reasonReference")) if r)
    fact = ProcedureFact(
        reading.origin(),
        reading.own_topic,
        said,
        performed=occurred(reading, "performed") or occurred(reading, "occurrence"),
        care_team=performers(reading),
        reasons=reasons,
        reason_concepts=concepts(element.children("reasonCode")),
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
    removed = status in ("not-done", "entered-in-error") or element.flag("primarySource") is False
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
        given=when(element, "occurrenceDateTime", reading.rules),
        lot=element.text("lotNumber"),
        care_team=performers(reading, {"AP": "rendering", "OP": "ordering"}),
        removed=removed,
    )
    yield from reading.file(fact, key, [reading.named(patient), *team_refs(fact.care_team)])


def occurred(reading: Reading, name: str) -> When | None:
    """The start of an `x[x]` that is a dateTime or a Period (`performedDateTime`, `occurrencePeriod` ...)."""
    period = reading.element.child(f"{name}Period")
    return when(reading.element, f"{name}DateTime", reading.rules) or when(period, "start", reading.rules)


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


def _reason(reading: Reading, reference: Element) -> str:
    """The identity of the diagnosis a Procedure names as its reason; Observations and reports are no diagnoses."""
    ref = reading.resolve(reference, "Condition")
    return reading.named(ref) if reading.resources.type_of(ref) == "Condition" else ""


def _concept(element: Element, name: str, *, needed: bool) -> Concept | None:
    """The concept at `name`; a resource that is taken back may have lost it."""
    said = concept(element.child(name))
    if said is None and needed:
        element.note_missing(name)
        return None
    return said or Concept()


def _unknown_modifier(element: Element) -> str:
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
