"""Which lines of a chart stand on which of its claims: the split by kind, and charges that came late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from fhir_coder.claims.kinds import PROFESSIONAL
from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import ChargeFact, Chart, CodedChart, Gap, Json, SplitRule

_NOT_OF_THE_SERVICE = frozenset({"sequence", "careTeamSequence", "procedureSequence"})


def kinds_of(coded: CodedChart, own: str, split: Sequence[SplitRule]) -> list[str]:
    """The kinds of claims a coded chart gives, the visit's own first; that one alone where nothing is billed yet."""
    named = {_kind(line.fact, own, split) for line in coded.lines}
    named |= {_kind_of_gap(gap, coded.chart, own, split) for gap in coded.gaps} - {""}
    return sorted(named or {own}, key=lambda kind: (kind != own, kind))


def of_kind(coded: CodedChart, kind: str, own: str, split: Sequence[SplitRule]) -> CodedChart:
    """What of a coded chart stands on the claim of a kind: its lines, all diagnoses, and the gaps that hold it."""
    kept = [i for i, line in enumerate(coded.lines) if _kind(line.fact, own, split) == kind]
    gaps = tuple(g for g in coded.gaps if _kind_of_gap(g, coded.chart, own, split) in ("", kind))
    return replace(only_lines(coded, kept, unpointed=kind != PROFESSIONAL), gaps=gaps)


def only_lines(coded: CodedChart, positions: Collection[int], *, unpointed: bool = True) -> CodedChart:
    """A coded chart with some of its lines. Procedures that only dropped lines point to go with them.

    Without `unpointed` only procedures that a kept line points to stay.
    """
    lines = [coded.lines[i] for i in positions]
    pointed = {p for line in lines for p in line.procedures}
    elsewhere = {p for line in coded.lines for p in line.procedures} - pointed
    kept = [p for p in range(len(coded.procedures)) if p in pointed or (unpointed and p not in elsewhere)]
    places = {old: new for new, old in enumerate(kept)}
    moved = tuple(replace(line, procedures=tuple(places[p] for p in line.procedures)) for line in lines)
    return replace(coded, lines=moved, procedures=tuple(coded.procedures[p] for p in kept))


def _kind(fact: Any, own: str, split: Sequence[SplitRule]) -> str:
    return next((rule.kind for rule in split if isinstance(fact, ChargeFact) and _names(rule, fact)), own)


def _names(rule: SplitRule, fact: ChargeFact) -> bool:
    concepts = [c for c in (fact.item, fact.concept) if c]
    codes = {coding.code for concept in concepts for coding in concept.codings}
    return fact.department in rule.departments or any(p.match(code) for p in rule.charges for code in codes)


def _kind_of_gap(gap: Gap, chart: Chart, own: str, split: Sequence[SplitRule]) -> str:
    """The kind of claim whose charge a gap is about, empty where it is about something else: it holds every claim."""
    charge = next((c for c in chart.charges if c.origin == gap.origin), None)
    return _kind(charge, own, split) if charge else ""


def lines_billed(lines: Sequence[Json], billed: Sequence[Json]) -> list[int] | None:
    """Positions of the lines that were billed before; None where a line that was billed is not among them now.

    A line is the same by its service, date, units, amounts and diagnoses.
    """
    left = Counter(map(_service, billed))
    found = []
    for position, line in enumerate(lines):
        if left[_service(line)] > 0:
            left[_service(line)] -= 1
            found.append(position)
    return None if left.total() else found


def _service(line: Json) -> bytes:
    return to_bytes({k: v for k, v in line.items() if k not in _NOT_OF_THE_SERVICE})
