"""How much of what charts name the tables translate, and what they do not: by count and by money that waits. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from fhir_coder.model import (
    SYSTEM_TITLES,
    ChargeFact,
    Choice,
    CodedChart,
    Gap,
    Json,
    Kind,
    Money,
    is_code_shaped,
)
from fhir_coder.terminology.rows import short_name

KIND_TITLES: Mapping[Kind, str] = {
    Kind.DIAGNOSIS: "diagnoses",
    Kind.PROCEDURE: "procedures",
    Kind.IMMUNIZATION: "vaccinations",
    Kind.CHARGE: "charges",
    Kind.VISIT: "visits",
}
"""The kinds of facts, by the kind of table that is asked about them, in the order shown."""

NO_CODE = "(words, not a code)"
"""Stands for what a sender wrote in a code's place that does not look like one: it may name a patient."""

_NAMED_SYSTEM = re.compile(r"https?://[A-Za-z0-9./_-]+|urn:oid:[0-9.]+")
_OWN_NAME = "urn:hl7v2:"


@dataclass(frozen=True, slots=True)
class KindShare:
    """The facts of one kind: how many came as billing codes, got one by a table, are not billed, or are gaps."""

    kind: Kind
    came_coded: int = 0
    by_table: int = 0
    not_billable: int = 0
    gaps: int = 0

    @property
    def facts(self) -> int:
        """How many there are."""
        return self.came_coded + self.by_table + self.not_billable + self.gaps

    @property
    def share(self) -> Fraction | None:
        """The share that has an answer; None where there is no fact."""
        return Fraction(self.facts - self.gaps, self.facts) if self.facts else None


