"""What people did to work items, counted: for figures of a day, never a log of what they looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from fhir_coder.store.groups import GroupRow
from fhir_coder.store.worklist_schema import work_done

_LONGEST = 4 * 3600.0
"""Seconds that one item may count for: who goes home with an item taken has not worked on it all night."""


def keep(
    connection: Connection, group: GroupRow, action: str, actor: str, at: datetime, charts: int | None = None
) -> None:
    """Count what was done to an item; by default to all its charts."""
    is_theirs = group.taken_by == actor and group.taken_at is not None
    seconds = (at - group.taken_at).total_seconds() if is_theirs else 0.0
    row = {
        "at": at,
        "actor": actor,
        "item_id": group.id,
        "action": action,
        "kind": group.kind,
        "charts": group.charts if charts is None else charts,
        "amount": group.amount,
        "seconds": min(seconds, _LONGEST),
    }
    connection.execute(insert(work_done).values(row))


def between(connection: Connection, since: datetime, until: datetime) -> list[Row[Any]]:
    """What was done in a time, oldest first."""
    in_time = (work_done.c.at >= since) & (work_done.c.at < until)
    return list(connection.execute(select(work_done).where(in_time).order_by(work_done.c.id)).all())
