"""Notes that one shift leaves the next, by queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from fhir_coder.store.worklist_schema import handovers


def keep(connection: Connection, queue: str, text: str, actor: str, at: datetime) -> None:
    """Keep a note about a queue."""
    connection.execute(insert(handovers).values(queue=queue[:200], text=text, actor=actor, at=at))


def newest(connection: Connection, queue: str, limit: int) -> list[Row[Any]]:
    """The newest notes about a queue."""
    query = select(handovers).where(handovers.c.queue == queue[:200]).order_by(handovers.c.id.desc()).limit(limit)
    return list(connection.execute(query).all())
