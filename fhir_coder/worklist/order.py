"""Keeping open items in the order of the rules: grouped once after an upgrade, ordered anew when the rules change."""

from __future__ import annotations

from sqlalchemy import select

from fhir_coder.model import WorkRules
from fhir_coder.store import Ledger, groups
from fhir_coder.store.groups import Opened
from fhir_coder.store.schema import work_items

_AT_ONCE = 500


def keep_order(ledger: Ledger, rules: WorkRules) -> bool:
    """Order the open items by these rules from now on; false where they are ordered so already.

    Items that were opened before there was a worklist become part of it. In transactions of some hundred items: intake
    and workers go on meanwhile.
    """
    with ledger.reading() as connection:
        if groups.are_kept(connection, rules):
            return False
    with ledger.writing() as connection:
        groups.keep_rules(connection, rules)
    while _group_some(ledger):
        pass
    last: int | None = 0
    while last is not None:
        with ledger.writing(flush=False) as connection:
            last = groups.place_after(connection, last, _AT_ONCE)
    return True


def _group_some(ledger: Ledger) -> bool:
    is_loose = work_items.c.closed_at.is_(None) & work_items.c.group_id.is_(None)
    with ledger.writing(flush=False) as connection:
        rows = connection.execute(select(work_items).where(is_loose).order_by(work_items.c.id).limit(_AT_ONCE)).all()
        for row in rows:
            part = groups.part_of(connection, row.chart_key, row.claim_id)
            groups.join(connection, row.opened_at, Opened(row.id, row.identity, row.kind, row.reason, row.text), part)
    return len(rows) == _AT_ONCE
