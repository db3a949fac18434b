"""Where a site keeps what the standard keeps elsewhere: fields filled from other places of the same message."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fhir_coder.hl7v2.reader import ONCE, Er7Message, Segment, is_said

PLACES: Mapping[str, str] = {
    "patient_number": "PID-3",
    "account": "PID-18",
    "visit_class": "PV1-2",
    "location": "PV1-3",
    "attending_doctor": "PV1-7",
    "referring_doctor": "PV1-8",
    "admitting_doctor": "PV1-17",
    "visit_number": "PV1-19",
    "discharge_disposition": "PV1-36",
    "admitted": "PV1-44",
    "discharged": "PV1-45",
    "diagnosis_code": "DG1-3",
    "diagnosis_type": "DG1-6",
    "diagnosis_priority": "DG1-15",
    "present_on_admission": "DG1-26",
    "procedure_code": "PR1-3",
    "procedure_date": "PR1-5",
    "surgeon": "PR1-11",
    "procedure_modifiers": "PR1-16",
    "charge_id": "FT1-2",
    "service_date": "FT1-4",
    "charge_type": "FT1-6",
    "charge_code": "FT1-7",
    "quantity": "FT1-10",
    "charge_amount": "FT1-11",
    "unit_amount": "FT1-12",
    "charge_department": "FT1-13",
    "charge_location": "FT1-16",
    "charge_diagnoses": "FT1-19",
    "performing_doctor": "FT1-20",
    "ordering_doctor": "FT1-21",
    "service_code": "FT1-25",
    "modifiers": "FT1-26",
    "ndc": "FT1-29",
    "reverses": "FT1-31",
    "plan": "IN1-2",
    "payer_id": "IN1-3",
    "group_number": "IN1-8",
    "prior_authorization": "IN1-14",
    "member_id": "IN1-49",
}
"""What can be told to stand elsewhere, by the name of its setting, with where the standard keeps it."""

_PATH = re.compile(r"([^-]*)-([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?")
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
# Segments that a message may lack and that a place elsewhere may stand in for.
_MADE_WHERE_MISSING = frozenset({"PID", "PV1"})


@dataclass(frozen=True, slots=True)
class Place:
    """A field, component or subcomponent of the segments of one name; 0 where the whole above it is meant."""

    segment: str
    field: int
    component: int = 0
    subcomponent: int = 0


Relocations = Mapping[str, Mapping[int, tuple[Place, ...]]]
"""For a segment's name and a field's number: the places to read it from, the first that says something counts."""


def read_place(path: str) -> Place:
    """A path such as `PV1-19.1` or `ZFT-2`. Raises ValueError with what is wrong about it."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError("is no path of HL7 v2, such as PV1-19.1 or ZVN-3 (segment, field, component, subcomponent)")
    if not _NAME.fullmatch(match[1]):
        raise ValueError("names no segment: three capital letters or digits, such as PV1 or ZVN")
    numbers = [int(part) for part in match.groups()[1:] if part]
    if min(numbers) < 1:
        raise ValueError("counts fields, components and subcomponents from 1")
    return Place(match[1], *numbers)


def relocate(message: Er7Message, relocations: Relocations) -> None:
    """Fill fields of a message from the places its feed names; a field whose places say nothing becomes empty.

    For a field of a segment that may be repeated, a place in another segment means the one that follows it, before the
    next of its kind; else one that stands before all of them, for the whole message.
    """
    found = []
    for name, fields in relocations.items():
        for segment, near in _anchors(message, name, fields):
            found += [(segment, number, _first_said(message, near, places)) for number, places in fields.items()]
    for segment, number, (raw, path) in found:
        segment.move(number, raw, path)


def moved_fields(message: Er7Message) -> Iterator[tuple[str, str]]:
    """The fields that were filled from elsewhere, as they are called by the standard, with where they stand."""
    for segment in message:
        own = segment.path if segment.path.startswith(segment.name) else segment.name
        for number, path in segment.moved.items():
            if path and path != f"{own}-{number}":
                yield f"{own}-{number}", path


_Near = Mapping[str, Segment]
"""The segments that a place may mean for one anchor, by name, itself among them."""


def _anchors(
    message: Er7Message, name: str, fields: Mapping[int, tuple[Place, ...]]
) -> Iterator[tuple[Segment, _Near]]:
    if name not in ONCE:
        yield from _groups(message, name)
        return
    firsts = {segment.name: segment for segment in reversed(list(message))}
    anchor = firsts.get(name)
    if anchor is None and name in _MADE_WHERE_MISSING:
        named = [place for places in fields.values() for place in places]
        said = (firsts[p.segment] for p in named if p.segment in firsts and _said(firsts[p.segment], p))
        stand_in = next(said, None)
        anchor = message.add(name, stand_in.path) if stand_in else None
    if anchor:
        yield anchor, firsts


def _groups(message: Er7Message, name: str) -> list[tuple[Segment, _Near]]:
    """Each segment of a name with the first of every kind that follows it, else that stands before all of them."""
    before: dict[str, Segment] = {}
    groups: list[tuple[Segment, dict[str, Segment]]] = []
    for segment in message:
        if segment.name == name:
            groups.append((segment, {name: segment}))
        else:
            (groups[-1][1] if groups else before).setdefault(segment.name, segment)
    return [(segment, ChainMap(near, before)) for segment, near in groups]


def _first_said(message: Er7Message, near: _Near, places: tuple[Place, ...]) -> tuple[str, str]:
    """What the first place says that says anything, with its path; empty where none does."""
    for place in places:
        segment = message.segment(place.segment) if place.segment in ONCE else near.get(place.segment)
        raw = _said(segment, place) if segment else ""
        if segment and raw:
            parts = [number for number in (place.component, place.subcomponent) if number]
            return raw, ".".join([f"{segment.path}-{place.field}", *map(str, parts)])
    return "", ""


def _said(segment: Segment, place: Place) -> str:
    """The raw text at a place, part by part of a repeated field; empty where nothing is said."""
    syntax = segment.syntax
    marks = (syntax.component, syntax.subcomponent)
    parts = (_part(raw, place, marks) for raw in segment.raw_repetitions(place.field))
    return syntax.repetition.join(part for part in parts if is_said(part, syntax))


def _part(raw: str, place: Place, marks: tuple[str, str]) -> str:
    for mark, number in zip(marks, (place.component, place.subcomponent), strict=True):
        if number:
            parts = raw.split(mark)
            raw = parts[number - 1] if number <= len(parts) else ""
    return raw
