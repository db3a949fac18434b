"""DG1, FT1-19, PR1 and RXA: diagnoses, procedures and vaccinations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from fhir_coder.hl7v2.participants import with_participants
from fhir_coder.hl7v2.people import entity
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.hl7v2.systems import known_system, read_concept
from fhir_coder.model import Concept, DiagnosisFact, ImmunizationFact, ProcedureFact, System, When

_KINDS = {"A": "admitting", "W": "working", "F": "final"}
_GIVEN = frozenset({"", "CP", "PA"})
# Codes 01 to 08 of NIP001 in RXA-9: told from a record or by a parent, not given here.
_HISTORICAL = frozenset({f"0{digit}" for digit in range(1, 9)})
_NO_VACCINE = "998"


def read_diagnoses(source: Source) -> Iterator[DiagnosisFact]:
    """DG1, then the diagnoses that only FT1-19 names."""
    named: set[str] = set()
    for segment in source.message.segments("DG1"):
        source.about = entity(segment.first(20))
        fact = _diagnosis(source, segment)
        source.about = ""
        if fact:
            named.add(fact.concept.key)
            yield fact
    yield from _charged_diagnoses(source, named)


def read_procedures(source: Source) -> Iterator[ProcedureFact]:
    """PR1."""
    seen: dict[str, int] = defaultdict(int)
    for segment in source.message.segments("PR1"):
        source.about = entity(segment.first(19))
        fact = _procedure(source, segment, seen)
        source.about = ""
        if fact:
            yield fact


def read_immunizations(source: Source) -> Iterable[ImmunizationFact]:
    """RXA of vaccines given here: not those refused, not given, or only told of. ORC-3 before an RXA identifies it."""
    return _immunizations(source) if "RXA" in source.message.names else ()


def _immunizations(source: Source) -> Iterator[ImmunizationFact]:
    order: Segment | None = None
    for segment in source.message.among(("ORC", "RXA")):
        if segment.name == "ORC":
            order = segment
            continue
        fact = _immunization(source, segment, entity(order.first(3)) if order else "")
        if fact:
            yield fact
        order = None


def _procedure(source: Source, segment: Segment, seen: dict[str, int]) -> ProcedureFact | None:
    concept = _with_text(source.concept(segment, 3, "PR1-3"), segment.whole(4))
    removed = _is_removed(segment, 3, 20)
    if concept is None:
        gone = source.about if removed else ""
        return ProcedureFact(source.origin(segment.path), gone, Concept(), removed=True) if gone else None
    performed = source.when(segment, 5)
    doctors = source.members("surgeon", segment, 11) + source.members("rendering", segment, 12)
    return ProcedureFact(
        origin=source.origin(segment.path),
        identity=source.about or _repeat(f"{concept.key}/{_text(performed)}", seen),
        concept=concept,
        performed=performed,
        modifiers=source.modifiers(segment, 16),
        care_team=with_participants(doctors, source, segment),
        reason_concepts=source.concepts(segment, 15, "DG1-3"),
        rank=_rank(segment.text(14)),
        removed=removed,
        anesthesia_minutes=_minutes(segment.text(10)),
    )


def _minutes(text: str) -> Decimal | None:
    """Whole minutes; anything else is none."""
    return Decimal(text) if text.isascii() and text.isdigit() and len(text) < 5 else None


def _is_removed(segment: Segment, code: int, action: int) -> bool:
    """Whether the sender takes a part back: by its action code (table 0206), or by deleting its code."""
    return segment.text(action).upper() == "D" or segment.is_delete(code)


def _diagnosis(source: Source, segment: Segment) -> DiagnosisFact | None:
    concept = _diagnosis_concept(source, segment)
    removed = _is_removed(segment, 3, 21)
    if concept is None:
        gone = source.about if removed else ""
        return DiagnosisFact(source.origin(segment.path), gone, Concept(), removed=True) if gone else None
    recorded = source.when(segment, 5)
    kind = segment.text(6).upper()
    day = recorded.text[:10] if recorded else ""
    return DiagnosisFact(
        origin=source.origin(segment.path),
        identity=source.about or f"{concept.key}/{kind}/{day}",
        concept=concept,
        kind=_KINDS.get(kind, ""),
        rank=_rank(segment.text(15)),
        recorded=recorded,
        on_admission=segment.text(26).upper(),
        removed=removed,
    )


def _diagnosis_concept(source: Source, segment: Segment) -> Concept | None:
    """DG1-3 with the text of DG1-4; its system, where it names none, is the coding method of DG1-2 (up to 2.3)."""
    named = segment.text(2)
    method = (source.rules.code_systems.get(named.upper()) or known_system(named)) if named else None
    if method:
        concept = read_concept(segment.first(3), method, names=source.rules.code_systems)
    else:
        concept = source.concept(segment, 3, "DG1-3")
    return _with_text(concept, segment.whole(4))


def _charged_diagnoses(source: Source, named: set[str]) -> Iterator[DiagnosisFact]:
    for segment in source.message.segments("FT1"):
        for place, concept in source.values.charged[segment.raw(19)]:
            if concept.key not in named:
                named.add(concept.key)
                yield DiagnosisFact(source.origin(segment.path_of(19, place)), f"{concept.key}//", concept)


def _immunization(source: Source, segment: Segment, order: str) -> ImmunizationFact | None:
    concept = source.concept(segment, 5, "RXA-5")
    if concept is None or segment.text(20).upper() not in _GIVEN or _is_told(segment) or _is_no_vaccine(concept):
        return None
    given, lot = source.when(segment, 3), segment.text(15)
    return ImmunizationFact(
        origin=source.origin(segment.path),
        identity=order or f"{concept.key}/{_text(given)}/{lot}",
        concept=concept,
        given=given,
        lot=lot,
        care_team=with_participants(source.members("rendering", segment, 10), source, segment),
        removed=segment.text(21).upper() == "D",
    )


def _is_told(segment: Segment) -> bool:
    notes = segment.repetitions(9)
    return any(note.text(1) in _HISTORICAL and note.text(3) in ("", "NIP001") for note in notes)


def _is_no_vaccine(concept: Concept) -> bool:
    return any(coding.system == System.CVX and coding.code == _NO_VACCINE for coding in concept.codings)


def _with_text(concept: Concept | None, text: str) -> Concept | None:
    if concept is None:
        return Concept(text=text) if text else None
    return concept if concept.text or not text else Concept(concept.codings, text)


def _rank(text: str) -> int | None:
    """A priority from 1; 0 (not ranked) and anything else is None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 and int(text) else None


def _repeat(key: str, seen: dict[str, int]) -> str:
    seen[key] += 1
    return key if seen[key] == 1 else f"{key}/{seen[key]}"


def _text(when: When | None) -> str:
    return when.text if when else ""
