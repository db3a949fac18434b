"""When a visit is billed, and into which claims it is split."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BillingRule:
    """When a visit is billed: `when` is a word of docs/reference/settings.md, `hold_days` the bill hold after it."""

    when: str = "default"
    hold_days: int = 0


@dataclass(frozen=True, slots=True)
class SplitRule:
    """Charges that go to the claim of a kind: those of a department, and those whose charge code fits a pattern."""

    kind: str
    departments: frozenset[str] = frozenset()
    charges: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Billing:
    """A site's rules of billing; `feeds` are those of single feeds by name. The first split rule that fits counts."""

    rule: BillingRule = BillingRule()
    feeds: Mapping[str, BillingRule] = field(default_factory=dict)
    split: tuple[SplitRule, ...] = ()
