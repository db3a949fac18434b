"""People's work: what waits for a decision."""

from __future__ import annotations

from typing import Any

from fhir_coder.errors import NotFoundError
from fhir_coder.store import Ledger, items, work


def list_open(ledger: Ledger, limit: int = 200) -> list[Any]:
    """Open work items, oldest first."""
    with ledger.reading() as connection:
        return list(items.open_items(connection, limit))


def close(ledger: Ledger, item_id: int, why: str, actor: str) -> None:
    """Close a work item that a person has settled. Raises NotFoundError where no such item is open.

    Its chart is looked at again: a part of a message that could not be used is then left out by the person's decision;
    a gap or any other finding comes back while its cause stands.
    """
    at = ledger.clock()
    with ledger.writing() as connection:
        item = items.open_item_of_id(connection, item_id)
        if item is None:
            raise NotFoundError(f"no open work item {item_id}: fhir-coder work list shows them")
        items.close_items(connection, at, [item_id], why, actor)
        if item.chart_key:
            work.ask(connection, "chart", item.chart_key, at)
