"""Counts of what a run came to: a batch's, and their sum. Nothing in them is of one person."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_coder.model import ClaimDraft, Json, is_code_shaped

if TYPE_CHECKING:
    from fhir_coder.bulk.coding import CodedChart

_TYPE = re.compile(r"(DELETE )?[A-Z][A-Za-z0-9_]{1,40}(\^[A-Z][A-Z0-9_]{1,9}){0,2}")
_MOST_KEYS = 20_000
"""Different codes, and payers, that are counted: a feed of free text has no end of them."""
_NUMBERS = ("charts", "cancelled", "moved", "failed")
_COUNTERS = ("claims", "kinds", "gaps", "codes", "findings")


@dataclass
class BatchTally:
    """What charts came to. `claims` by status, `totals` by status and currency, `gaps` by reason, `codes` by gap.

    `kinds` are claims by payer and type; `findings` by edit and severity. Keys of several parts stand with tabs.
    """

    charts: int = 0
    cancelled: int = 0
    moved: int = 0
    failed: int = 0
    claims: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    totals: dict[str, Decimal] = field(default_factory=dict)

    def take(self, chart: CodedChart) -> None:
        """Count one chart in."""
        self.charts += 1
        self.cancelled += chart.cancelled
        self.moved += bool(chart.moved_to)
        self.failed += bool(chart.error)
        for draft in chart.claims:
            self._take_claim(draft)
        for gap in dict.fromkeys(gap for draft in chart.claims for gap in draft.gaps):
            self.gaps[gap.reason] += 1
            # Senders put words, and names, where codes belong.
            code = gap.code if is_code_shaped(gap.code) else ""
            _count(self.codes, f"{gap.reason}\t{gap.system}\t{code}")

    def _take_claim(self, draft: ClaimDraft) -> None:
        status = draft.status.value
        self.claims[status] += 1
        _count(self.kinds, f"{draft.payer}\t{draft.slot}\t{status}")
        for finding in draft.findings:
            self.findings[f"{finding.severity.value}\t{finding.edit}"] += 1
        if draft.total:
            key = f"{status}\t{draft.total.currency}"
            self.totals[key] = self.totals.get(key, Decimal(0)) + draft.total.value

    def add(self, other: BatchTally) -> None:
        """Add the counts of another batch."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _COUNTERS:
            counted = getattr(self, name)
            for key, number in getattr(other, name).items():
                _count(counted, key, number)
        for key, value in other.totals.items():
            self.totals[key] = self.totals.get(key, Decimal(0)) + value

    def to_json(self) -> Json:
        """For a report; `from_json` reads it back."""
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        return said | {"totals": {key: str(value) for key, value in self.totals.items()}}

    @classmethod
    def from_json(cls, said: Json) -> BatchTally:
        """What `to_json` gave."""
        made = cls(totals={key: Decimal(value) for key, value in said["totals"].items()})
        for name in _NUMBERS:
            setattr(made, name, said[name])
        for name in _COUNTERS:
            getattr(made, name).update(said[name])
        return made


def _count(counted: Counter[str], key: str, number: int = 1) -> None:
    if key in counted or len(counted) < _MOST_KEYS:
        counted[key] += number


def sum_of(tallies: Iterable[BatchTally]) -> BatchTally:
    """The counts of all batches together."""
    whole = BatchTally()
    for tally in tallies:
        whole.add(tally)
    return whole


def shown_type(message_type: str) -> str:
    """A message's type, where it has the form of one: what stands in MSH-9 is the sender's."""
    return message_type if _TYPE.fullmatch(message_type) else "other"
