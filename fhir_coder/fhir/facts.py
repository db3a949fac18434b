"""One FHIR message, a resource or a Bundle, to everything it says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from fhir_coder.fhir.account import account_facts
from fhir_coder.fhir.charges import charge_item_facts
from fhir_coder.fhir.clinical import condition_facts, immunization_facts, procedure_facts
from fhir_coder.fhir.coverage import coverage_facts, explanation_facts
from fhir_coder.fhir.datatypes import read_when
from fhir_coder.fhir.directory import (
    location_facts,
    organization_facts,
    patient_facts,
    practitioner_facts,
    practitioner_role_facts,
)
from fhir_coder.fhir.elements import Element, Flaw
from fhir_coder.fhir.reader import load
from fhir_coder.fhir.reading import Reading
from fhir_coder.fhir.references import Located, Resources, locate
from fhir_coder.fhir.rules import FhirRules
from fhir_coder.fhir.visit import encounter_facts
from fhir_coder.model import (
    AccountFact,
    CancelFact,
    ChargeFact,
    Concept,
    CoverageFact,
    DiagnosisFact,
    DirectoryFact,
    Fact,
    FiledFact,
    ImmunizationFact,
    Json,
    Message,
    MessageFacts,
    Origin,
    PatientFact,
    Problem,
    ProcedureFact,
    When,
)

_READERS: Mapping[str, Callable[[Reading], Iterator[FiledFact]]] = {
    "Account": account_facts,
    "Patient": patient_facts,
    "Encounter": encounter_facts,
    "Condition": condition_facts,
    "Procedure": procedure_facts,
    "Immunization": immunization_facts,
    "ChargeItem": charge_item_facts,
    "Coverage": coverage_facts,
    "ExplanationOfBenefit": explanation_facts,
    "Practitioner": practitioner_facts,
    "PractitionerRole": practitioner_role_facts,
    "Organization": organization_facts,
    "Location": location_facts,
}
"""Who reads which resource type; a type that is not here says nothing about a bill."""

_READ_INSIDE = frozenset({"Patient", "Condition", "Practitioner", "PractitionerRole", "Organization", "Location"})
"""Contained resources that are read like others; a contained Coverage is read by its ExplanationOfBenefit."""


_MODIFIER, _ESCAPED = b"modifierExtension", b"\\u00"
"""One of them stands in a message with a modifierExtension, be its name written with escapes."""

_NO_RULES = FhirRules()
_NEVER = datetime.min.replace(tzinfo=UTC)


def facts_from_message(message: Message, rules: FhirRules = _NO_RULES) -> MessageFacts:
    """Everything a FHIR message says, each fact under its topic.

    What cannot be used becomes a problem and the rest is still read. Raises UnreadableError as `load` does.
    """
    body = load(message.body)
    flaws: list[Flaw] = []
    resources = Resources(locate(body, hashlib.sha256(message.body).digest(), flaws, message.answered))
    readings = [
        Reading.of(message.id, found, resources, rules) for found in resources.located if _is_read(found, resources)
    ]
    if _MODIFIER in message.body or _ESCAPED in message.body:
        for reading in readings:
            _note_modifiers(reading)
    facts = tuple(filed for reading in readings for filed in _facts(reading))
    problems = [Problem(Origin(message.id, path), rule, text) for path, rule, text in flaws]
    problems += [problem for reading in readings for problem in reading.problems()]
    charts = _charts(readings, facts, problems)
    event_at = _event_at(body, resources, rules)
    return MessageFacts(message.id, event_at, facts, charts, tuple(_on_charts(problems, charts)))


def _is_read(found: Located, resources: Resources) -> bool:
    if found.left_out:
        return False
    if found.ref == found.holder:
        return found.type in _READERS
    return found.type in _READ_INSIDE and resources.by_ref[found.holder].type in _READERS


def _note_modifiers(reading: Reading) -> None:
    """Whatever changes the meaning of a part holds the visit. An ExplanationOfBenefit is read for its coverage only."""
    if reading.located.type != "ExplanationOfBenefit":
        reading.element.note_modified_parts()


def _facts(reading: Reading) -> Iterator[FiledFact]:
    if not reading.located.deleted:
        yield from _READERS[reading.located.type](reading)
    elif taken_back := _taken_back(reading):
        yield reading.under(reading.own_topic, taken_back)


def _taken_back(reading: Reading) -> Fact | None:
    """What a DELETE says: it names no visit, so it stands under the resource's own topic, which the visit points to."""
    origin, identity = reading.origin(), reading.own_topic
    taken_back: Mapping[str, Fact | None] = {
        "Patient": PatientFact(origin, removed=True),
        "Encounter": CancelFact(origin, "visit"),
        "Condition": DiagnosisFact(origin, identity, Concept(), removed=True),
        "Procedure": ProcedureFact(origin, identity, Concept(), removed=True),
        "Immunization": ImmunizationFact(origin, identity, Concept(), removed=True),
        "ChargeItem": ChargeFact(origin, identity, Concept(), removed=True),
        "Coverage": CoverageFact(origin, identity, removed=True),
        "Account": AccountFact(origin, identity, removed=True),
        "ExplanationOfBenefit": None,
    }
    if reading.located.type in taken_back:
        return taken_back[reading.located.type]
    return DirectoryFact(origin, removed=True)


def _charts(readings: Iterable[Reading], facts: Iterable[FiledFact], problems: Iterable[Problem]) -> tuple[str, ...]:
    """The chart keys under which the message says something, if only that a part of it could not be used."""
    named = dict.fromkeys(key for reading in readings for key in reading.visits)
    said = {filed.topic for filed in facts} | {problem.topic for problem in problems}
    return tuple(key for key in named if key in said)


def _on_charts(problems: Iterable[Problem], charts: tuple[str, ...]) -> Iterator[Problem]:
    """Each problem under its topic; an entry that is no resource could have belonged to any visit of the message."""
    for problem in problems:
        yield from [problem] if problem.topic else [replace(problem, topic=key) for key in charts] or [problem]


def _event_at(body: Json, resources: Resources, rules: FhirRules) -> When | None:
    """meta.lastUpdated of the message, else Bundle.timestamp, else the latest meta.lastUpdated inside it."""
    whole = Element(body, "", [])
    stamps = [_last_updated(body), whole.text("timestamp") if body["resourceType"] == "Bundle" else ""]
    said = [w for w in (read_when(text, rules.time_zone) for text in stamps if text) if w]
    if said:
        return said[0]
    inside = (
        read_when(text, rules.time_zone) for text in map(_last_updated, (r.json for r in resources.located)) if text
    )
    return max((w for w in inside if w and w.instant), key=lambda w: w.instant or _NEVER, default=None)


def _last_updated(resource: Json) -> str:
    meta = Element(resource, "", []).child("meta")
    return meta.text("lastUpdated") if meta else ""
