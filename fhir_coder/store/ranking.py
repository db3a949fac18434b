"""When a work item is wanted done, and why then: a few rules in one visible tuple. No clock is read here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from fhir_coder.model import Care, WorkRules


@dataclass(frozen=True, slots=True)
class Stakes:
    """What an item's priority is made of. `answer_by` is a payer's own deadline, `file_by` that of timely filing."""

    opened_at: datetime
    file_by: date | None = None
    answer_by: date | None = None
    amount: Decimal = Decimal(0)
    currency: str = ""
    care: str = ""
    is_emergency: bool = False
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the latest time it leaves (None: it sets none), the days it brings that forward, and its words."""

    name: str
    latest: Callable[[Stakes, WorkRules], datetime | None]
    forward: Callable[[Stakes, WorkRules], int]
    says: Callable[[Stakes, date], str]


def stakes_of(row: Any) -> Stakes:
    """The stakes of a row of `work_groups`."""
    return Stakes(
        row.opened_at,
        row.file_by,
        row.answer_by,
        Decimal(row.amount or 0),
        row.currency,
        row.care,
        row.is_emergency,
        row.is_escalated,
    )


def due_at(stakes: Stakes, rules: WorkRules) -> datetime:
    """When an item is wanted done: the earliest that any rule sets, less all days that rules bring it forward."""
    latest = min(at for rule in RULES if (at := rule.latest(stakes, rules)))
    return latest - timedelta(days=sum(rule.forward(stakes, rules) for rule in RULES))


def reasons(stakes: Stakes, rules: WorkRules, today: date) -> tuple[str, ...]:
    """Why an item stands where it does, as of a day: the words of the rules that count, what weighs most in front."""
    counting = [(rule, _weight(rule, stakes, rules)) for rule in RULES]
    told = sorted((one for one in counting if one[1] is not None), key=lambda one: one[1] or 0, reverse=True)
    return tuple(rule.says(stakes, today) for rule, _ in told)


def _weight(rule: Rule, stakes: Stakes, rules: WorkRules) -> float | None:
    """Days that a rule makes of the difference to an item that has only its age; None where it makes none."""
    if rule.name == "age":
        return 0.0
    at, days = rule.latest(stakes, rules), rule.forward(stakes, rules)
    if days:
        return float(days)
    by_age = stakes.opened_at + timedelta(days=rules.days)
    return (by_age - at).total_seconds() / 86400 if at and at < by_age else None


def _never(_stakes: Stakes, _rules: WorkRules) -> None:
    return None


def _nothing(_stakes: Stakes, _rules: WorkRules) -> int:
    return 0


def _before(day: date | None, days: int) -> datetime | None:
    return datetime.combine(day, time(), UTC) - timedelta(days=days) if day else None


def _worth(stakes: Stakes, rules: WorkRules) -> int:
    return min(rules.most_amount_days, int(stakes.amount / rules.amount_per_day)) if stakes.amount > 0 else 0


def _days_to(day: date | None, today: date) -> str:
    left = (day - today).days if day else 0
    return "today" if left == 0 else f"in {left} day{'s' * (left != 1)}" if left > 0 else f"{-left} days ago"


def _ended(day: date | None, today: date) -> str:
    return "ended" if day and day < today else "ends"


RULES: tuple[Rule, ...] = (
    Rule("escalated", _never, lambda s, r: r.escalated_days * s.is_escalated, lambda _s, _t: "escalated"),
    Rule(
        "timely-filing",
        lambda s, r: _before(s.file_by, r.filing_days),
        _nothing,
        lambda s, t: f"timely filing {_ended(s.file_by, t)} {_days_to(s.file_by, t)}",
    ),
    Rule(
        "payer-deadline",
        lambda s, r: _before(s.answer_by, r.payer_days),
        _nothing,
        lambda s, t: f"the payer's deadline {_ended(s.answer_by, t)} {_days_to(s.answer_by, t)}",
    ),
    Rule("stat", _never, lambda s, r: r.emergency_days * s.is_emergency, lambda _s, _t: "STAT: an emergency"),
    Rule("amount", _never, _worth, lambda s, _t: f"{s.currency} {s.amount:,.2f} wait".strip()),
    Rule("inpatient", _never, lambda s, r: r.inpatient_days * (s.care == Care.INPATIENT), lambda _s, _t: "inpatient"),
    Rule(
        "age",
        lambda s, r: s.opened_at + timedelta(days=r.days),
        _nothing,
        lambda s, t: "waits since today" if s.opened_at.date() >= t else f"waits since {s.opened_at.date()}",
    ),
)
"""Every rule of the worklist's order."""
