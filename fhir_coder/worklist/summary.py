"""A day's figures, and what one shift tells the next. Figures count work, they do not rank people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from fhir_coder.errors import UsageError
from fhir_coder.model import ItemStatus
from fhir_coder.store import Ledger, done, groups, handovers, leases
from fhir_coder.store.worklist_schema import work_groups
from fhir_coder.worklist.items import Queue, WorkItem, item_of
from fhir_coder.worklist.listing import conditions_of, counts_by_status, list_items

_SETTLES = frozenset({"decide", "propose", "approve", "reject", "close", "review", "query"})
"""What counts as done; to skip an item does not."""
_MOST_TEXT = 4_000
_NOTES = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """What somebody, or everybody, did in a day. `hours` are those from taking items to settling them.

    `target_charts` is the site's figure for one person's day, 0 where it has none.
    """

    actor: str
    items: int
    charts: int
    hours: Decimal
    actions: dict[str, int] = field(default_factory=dict)
    target_charts: int = 0

    @property
    def items_an_hour(self) -> Decimal | None:
        """Items settled an hour of work at them, None where no time was taken down."""
        return (self.items / self.hours).quantize(Decimal("0.1")) if self.hours else None

    @property
    def charts_an_hour(self) -> Decimal | None:
        """Charts settled an hour, None where no time was taken down."""
        return (self.charts / self.hours).quantize(Decimal("0.1")) if self.hours else None


@dataclass(frozen=True, slots=True)
class DaySummary:
    """The end of a day: what was done and what is left. `left` counts items by status, without those that are closed.

    `overdue` and `due_tomorrow` count open items; `on_desks` are those that somebody still has.
    """

    day: date
    opened: int
    closed: int
    team: Figures
    people: tuple[Figures, ...]
    left: dict[str, int]
    overdue: int
    due_tomorrow: int
    oldest: WorkItem | None
    on_desks: tuple[WorkItem, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """What one shift told the next about a queue."""

    at: datetime
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Handover:
    """A queue as it is handed over: the newest notes, how much is open, what is wanted first, and what waits."""

    queue: str
    notes: tuple[Note, ...]
    open: int
    overdue: int
    first: tuple[WorkItem, ...]
    waits: tuple[WorkItem, ...]
    on_desks: tuple[WorkItem, ...]


def day_summary(ledger: Ledger, day: date, time_zone: str = "UTC", target_charts: int = 0) -> DaySummary:
    """The figures of a day of a time zone. `people` stand in the order of their names, whatever they did."""
    since, until = _bounds(day, time_zone)
    leases.end_holds(ledger)
    with ledger.reading() as connection:
        rows = done.between(connection, since, until)
        opened = _count(connection, work_groups.c.opened_at >= since, work_groups.c.opened_at < until)
        closed = _count(connection, work_groups.c.closed_at >= since, work_groups.c.closed_at < until)
        now = ledger.clock()
        is_open = work_groups.c.status == ItemStatus.OPEN.value
        overdue = _count(connection, is_open, work_groups.c.due_at < now)
        soon = _count(
            connection, is_open, work_groups.c.due_at >= now, work_groups.c.due_at < until + timedelta(days=1)
        )
    names = sorted({row.actor for row in rows})
    people = tuple(_figures(name, [row for row in rows if row.actor == name], target_charts) for name in names)
    first = list_items(ledger, limit=1).items
    left = counts_by_status(ledger)
    team = _figures("", rows, target_charts * len(people))
    oldest, desks = first[0] if first else None, tuple(_on_desks(ledger))
    return DaySummary(day, opened, closed, team, people, left, overdue, soon, oldest, desks)


def hand_over(ledger: Ledger, queue: Queue, text: str, actor: str) -> None:
    """Leave the next shift a note about a queue. Raises UsageError."""
    if not text.strip() or len(text) > _MOST_TEXT:
        raise UsageError(f"a note has 1 to {_MOST_TEXT:,} characters")
    with ledger.writing() as connection:
        handovers.keep(connection, queue.name, text, actor, ledger.clock())


def handover_of(ledger: Ledger, queue: Queue) -> Handover:
    """A queue as it is handed over now."""
    first = list_items(ledger, queue, 5).items
    with ledger.reading() as connection:
        notes = tuple(Note(row.at, row.actor, row.text) for row in handovers.newest(connection, queue.name, _NOTES))
        wanted = conditions_of(queue)
        number = _count(connection, *wanted)
        overdue = _count(connection, *wanted, work_groups.c.due_at < ledger.clock())
    waits = [
        item
        for status in (ItemStatus.ASKED, ItemStatus.HELD, ItemStatus.REVIEW)
        for item in list_items(ledger, _with_status(queue, status), 20).items
    ]
    desks = tuple(item for item in _on_desks(ledger) if _is_in(item, queue))
    return Handover(queue.name, notes, number, overdue, first, tuple(waits), desks)


def _with_status(queue: Queue, status: ItemStatus) -> Queue:
    return Queue(queue.care, queue.specialty, queue.payer, queue.kind, queue.reason, status.value)


def _is_in(item: WorkItem, queue: Queue) -> bool:
    names = ("care", "specialty", "payer", "kind", "reason")
    return all(getattr(queue, name) in ("", getattr(item, name)) for name in names)


def _on_desks(ledger: Ledger) -> list[WorkItem]:
    """The items that somebody has now, in the order of names."""
    now = ledger.clock()
    is_taken = (work_groups.c.taken_by != "") & (work_groups.c.taken_until > now)
    with ledger.reading() as connection:
        query = select(work_groups).where(is_taken).order_by(work_groups.c.taken_by, work_groups.c.id).limit(500)
        rows = connection.execute(query).all()
        rules = groups.load_rules(connection)
    return [item_of(row, rules, now) for row in rows]


def _figures(actor: str, rows: Sequence[Any], target_charts: int) -> Figures:
    settled = [row for row in rows if row.action in _SETTLES]
    hours = Decimal(sum(row.seconds for row in rows)) / 3600
    actions = dict(sorted(Counter(row.action for row in rows).items()))
    items, charts = len({row.item_id for row in settled}), sum(row.charts for row in settled)
    return Figures(actor, items, charts, hours.quantize(Decimal("0.01")), actions, target_charts)


def _count(connection: Connection, *wanted: Any) -> int:
    return int(connection.execute(select(func.count()).select_from(work_groups).where(*wanted)).scalar_one())


def _bounds(day: date, time_zone: str) -> tuple[datetime, datetime]:
    zone = ZoneInfo(time_zone)
    first, last = (datetime.combine(d, time(), zone).astimezone(UTC) for d in (day, day + timedelta(days=1)))
    return first, last
