"""Event rows: who or what changed what, when, from, to, why. Written in the transaction of the change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import events


@dataclass(frozen=True, slots=True)
class Change:
    """One change of status. `subject` is message, claim, chart, work_item, worklist, table, payer, answer
    or ledger."""

    subject: str
    subject_id: str
    from_status: str
    to_status: str
    why: str
    actor: str = "fhir-coder"


def record(connection: Connection, at: datetime, change: Change) -> None:
    """Write one event."""
    record_all(connection, at, [change])


def record_all(connection: Connection, at: datetime, changes: Sequence[Change]) -> None:
    """Write events in their order."""
    rows = [
        {
            "at": at,
            "actor": change.actor,
            "subject": change.subject,
            "subject_id": change.subject_id,
            "from_status": change.from_status,
            "to_status": change.to_status,
            "why": change.why,
        }
        for change in changes
    ]
    _RECORD.run_all(connection, rows)


_RECORD = Prepared(insert(events), ("at", "actor", "subject", "subject_id", "from_status", "to_status", "why"))


def last_at(connection: Connection) -> datetime | None:
    """When the last event was written, by the clock of then; None where there is none."""
    newest = select(func.max(events.c.id)).scalar_subquery()
    return connection.execute(select(events.c.at).where(events.c.id == newest)).scalar()


def events_of(connection: Connection, subject: str, subject_id: str) -> list[Any]:
    """The events of one thing, oldest first."""
    return _EVENTS_OF.rows(connection, {"kind": subject, "one": subject_id})


_EVENTS_OF = Prepared(
    select(events)
    .where(events.c.subject == bindparam("kind"), events.c.subject_id == bindparam("one"))
    .order_by(events.c.id)
)
