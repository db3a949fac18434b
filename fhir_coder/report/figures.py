"""The report of a biller's desk: what became of the claims of each day and payer, in numbers and money.

A claim counts on the day it was made, in the site's time zone, and as what it is now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from fhir_coder.errors import UsageError
from fhir_coder.model import GONE, ClaimStatus
from fhir_coder.store import Ledger, figures

DAYS = 30
"""How many days a report has where nobody says from when."""

MOST_DAYS = 3660

_ACCEPTED = frozenset({ClaimStatus.COMPLETE, ClaimStatus.PARTIAL})
_SECONDS_A_DAY = 86_400


@dataclass(slots=True)
class Figures:
    """Counts of claims and their money, as `amount_of` reads it.

    `received` claims were made. `waiting` ones wait for their visit and were not coded to the end; `automatic` ones
    were coded and nobody had to be asked. `open` ones are on their way, `corrected` ones were sent, and replaced or
    taken back since: their money does not count. `answered` ones had a decision after `answer_seconds` together.
    """

    received: int = 0
    waiting: int = 0
    automatic: int = 0
    held: int = 0
    sent: int = 0
    accepted: int = 0
    denied: int = 0
    pended: int = 0
    open: int = 0
    corrected: int = 0
    billed: int | None = None
    allowed: int | None = None
    paid: int | None = None
    answered: int = 0
    answer_seconds: int = 0

    def add(self, other: Figures) -> None:
        """Add what another counts."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if theirs is not None:
                setattr(self, field.name, (mine or 0) + theirs)

    @property
    def automatic_percent(self) -> Decimal | None:
        """Per cent of the claims coded to the end, or put to a person, that nobody had to be asked about."""
        coded = self.received - self.waiting
        return _tenths(Decimal(100 * self.automatic) / coded) if coded else None

    @property
    def denied_percent(self) -> Decimal | None:
        """Per cent of the decided claims that were denied as a whole."""
        decided = self.accepted + self.denied
        return _tenths(Decimal(100 * self.denied) / decided) if decided else None

    @property
    def days_to_answer(self) -> Decimal | None:
        """From the first sending to the decision, on average."""
        return _tenths(Decimal(self.answer_seconds) / self.answered / _SECONDS_A_DAY) if self.answered else None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """The figures of one day, payer and currency."""

    day: date
    payer: str
    currency: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of the days from `start` to `end`, both included, oldest first, in the time zone `zone`."""

    start: date
    end: date
    zone: str
    rows: tuple[ReportRow, ...]

    def summed(self, by: str) -> list[tuple[Any, str, Figures]]:
        """The figures by `day` or `payer`, and currency: money of two currencies is never added up."""
        found: dict[tuple[Any, str], Figures] = {}
        for row in self.rows:
            found.setdefault((getattr(row, by), row.currency), Figures()).add(row.figures)
        return [(key, currency, found[key, currency]) for key, currency in sorted(found)]

    def totals(self) -> list[tuple[str, Figures]]:
        """All figures, by currency."""
        found: dict[str, Figures] = {}
        for row in self.rows:
            found.setdefault(row.currency, Figures()).add(row.figures)
        return sorted(found.items())


def make_report(
    ledger: Ledger,
    zone: str,
    start: date | None = None,
    end: date | None = None,
    payer: str = "",
    asked_ahead: Collection[str] = (),
) -> Report:
    """The report of some days; by default of the last thirty up to today. Raises UsageError where they make no range.

    Payers that are `asked_ahead` are sent requests before a service, not bills: those have no money.
    """
    site = ZoneInfo(zone)
    last = end or max(ledger.clock().astimezone(site).date(), start or date.min)
    first = start or last - timedelta(days=DAYS - 1)
    if first > last:
        raise UsageError(f"--from {first} is after --to {last}")
    if (last - first).days >= MOST_DAYS:
        raise UsageError(f"--from: a report has at most {MOST_DAYS} days")
    rows: list[ReportRow] = []
    with ledger.reading() as connection:
        for day in _days(first, last):
            begins, ends = (_midnight(one, site) for one in (day, day + timedelta(days=1)))
            rows += _rows(day, figures.made_between(connection, begins, ends, payer), asked_ahead)
    return Report(first, last, zone, tuple(rows))


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins there: where clocks skip midnight, the first moment after it."""
    return datetime.combine(day, time.min, zone)


def _rows(day: date, found: Iterable[Any], asked_ahead: Collection[str]) -> list[ReportRow]:
    added: dict[tuple[str, str], Figures] = {}
    for group in found:
        counted = _figures(group, is_billed=group.payer not in asked_ahead)
        added.setdefault((group.payer, group.currency), Figures()).add(counted)
    return [ReportRow(day, *key, added[key]) for key in sorted(added)]


def _figures(group: Any, *, is_billed: bool) -> Figures:
    status, number = ClaimStatus(group.status), group.claims
    is_held, is_gone = status is ClaimStatus.HELD, status in GONE
    waits = is_held and not group.asked
    has_money = is_billed and not is_gone
    return Figures(
        received=number,
        waiting=number if waits else 0,
        automatic=0 if group.asked or waits else number,
        held=number if is_held else 0,
        sent=group.sent,
        accepted=number if status in _ACCEPTED else 0,
        denied=number if status is ClaimStatus.DENIED else 0,
        pended=number if status is ClaimStatus.QUEUED else 0,
        open=number if status in (ClaimStatus.READY, ClaimStatus.SENT, ClaimStatus.UNKNOWN) else 0,
        corrected=number if is_gone else 0,
        billed=group.billed if has_money else None,
        allowed=group.allowed if has_money else None,
        paid=group.paid if has_money else None,
        answered=group.answered,
        answer_seconds=int(group.answer_seconds or 0),
    )


def _tenths(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.1"), ROUND_HALF_UP)
