"""Claims in the ledger: lists without their bodies, and one claim with its whole story."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_, select

from fhir_coder.errors import NotFoundError
from fhir_coder.store import Ledger, claims, events
from fhir_coder.store.schema import claims as claim_table


@dataclass(frozen=True, slots=True)
class ClaimStory:
    """A claim with its attempts and events, oldest first, and the newest claims of the visit's other slots."""

    row: Any
    attempts: list[Any]
    events: list[Any]
    others: list[Any] = field(default_factory=list)


def list_claims(ledger: Ledger, status: str = "", limit: int = 50) -> list[Any]:
    """Claims without their bodies, newest first."""
    columns = [c for c in claim_table.c if c.name not in ("body", "explained")]
    query = select(*columns).order_by(claim_table.c.id.desc()).limit(limit)
    if status:
        query = query.where(claim_table.c.status == status)
    with ledger.reading() as connection:
        return list(connection.execute(query).all())


def claim_story(ledger: Ledger, name: str) -> ClaimStory:
    """A claim by its identifier, its ledger id, or its chart key. Raises NotFoundError.

    By chart key it is the newest revision of the claim to the first payer.
    """
    named = or_(claim_table.c.identifier == name, claim_table.c.id == name, claim_table.c.chart_key == name)
    query = select(claim_table).where(named).order_by(claim_table.c.revision.desc())
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
        if not rows:
            raise NotFoundError("no such claim: fhir-coder claims list shows them")
        row = min(rows, key=lambda r: int(r.slot.rpartition("-")[2]))
        slots = claims.of_chart(connection, row.chart_key)
        others = [newest for slot, (newest, *_) in slots.items() if slot != row.slot]
        history = events.events_of(connection, "claim", row.id)
        return ClaimStory(row, claims.attempts_of(connection, row.id), history, others)


def request_claims(ledger: Ledger, chart_key: str, actor: str) -> None:
    """Write down that a person asks for a visit's claims now. Raises NotFoundError."""
    with ledger.writing() as connection:
        if not claims.request(connection, chart_key, actor, ledger.clock()):
            raise NotFoundError("no such chart: fhir-coder charts list shows them")


def resubmit(ledger: Ledger, name: str, actor: str) -> str:
    """Put a claim that waits for a person back on its way; answers its status.

    A refused claim becomes ready again, unchanged; a parked one is looked up again. Raises NotFoundError.
    """
    story = claim_story(ledger, name)
    at = ledger.clock()
    with ledger.writing() as connection:
        return claims.resubmit(connection, claims.by_id(connection, story.row.id), actor, at)
