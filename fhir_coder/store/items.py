"""Work items: what a person must decide. One open item an identity; it closes when its cause is gone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, String, bindparam, cast, insert, select, update

from fhir_coder.model import ItemStatus
from fhir_coder.store import groups, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import events, work_items
from fhir_coder.store.worklist_schema import work_groups

OWN_ACTOR = "fhir-coder"
"""Who closes an item when its cause is gone; any other actor is a person."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a person must decide. `kind` is one of docs/reference/statuses.md.

    All open ones of a kind with the same `solved_by` are one item of the worklist; where it is empty, each is its own.
    `answer_by` is a deadline that a payer has set, `amount` what waits where it is not the whole of the claim.
    `not_for` may not take it: whose work it reviews.
    """

    identity: str
    kind: str
    reason: str
    text: str = ""
    chart_key: str = ""
    claim_id: str = ""
    message_id: str = ""
    solved_by: str = ""
    answer_by: date | None = None
    amount: Decimal | None = None
    not_for: str = ""

    @property
    def group_key(self) -> str:
        """What makes items of the worklist one."""
        return (f"{self.kind}:{self.solved_by}" if self.solved_by else self.identity)[:500]


def open_item(connection: Connection, at: datetime, item: Item) -> None:
    """Open a work item, unless one of its identity is open."""
    is_open = select(work_items).where(work_items.c.identity == item.identity[:500], work_items.c.closed_at.is_(None))
    known = connection.execute(is_open).first()
    part = groups.part_of(connection, item.chart_key, item.claim_id, item.answer_by, item.amount)
    if known:
        groups.stay(connection, at, known, part)
        return
    row = {
        "identity": item.identity[:500],
        "kind": item.kind,
        "chart_key": item.chart_key,
        "claim_id": item.claim_id,
        "message_id": item.message_id,
        "reason": item.reason,
        "text": item.text,
        "opened_at": at,
    }
    result = connection.execute(insert(work_items).values(row))
    number = int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0
    record(connection, at, Change("work_item", str(number), "", "open", item.reason))
    opened = groups.Opened(number, item.group_key, item.kind, item.reason, item.text, item.not_for)
    groups.join(connection, at, opened, part)


def close_items(connection: Connection, at: datetime, rows: Collection[int], why: str, actor: str = OWN_ACTOR) -> None:
    """Close work items by id."""
    for item_id in rows:
        connection.execute(update(work_items).where(work_items.c.id == item_id).values(closed_at=at))
        record(connection, at, Change("work_item", str(item_id), "open", "closed", why, actor))
        closed = connection.execute(select(work_items).where(work_items.c.id == item_id)).one()
        groups.leave(connection, at, closed, why, actor)


def close_identity(connection: Connection, at: datetime, identity: str, why: str) -> None:
    """Close the open item of an identity, if there is one."""
    found = _OPEN_ONE.fetch_all(connection, {"item": identity[:500]})
    close_items(connection, at, [number for (number,) in found], why)


_OPEN_ONE = Prepared(
    select(work_items.c.id).where(work_items.c.identity == bindparam("item"), work_items.c.closed_at.is_(None))
)


def sync_items(
    connection: Connection,
    at: datetime,
    chart_key: str,
    wanted: Collection[Item],
    kinds: Collection[str] = ("gap", "finding"),
) -> None:
    """Make the open items of a chart, of some kinds, exactly the wanted ones."""
    identities = {item.identity[:500] for item in wanted}
    now_open = _OPEN_OF_CHART.fetch_all(connection, {"chart": chart_key})
    gone = [number for number, identity, kind in now_open if kind in kinds and identity not in identities]
    for item in wanted:  # before the others close: what asks the same with another reason stays one item
        open_item(connection, at, item)
    close_items(connection, at, gone, "its cause is gone")


_OPEN_OF_CHART = Prepared(
    select(work_items.c.id, work_items.c.identity, work_items.c.kind).where(
        work_items.c.chart_key == bindparam("chart"), work_items.c.closed_at.is_(None)
    )
)


def ask_for_released(connection: Connection, at: datetime) -> int:
    """Ask for the charts of items whose row was approved, in the order they are wanted. Their number."""
    is_released = work_groups.c.status == ItemStatus.RELEASED.value
    query = select(work_groups.c.id).where(is_released).order_by(work_groups.c.due_at)
    found = list(connection.execute(query).scalars())
    keys = list(dict.fromkeys(key for one in found for key in groups.charts_in_order(connection, one)))
    for number, key in enumerate(keys):
        work.ask(connection, "chart", key, at + timedelta(microseconds=number - len(keys)))
    return len(keys)


def settled_by_a_person(connection: Connection, chart_key: str) -> set[str]:
    """The identities of a chart's items that a person closed: decided, not to be asked again."""
    closed = (events.c.subject == "work_item") & (events.c.subject_id == cast(work_items.c.id, String))
    by_a_person = (events.c.to_status == "closed") & (events.c.actor != OWN_ACTOR)
    query = select(work_items.c.identity).join(events, closed & by_a_person).where(work_items.c.chart_key == chart_key)
    return set(connection.execute(query).scalars())


def open_item_of_id(connection: Connection, item_id: int) -> Any:
    """An open work item by its number, None where there is none."""
    query = select(work_items).where(work_items.c.id == item_id, work_items.c.closed_at.is_(None))
    return connection.execute(query).first()


def open_part_of(connection: Connection, item_id: int) -> Any:
    """An open work item by its number or that of the worklist's item it is part of, None where none is open."""
    group = groups.group_of_item(connection, item_id)
    parts = groups.open_parts(connection, group.id, 1) if group is not None else []
    return open_item_of_id(connection, item_id) or (parts[0] if parts else None)


def first_part(connection: Connection, group_id: int) -> Any:
    """The keys of the first part of a worklist's item, which has the item's number."""
    keys = (work_items.c.chart_key, work_items.c.claim_id, work_items.c.message_id)
    return connection.execute(select(*keys).where(work_items.c.id == group_id)).first()


def open_parts_of_chart(connection: Connection, group_id: int, chart_key: str) -> list[Any]:
    """The open parts of a worklist's item that are about one chart."""
    is_part = (work_items.c.chart_key == chart_key) & (work_items.c.group_id == group_id)
    query = select(work_items).where(is_part, work_items.c.closed_at.is_(None)).order_by(work_items.c.id)
    return list(connection.execute(query).all())


def number_of(connection: Connection, identity: str) -> int:
    """The number of the open item of an identity, 0 where there is none."""
    query = select(work_items.c.id).where(work_items.c.identity == identity[:500], work_items.c.closed_at.is_(None))
    return int(connection.execute(query).scalar() or 0)


def open_items(connection: Connection, limit: int = 100) -> list[Any]:
    """Open work items, oldest first."""
    query = select(work_items).where(work_items.c.closed_at.is_(None)).order_by(work_items.c.id).limit(limit)
    return list(connection.execute(query).all())
