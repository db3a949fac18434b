"""When a ledger was restored from a backup: what it does not know since then, a payer may know."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from fhir_coder.model import ClaimStatus
from fhir_coder.store import claims
from fhir_coder.store.events import Change, record
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.store.schema import events

WHY = "the ledger was restored: the payer may have it"
"""Why a claim that this ledger did not send is looked up first."""

_SUBJECT, _NAME = "ledger", "restore"


def write_down(connection: Connection, backed_up_at: datetime, actor: str, at: datetime) -> int:
    """Write down that this is the ledger of a backup; answers how many claims are to be looked up at their payers.

    Each claim that was to be sent then may have been sent since: it is looked up before it is sent.
    """
    ready = select(claim_table.c.id).where(claim_table.c.status == ClaimStatus.READY.value)
    ids = list(connection.execute(ready).scalars())
    for claim_id in ids:
        row = claims.by_id(connection, claim_id)
        claims.move(connection, row, ClaimStatus.UNKNOWN, WHY, at)
        claims.ask_delivery(connection, "submit", claims.by_id(connection, claim_id), at)
    why = f"from a backup of {backed_up_at:%Y-%m-%d %H:%M:%S} UTC"
    record(connection, at, Change(_SUBJECT, _NAME, "", "restored", why, actor))
    return len(ids)


def last_at(connection: Connection) -> datetime | None:
    """When this ledger was restored last, None where it never was."""
    named = (events.c.subject == _SUBJECT) & (events.c.subject_id == _NAME)
    newest = select(func.max(events.c.id)).where(named).scalar_subquery()
    return connection.execute(select(events.c.at).where(events.c.id == newest)).scalar()
