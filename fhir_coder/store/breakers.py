"""The payers' breakers: one row a payer, so that all workers see the same. `payers.breaker` says what they mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from fhir_coder.model import PayerState
from fhir_coder.store.events import Change, record
from fhir_coder.store.schema import breakers


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether claims go to a payer. Nothing goes before `resume_at`, where it is set.

    `failures` are those in a row, `openings` the probes that failed and the failure that opened it; `since` is when the
    state began, of a probe the state that it ends.
    """

    payer: str
    state: PayerState
    failures: int
    openings: int
    reason: str
    since: datetime
    resume_at: datetime | None = None


def of_payer(connection: Connection, payer: str, at: datetime) -> Breaker:
    """A payer's breaker; one that never failed is up."""
    row = connection.execute(select(breakers).where(breakers.c.payer == payer)).first()
    return _read(row._mapping) if row else Breaker(payer, PayerState.UP, 0, 0, "", at)


def of_all(connection: Connection) -> dict[str, Breaker]:
    """The breakers of all payers that ever failed."""
    return {row.payer: _read(row._mapping) for row in connection.execute(select(breakers).order_by(breakers.c.payer))}


def keep(connection: Connection, before: Breaker, now: Breaker, at: datetime) -> None:
    """Keep what became of a breaker, with an event where the payer went down or came up."""
    values = asdict(now)
    kept = insert(breakers).values(values)
    connection.execute(kept.on_conflict_do_update(index_elements=[breakers.c.payer], set_=values))
    was, becomes = (PayerState.UP if one.state is PayerState.UP else PayerState.DOWN for one in (before, now))
    if was is not becomes:
        record(connection, at, Change("payer", now.payer, was, becomes, now.reason))


def take_probe(connection: Connection, seen: Breaker, until: datetime) -> bool:
    """Take the right to try a payer that is down; false where another worker has it. It lapses at `until`."""
    is_seen = (breakers.c.payer == seen.payer) & (breakers.c.state == seen.state)
    is_seen &= breakers.c.resume_at == seen.resume_at
    probing = replace(seen, state=PayerState.PROBING, resume_at=until)
    return bool(connection.execute(update(breakers).where(is_seen).values(asdict(probing))).rowcount)


def _read(row: object) -> Breaker:
    known = dict(row)  # type: ignore[call-overload]  # SQLAlchemy's RowMapping is a mapping that mypy does not see
    return Breaker(**known | {"state": PayerState(known["state"])})
