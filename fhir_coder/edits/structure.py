"""The structure of a Claim, alone or in a Bundle: what the standard and every payer take for granted (FHIR R4 13.1).

Looks at the claim alone, as plain JSON of any quality. To add a check: a row in `structure_edits`, and a small function
in `CLAIM_CHECKS` (or a row of data in `r4_rows` and `r4_invariants`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fhir_coder.edits.elements import Walk
from fhir_coder.edits.money import MONEY_CHECKS
from fhir_coder.edits.references import Surroundings, bundle_is_for_claims, contained_are_used, references_resolve
from fhir_coder.edits.structure_edits import STRUCTURE_ADVICE, STRUCTURE_EDITS, fault
from fhir_coder.model import Finding, Json

__all__ = ["STRUCTURE_ADVICE", "STRUCTURE_EDITS", "structure_findings"]

_NUMBERED = ("careTeam", "supportingInfo", "diagnosis", "procedure", "insurance", "item")
_POINTERS: Mapping[str, str] = {
    "careTeamSequence": "careTeam",
    "diagnosisSequence": "diagnosis",
    "procedureSequence": "procedure",
    "informationSequence": "supportingInfo",
}


def structure_findings(resource: Json) -> list[Finding]:
    """All that is wrong with the structure of a Claim, or of a Bundle with Claims. Texts never show values.

    In order: the elements, then sequences, focal insurance, pointers and money of each claim, then the references.
    """
    walk, around = Walk(resource), Surroundings(resource)
    found = list(bundle_is_for_claims(resource, around, bool(walk.claims)))
    found += walk.faults
    for path, claim in walk.claims:
        for check in CLAIM_CHECKS:
            found += check(claim, path)
    found += references_resolve(walk, around)
    found += contained_are_used(walk)
    return found


def unique_sequences(claim: Json, path: str) -> Iterator[Finding]:
    """No two entries of one list carry the same sequence."""
    for part in _NUMBERED:
        yield from _repeated(claim, part, path)
    for here, item in _entries(claim, "item", path):
        yield from _repeated(item, "detail", here)
        for below, detail in _entries(item, "detail", here):
            yield from _repeated(detail, "subDetail", below)


def _repeated(holder: Json, part: str, path: str) -> Iterator[Finding]:
    seen: set[int] = set()
    for here, entry in _entries(holder, part, path):
        sequence = entry.get("sequence")
        if type(sequence) is int and sequence in seen:
            yield fault("duplicate-sequence", f"{here}.sequence", "an earlier entry has the same sequence")
        elif type(sequence) is int:
            seen.add(sequence)


def one_focal_insurance(claim: Json, path: str) -> Iterator[Finding]:
    """Exactly one insurance is focal."""
    said = [entry.get("focal") for _, entry in _entries(claim, "insurance", path)]
    focal = said.count(True)
    if said and focal != 1 and all(type(word) is bool for word in said):
        yield fault("one-focal-insurance", f"{path}.insurance", f"{focal} insurances are focal")


def pointers_exist(claim: Json, path: str) -> Iterator[Finding]:
    """What a line points to by sequence is on the claim."""
    known = {part: _sequences(claim, part) for part in _POINTERS.values()}
    for here, item in _entries(claim, "item", path):
        for pointer in _POINTERS.keys() & item.keys():
            part = _POINTERS[pointer]
            for position, sequence in enumerate(_list(item[pointer])):
                if type(sequence) is int and sequence not in known[part]:
                    yield fault("pointer-to-nothing", f"{here}.{pointer}[{position}]", f"no {part} has this sequence")


CLAIM_CHECKS: tuple[Callable[[Json, str], Iterator[Finding]], ...] = (
    unique_sequences,
    one_focal_insurance,
    pointers_exist,
    *MONEY_CHECKS,
)
"""Every check of a claim beyond its elements, in the order shown to the coder."""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _entries(holder: Json, part: str, path: str) -> Iterator[tuple[str, Json]]:
    """The objects of one list with their paths."""
    for index, entry in enumerate(_list(holder.get(part))):
        if isinstance(entry, dict):
            yield f"{path}.{part}[{index}]", entry


def _sequences(claim: Json, part: str) -> set[int]:
    entries = (entry for _, entry in _entries(claim, part, ""))
    return {entry["sequence"] for entry in entries if type(entry.get("sequence")) is int}
