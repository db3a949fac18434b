"""People's work: what waits for a decision."""

from __future__ import annotations

from typing import Any

from fhir_coder.store import Ledger, items


def list_open(ledger: Ledger, limit: int = 200) -> list[Any]:
    """Open work items, oldest first."""
    with ledger.reading() as connection:
        return list(items.open_items(connection, limit))
