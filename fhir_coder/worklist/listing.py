"""Lists of work items: by queue, in the order they are wanted, a page at a time by key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from fhir_coder.errors import NotFoundError, UsageError
from fhir_coder.model import ItemStatus
from fhir_coder.store import Ledger, groups, leases
from fhir_coder.store.events import events_of
from fhir_coder.store.schema import work_items
from fhir_coder.store.worklist_schema import work_groups
from fhir_coder.worklist.items import EVERY_OPEN, Page, Part, Queue, WorkItem, item_of, part_of_row

_MOST = 500


@dataclass(frozen=True, slots=True)
class QueueCount:
    """How many items of one care, specialty, payer and kind are open, and when the first of them is wanted done."""

    care: str
    specialty: str
    payer: str
    kind: str
    items: int
    first_due_at: datetime


def list_items(ledger: Ledger, queue: Queue = EVERY_OPEN, limit: int = 50, after: str = "") -> Page:
    """A page of items, what is wanted first in front. `after` is that of the page before. Raises UsageError."""
    wanted = [*conditions_of(queue), *_after(after)]
    rules, limit = leases.end_holds(ledger), min(limit, _MOST)
    with ledger.reading() as connection:
        rows = _rows(connection, wanted, limit + 1)
    now = ledger.clock()
    items = tuple(item_of(row, rules, now) for row in rows[:limit])
    return Page(items, _key(items[-1]) if len(rows) > limit else "")


def find_item(ledger: Ledger, item_id: int) -> WorkItem:
    """An item, open or closed, by its number or that of one of its parts. Raises NotFoundError."""
    with ledger.reading() as connection:
        group = groups.group_of_item(connection, item_id)
        rows = _rows(connection, [work_groups.c.id == group.id], 1) if group is not None else []
        rules = groups.load_rules(connection)
    if not rows:
        raise NotFoundError(f"no work item {item_id}: fhir-coder work list shows them")
    return item_of(rows[0], rules, ledger.clock())


def parts_of(ledger: Ledger, item_id: int, limit: int = 100, after: int = 0) -> list[Part]:
    """The open charts, claims or messages of an item in the order they came; `after` is the number of the last seen."""
    with ledger.reading() as connection:
        group = groups.group_of_item(connection, item_id)
        rows = groups.open_parts(connection, group.id, min(limit, _MOST), after) if group is not None else []
    return [part_of_row(row) for row in rows]


def history_of(ledger: Ledger, item_id: int) -> list[Any]:
    """What happened to an item, oldest first: rows with `at`, `actor`, `from_status`, `to_status` and `why`."""
    with ledger.reading() as connection:
        return events_of(connection, groups.SUBJECT, str(item_id))


def queues(ledger: Ledger) -> list[QueueCount]:
    """The open items by care, specialty, payer and kind: what has to be done first in front."""
    leases.end_holds(ledger)
    by = (work_groups.c.care, work_groups.c.specialty, work_groups.c.payer, work_groups.c.kind)
    first = func.min(work_groups.c.due_at)
    query = select(*by, func.count().label("items"), first.label("first_due_at"))
    query = query.where(work_groups.c.status == ItemStatus.OPEN.value).group_by(*by).order_by(first)
    with ledger.reading() as connection:
        return [QueueCount(*row) for row in connection.execute(query)]


def counts_by_status(ledger: Ledger) -> dict[str, int]:
    """How many items there are in each status but closed."""
    query = select(work_groups.c.status, func.count()).where(work_groups.c.status != ItemStatus.CLOSED.value)
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(work_groups.c.status))}


def _rows(connection: Connection, wanted: list[ColumnElement[bool]], limit: int) -> list[Any]:
    """Items with the keys of their first part: the one whose number they have."""
    first = (work_items.c.chart_key, work_items.c.claim_id, work_items.c.message_id)
    query = select(work_groups, *first).outerjoin(work_items, work_items.c.id == work_groups.c.id)
    ordered = query.where(*wanted).order_by(work_groups.c.due_at, work_groups.c.id).limit(limit)
    return list(connection.execute(ordered).all())


def conditions_of(queue: Queue) -> list[ColumnElement[bool]]:
    """A queue as conditions. Raises UsageError."""
    if queue.status not in set(map(str, ItemStatus)):
        raise UsageError(f"the status of an item is one of {', '.join(ItemStatus)}")
    return [work_groups.c[name] == value for name, value in queue.attributes().items()]


def _key(item: WorkItem) -> str:
    return f"{item.due_at.isoformat()}~{item.id}"


def _after(key: str) -> list[ColumnElement[bool]]:
    if not key:
        return []
    due, _, number = key.partition("~")
    try:
        at, item_id = datetime.fromisoformat(due), int(number)
    except ValueError:
        raise UsageError("this is no place to continue a list at: begin it anew") from None
    if at.tzinfo is None:
        raise UsageError("this is no place to continue a list at: begin it anew")
    later = or_(work_groups.c.due_at > at, and_(work_groups.c.due_at == at, work_groups.c.id > item_id))
    return [work_groups.c.due_at >= at, later]
