"""Work items: what a person must decide. One open item an identity; it closes when its cause is gone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, String, cast, insert, select, update

from fhir_coder.store.events import Change, record
from fhir_coder.store.schema import events, work_items

OWN_ACTOR = "fhir-coder"
"""Who closes an item when its cause is gone; any other actor is a person."""


@dataclass(frozen=True, slots=True)
class Item:
    """A work item. `kind` is one of docs/reference/statuses.md."""

    identity: str
    kind: str
    reason: str
    text: str = ""
    chart_key: str = ""
    claim_id: str = ""
    message_id: str = ""


def open_item(connection: Connection, at: datetime, item: Item) -> None:
    """Open a work item, unless one of its identity is open."""
    is_open = select(work_items.c.id).where(
        work_items.c.identity == item.identity[:500], work_items.c.closed_at.is_(None)
    )
    if connection.execute(is_open).first():
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
    item_id = str(result.inserted_primary_key[0]) if result.inserted_primary_key else ""
    record(connection, at, Change("work_item", item_id, "", "open", item.reason))


def close_items(connection: Connection, at: datetime, rows: Collection[int], why: str, actor: str = OWN_ACTOR) -> None:
    """Close work items by id."""
    for item_id in rows:
        connection.execute(update(work_items).where(work_items.c.id == item_id).values(closed_at=at))
        record(connection, at, Change("work_item", str(item_id), "open", "closed", why, actor))


def close_identity(connection: Connection, at: datetime, identity: str, why: str) -> None:
    """Close the open item of an identity, if there is one."""
    query = select(work_items.c.id).where(work_items.c.identity == identity[:500], work_items.c.closed_at.is_(None))
    close_items(connection, at, list(connection.execute(query).scalars()), why)


def sync_items(
    connection: Connection,
    at: datetime,
    chart_key: str,
    wanted: Collection[Item],
    kinds: Collection[str] = ("gap", "finding"),
) -> None:
    """Make the open items of a chart, of some kinds, exactly the wanted ones."""
    query = select(work_items.c.id, work_items.c.identity).where(
        work_items.c.chart_key == chart_key,
        work_items.c.closed_at.is_(None),
        work_items.c.kind.in_(kinds),
    )
    identities = {item.identity[:500] for item in wanted}
    gone = [row.id for row in connection.execute(query) if row.identity not in identities]
    close_items(connection, at, gone, "its cause is gone")
    for item in wanted:
        open_item(connection, at, item)


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


def open_items(connection: Connection, limit: int = 100) -> list[Any]:
    """Open work items, oldest first."""
    query = select(work_items).where(work_items.c.closed_at.is_(None)).order_by(work_items.c.id).limit(limit)
    return list(connection.execute(query).all())
