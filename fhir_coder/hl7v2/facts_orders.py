"""OBR: services that were ordered, once they are done. Read only from types that a feed's rules let bill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from fhir_coder.hl7v2.participants import with_participants
from fhir_coder.hl7v2.people import entity
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.hl7v2.types import ORDER_FAMILIES
from fhir_coder.model import ProcedureFact

# Table 0123. Final and corrected results were performed; X, Y and D say that what was told of before was not.
_DONE = frozenset({"F", "C"})
_NOT_DONE = frozenset({"X", "Y", "D"})


def read_orders(source: Source) -> Iterator[ProcedureFact]:
    """OBR of results and orders: one procedure where OBR-25 is final, one taken back where it is cancelled.

    OBR-44 (procedure code) goes before OBR-4 (service). The filler's number (OBR-3), else the placer's (OBR-2),
    identifies the service, so that a corrected result is the same one.
    """
    if source.family not in ORDER_FAMILIES:
        return
    seen: dict[str, int] = defaultdict(int)
    for segment in source.message.segments("OBR"):
        fact = _order(source, segment, seen)
        if fact:
            yield fact


def _order(source: Source, segment: Segment, seen: dict[str, int]) -> ProcedureFact | None:
    status = segment.text(25).upper()
    concept = source.concept(segment, 44, "OBR-44") or source.concept(segment, 4, "OBR-4")
    if concept is None or status not in _DONE | _NOT_DONE:
        return None
    performed = source.when(segment, 7)
    number = entity(segment.first(3)) or entity(segment.first(2))
    key = f"OBR/{number}/{concept.key}" if number else f"OBR/{concept.key}/{performed.text if performed else ''}"
    seen[key] += 1
    return ProcedureFact(
        origin=source.origin(segment.path),
        identity=key if seen[key] == 1 else f"{key}/{seen[key]}",
        concept=concept,
        performed=performed,
        modifiers=source.modifiers(segment, 45),
        care_team=with_participants(source.members("ordering", segment, 16), source, segment),
        reason_concepts=source.concepts(segment, 31, "DG1-3"),
        removed=status in _NOT_DONE,
    )
