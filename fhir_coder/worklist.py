"""People's work: what waits for a decision."""

from __future__ import annotations

from typing import Any

from fhir_coder.errors import NotFoundError
from fhir_coder.store import Ledger, items


def list_open(ledger: Ledger, limit: int = 200) -> list[Any]:
    """Open work items, oldest first."""
    with ledger.reading() as connection:
        return list(items.open_items(connection, limit))


def close(ledger: Ledger, item_id: int, why: str, actor: str) -> None:
    """Close a work item that a person has settled outside. Raises NotFoundError where no such item is open."""
    with ledger.writing() as connection:
        if not any(item.id == item_id for item in items.open_items(connection, limit=1_000_000)):
            raise NotFoundError(f"no open work item {item_id}: fhir-coder work list shows them")
        items.close_items(connection, ledger.clock(), [item_id], why, actor)
