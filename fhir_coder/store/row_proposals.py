"""Rows that people propose for all charts, until somebody else approves or rejects them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from fhir_coder.model import Kind
from fhir_coder.store.worklist_schema import proposals

WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"
"""Where a proposal stands."""


@dataclass(frozen=True, slots=True)
class RowProposal:
    """A row that is proposed: for which code, its cells as its table's CSV would have them, by whom and why."""

    item_id: int
    kind: Kind
    system: str
    code: str
    cells: dict[str, str]
    why: str
    actor: str


def keep(connection: Connection, one: RowProposal, at: datetime) -> int:
    """Keep a proposal; answers its number."""
    row = {
        "item_id": one.item_id,
        "kind": one.kind.value,
        "system": one.system[:200],
        "code": one.code[:200],
        "cells": orjson.dumps(one.cells).decode(),
        "why": one.why,
        "status": WAITING,
        "proposed_by": one.actor,
        "proposed_at": at,
        "decided_by": "",
        "decided_why": "",
    }
    result = connection.execute(insert(proposals).values(row))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def settle(connection: Connection, number: int, status: str, actor: str, why: str, at: datetime) -> bool:
    """Approve or reject a proposal that waits; false where it does not wait any more."""
    waits = (proposals.c.id == number) & (proposals.c.status == WAITING)
    values = {"status": status, "decided_by": actor, "decided_why": why, "decided_at": at}
    return bool(connection.execute(update(proposals).where(waits).values(values)).rowcount)


def drop_waiting(connection: Connection, item_id: int, actor: str, why: str, at: datetime) -> None:
    """Nobody has to look at the rows of an item any more: it is settled."""
    waits = (proposals.c.item_id == item_id) & (proposals.c.status == WAITING)
    values = {"status": REJECTED, "decided_by": actor, "decided_why": why, "decided_at": at}
    connection.execute(update(proposals).where(waits).values(values))


def waiting_of(connection: Connection, item_id: int) -> Row[Any] | None:
    """The proposal that waits for an item's review, None where there is none."""
    waits = (proposals.c.item_id == item_id) & (proposals.c.status == WAITING)
    return connection.execute(select(proposals).where(waits).order_by(proposals.c.id.desc()).limit(1)).first()


def about_code(connection: Connection, system: str, code: str, limit: int) -> list[Row[Any]]:
    """The newest proposals about a code, in whatever item."""
    same = (proposals.c.code == code[:200]) & (proposals.c.system == system[:200])
    return list(connection.execute(select(proposals).where(same).order_by(proposals.c.id.desc()).limit(limit)).all())


def cells_of(row: Row[Any]) -> dict[str, str]:
    """A proposal's row as its table's CSV would have it."""
    cells: dict[str, str] = orjson.loads(row.cells)
    return cells