@dataclass(frozen=True, slots=True)
class Unmapped:
    """One code that has no answer for one reason: facts, visits, and the amounts of these visits by currency.

    `display` are a table's own words. A visit waits as a whole, so its amount counts for each of its gaps.
    """

    kind: Kind
    system: str
    code: str
    display: str
    reason: str
    facts: int
    visits: int
    held: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the tables cover. `visits` were looked at; `visits_held` of them wait for a code, with `held` amounts.

    `before_icd10` visits ended before ICD-10 and are not coded at all.
    """

    visits: int
    before_icd10: int
    visits_held: int
    held: Mapping[str, Decimal]
    kinds: tuple[KindShare, ...]
    unmapped: tuple[Unmapped, ...]

    @property
    def all_kinds(self) -> KindShare:
        """The sum of all kinds; its own kind says nothing."""
        columns = zip(*((k.came_coded, k.by_table, k.not_billable, k.gaps) for k in self.kinds), strict=True)
        return KindShare(Kind.CONCEPT, *map(sum, columns)) if self.kinds else KindShare(Kind.CONCEPT)

    def as_json(self) -> Json:
        """As `tables coverage --json` prints it."""
        return {
            "visits": self.visits,
            "visits_held": self.visits_held,
            "visits_before_icd10": self.before_icd10,
            "held": dict(self.held),
            "all": _share_json(self.all_kinds),
            "kinds": [{"kind": one.kind.value, **_share_json(one)} for one in self.kinds],
            "unmapped": [_unmapped_json(one) for one in self.unmapped],
        }


def _share_json(one: KindShare) -> Json:
    share = None if one.share is None else round(Decimal(one.share.numerator) / one.share.denominator, 4)
    counts = {name: getattr(one, name) for name in ("facts", "came_coded", "by_table", "not_billable", "gaps")}
    return {**counts, "share": share}


def _unmapped_json(one: Unmapped) -> Json:
    named = {"kind": one.kind.value, "system": one.system, "code": one.code, "display": one.display}
    return {**named, "reason": one.reason, "facts": one.facts, "visits": one.visits, "held": dict(one.held)}


Amounts = dict[str, Decimal]
"""Sums by currency."""

_Key = tuple[Kind, str, str, str]


@dataclass
class _Waiting:
    display: str = ""
    facts: int = 0
    visits: int = 0
    held: Amounts = field(default_factory=dict)


class CoverageTally:
    """Counts charts one after the other."""

    def __init__(self) -> None:
        self._visits = self._before = self._visits_held = 0
        self._counts: dict[Kind, Counter[str]] = {}
        self._waiting: dict[_Key, _Waiting] = {}
        self._held: Amounts = {}

    def add(self, parts: Sequence[CodedChart]) -> None:
        """Count one visit: what its first payer's claims are made of, one for each kind of claim."""
        self._visits += 1
        if not parts:
            return
        self._before += "before_icd10" in parts[0].notes
        gaps = []
        for one in parts[0].asked:
            self._counts.setdefault(one.kind, Counter())[_word(one.answer)] += 1
            if isinstance(one.answer, Gap):
                gaps.append((one.kind, one.answer))
        if gaps:
            self._add_gaps(gaps, _amount(parts))

    def _add_gaps(self, gaps: Sequence[tuple[Kind, Gap]], amount: Amounts) -> None:
        self._visits_held += 1
        _add(self._held, amount)
        seen = set[_Key]()
        for kind, gap in gaps:
            code = gap.code if not gap.code or is_code_shaped(gap.code) else NO_CODE
            key = (kind, shown_system(gap.system), code, gap.reason)
            waiting = self._waiting.setdefault(key, _Waiting())
            waiting.display = waiting.display or gap.display
            waiting.facts += 1
            if key not in seen:
                seen.add(key)
                waiting.visits += 1
                _add(waiting.held, amount)

    def result(self) -> Coverage:
        """What was counted: kinds in their order, what is missing by money, then by count."""
        kinds = tuple(KindShare(kind, **self._counts[kind]) for kind in KIND_TITLES if kind in self._counts)
        unmapped = [Unmapped(*key, w.facts, w.visits, w.held) for key, w in self._in_full()]
        unmapped.sort(key=lambda one: (-sum(one.held.values()), -one.facts, one.kind, one.system, one.code))
        return Coverage(self._visits, self._before, self._visits_held, self._held, kinds, tuple(unmapped))

    def _in_full(self) -> list[tuple[tuple[Kind, str, str, str, str], _Waiting]]:
        return [
            ((kind, system, code, waiting.display, reason), waiting)
            for (kind, system, code, reason), waiting in self._waiting.items()
        ]


def shown_system(system: str) -> str:
    """A code system as it may be shown: its short name or address; a sender's own name only where it is no prose."""
    short = short_name(system)
    if system in SYSTEM_TITLES or not system:
        return short
    own = system.removeprefix(_OWN_NAME)
    is_name = system.startswith(_OWN_NAME) and own.isascii() and own.isalnum() and len(own) <= 12
    return system if is_name or _NAMED_SYSTEM.fullmatch(system) else "(a system of the sender's own)"


def _word(answer: Choice | Gap) -> str:
    if isinstance(answer, Gap):
        return "gaps"
    if answer.code is None:
        return "not_billable"
    return "by_table" if answer.trace.table else "came_coded"


def _amount(parts: Sequence[CodedChart]) -> Amounts:
    """What a visit is worth: its lines, and its charges that have no code yet, by the amounts they came with."""
    missing = {one.answer.origin for one in parts[0].asked if isinstance(one.answer, Gap)}
    billed = [line.net for part in parts for line in part.lines]
    found: Amounts = {}
    for money in [*billed, *(_sent(charge) for charge in parts[0].chart.charges if charge.origin in missing)]:
        if money:
            _add(found, {money.currency: money.value})
    return found


def _sent(charge: ChargeFact) -> Money | None:
    if charge.amount or not charge.unit_amount:
        return charge.amount
    return Money(charge.unit_amount.value * charge.quantity, charge.unit_amount.currency)


def _add(sums: Amounts, amounts: Amounts) -> None:
    for currency, value in amounts.items():
        sums[currency] = sums.get(currency, Decimal(0)) + value
