"""What each message of a visit added, changed and took away. Kinds, codes and amounts only: no name, no free text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from fhir_coder.charts.billing import INPATIENT_CLASSES
from fhir_coder.charts.fold import ChartFold
from fhir_coder.model import (
    SYSTEM_TITLES,
    ChargeFact,
    Chart,
    Concept,
    CoverageFact,
    DiagnosisFact,
    MessageFacts,
    Money,
    is_code_shaped,
)

ADDED, CHANGED, REMOVED = "+", "~", "-"

_KINDS = {
    "diagnoses": "diagnosis",
    "procedures": "procedure",
    "charges": "charge",
    "immunizations": "vaccination",
    "coverages": "coverage",
}
_KNOWN_CLASSES = INPATIENT_CLASSES | {"AMB", "EMER", "OBSENC", "PRENC", "SS", "HH", "VR", "FLD"}
_NOT_A_CHANGE = frozenset({"origin", "identity"})


@dataclass(frozen=True, slots=True)
class ChartChange:
    """One thing that a message did to a chart: `sign` is + added, ~ changed or - removed; `what` says which."""

    sign: str
    kind: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """A message of a visit, when its event happened (empty where it does not say), and what it did to the chart."""

    message: str
    event_at: str
    changes: tuple[ChartChange, ...]


def timeline(key: str, messages: Sequence[MessageFacts]) -> tuple[TimelineEntry, ...]:
    """The messages of a visit, given in order of arrival, in the order of their events."""
    found: list[TimelineEntry] = []
    before: Chart | None = None
    for message, after in ChartFold(key, messages).steps():
        if message and before:
            event_at = message.event_at.text if message.event_at else ""
            found.append(TimelineEntry(message.message, event_at, tuple(_changes(before, after))))
        before = after
    return tuple(found)


def _changes(before: Chart, after: Chart) -> Iterator[ChartChange]:
    yield from _of_one("patient", before.patient, after.patient)
    yield from _of_visit(before, after)
    for name, kind in _KINDS.items():
        yield from _of_many(kind, getattr(before, name), getattr(after, name))
    yield from _of_one("guarantor", before.guarantor, after.guarantor)
    if before.cancelled != after.cancelled:
        yield ChartChange(CHANGED, "visit", "cancelled" if after.cancelled else "no longer cancelled")
    if before.moved_to != after.moved_to:
        yield ChartChange(CHANGED, "visit", f"moved to {after.moved_to}" if after.moved_to else "moved back")
    for sign, some, others in ((ADDED, after, before), (REMOVED, before, after)):
        known = {(p.origin, p.rule) for p in others.problems}
        for problem in some.problems:
            if (problem.origin, problem.rule) not in known:
                yield ChartChange(sign, "problem", f"{problem.origin.path} {problem.rule}")


def _of_visit(before: Chart, after: Chart) -> Iterator[ChartChange]:
    for change in _of_one("visit", before.visit, after.visit):
        visit = after.visit
        shown = [visit.class_code] if visit and visit.class_code in _KNOWN_CLASSES else []
        shown += [visit.status] if visit and visit.status else []
        yield ChartChange(change.sign, change.kind, "   ".join(filter(None, [" ".join(shown), change.what])))


def _of_one(kind: str, before: Any, after: Any) -> Iterator[ChartChange]:
    if before is None or after is None:
        if before is not after:
            yield ChartChange(ADDED if before is None else REMOVED, kind)
    elif names := _changed(before, after):
        yield ChartChange(CHANGED, kind, names)


def _of_many(kind: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[ChartChange]:
    known, now = {fact.identity: fact for fact in before}, {fact.identity: fact for fact in after}
    for identity, fact in now.items():
        if identity not in known:
            if not _is_mention(fact, before):
                yield ChartChange(ADDED, kind, _shown(fact))
        elif fact is not known[identity] and (names := _changed(known[identity], fact)):
            yield ChartChange(CHANGED, kind, f"{_shown(fact)}   {names}")
    for identity, fact in known.items():
        if identity not in now and not _is_mention(fact, after):
            yield ChartChange(REMOVED, kind, _shown(fact))


def _is_mention(fact: Any, others: Sequence[Any]) -> bool:
    """Whether a fact only names a diagnosis that the chart has anyway, as the FT1-19 of a later charge does."""
    is_bare = isinstance(fact, DiagnosisFact) and not (fact.kind or fact.rank or fact.on_admission)
    return is_bare and any(other.concept.key == fact.concept.key for other in others)


def _changed(before: Any, after: Any) -> str:
    """The attributes in which two facts differ."""
    names = (f.name for f in fields(after) if f.name not in _NOT_A_CHANGE)
    return ", ".join(name.replace("_", " ") for name in names if getattr(before, name) != getattr(after, name))


def _shown(fact: Any) -> str:
    if isinstance(fact, CoverageFact):
        return f"{fact.order}"
    code = _code(fact.concept)
    return f"{code}   {_amount(fact)}".rstrip() if isinstance(fact, ChargeFact) else code


def _code(concept: Concept) -> str:
    if not concept.codings:
        return "text only"
    coding = concept.codings[0]
    title = SYSTEM_TITLES.get(coding.system, "other system")
    # Senders put words, and names, where codes belong.
    return f"{title} {coding.code if is_code_shaped(coding.code) else '(messages show names it)'}"


def _amount(charge: ChargeFact) -> str:
    """`2 × USD 12.00` where the amount is of one unit, `2 for USD 24.00` where it is of all of them."""
    quantity = f"{charge.quantity.normalize():f}"
    if charge.amount:
        return f"{quantity} for {_said(charge.amount)}"
    return f"{quantity} × {_said(charge.unit_amount)}" if charge.unit_amount else quantity


def _said(money: Money) -> str:
    return f"{money.currency} {money.value:f}"
