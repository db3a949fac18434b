"""Charts as they were last folded, and claims that move with their visit. All runs inside one write transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from fhir_coder.model import IN_FLIGHT, STANDS, TAKEN_BY_PAYER, Chart, ClaimStatus, Purpose, VisitStakes
from fhir_coder.store import claims, items
from fhir_coder.store.claims import ClaimRow
from fhir_coder.store.events import Change, record
from fhir_coder.store.prepared import Prepared, PreparedChange
from fhir_coder.store.schema import charts, topic_refs, work_items
from fhir_coder.store.schema import claims as claim_table

_MAY_BE_PAID = TAKEN_BY_PAYER | IN_FLIGHT
_MAY_STAND = STANDS | IN_FLIGHT | {ClaimStatus.READY}
_UNSENT = frozenset({ClaimStatus.HELD, ClaimStatus.READY})


@dataclass(frozen=True, slots=True)
class Folded:
    """A chart as it was folded: where its visit stands, its canonical JSON, and what the worklist orders it by."""

    chart: Chart
    status: str
    body: bytes
    stakes: VisitStakes


def keep_folded(connection: Connection, folded: Folded, at: datetime) -> None:
    """Keep a chart as it was folded now."""
    chart, body, stakes = folded.chart, folded.body, folded.stakes
    values = {
        "folded_at": at,
        "cancelled": chart.cancelled,
        "status": folded.status,
        "messages": len(chart.messages),
        "moved_to": chart.moved_to or None,
        "body": body,
        "content_hash": hashlib.sha256(body).hexdigest(),
        "care": stakes.care.value,
        "specialty": stakes.specialty[:64],
        "is_emergency": stakes.is_emergency,
        "charged": format(stakes.charged.value, "f") if stakes.charged else "",
        "currency": stakes.charged.currency if stakes.charged else "",
    }
    _CHANGE.run(connection, chart.key, values)


def body_of(connection: Connection, key: str) -> bytes | None:
    """A chart as it was last folded, None where it was not yet."""
    found: bytes | None = connection.execute(select(charts.c.body).where(charts.c.key == key)).scalar()
    return found


def is_drawn_on(connection: Connection, key: str) -> bool:
    """Whether another chart draws on a chart key: its visit has moved, or had."""
    return _DRAWS_ON.first(connection, {"chart": key}) is not None


_DRAWS_ON = Prepared(select(func.min(topic_refs.c.topic)).where(topic_refs.c.ref == bindparam("chart")))
_CHANGE = PreparedChange(charts.c.key)


@dataclass(frozen=True, slots=True)
class _Move:
    """A visit that moved, with the claims made under its former key and under its present one."""

    from_key: str
    to_key: str
    left: Sequence[ClaimRow]
    there: Sequence[ClaimRow]

    @property
    def why(self) -> str:
        return f"its visit moved to {self.to_key}"


def move_claims(connection: Connection, from_key: str, to_key: str, at: datetime) -> None:
    """Settle the claims of a visit whose chart key was `from_key` and is `to_key`.

    A claim that was not sent is voided: the visit is billed under its present key. What the payer has, or may have,
    moves, so that the next claim replaces it. Where the payer has claims of both, those of the former key stay there
    and its chart takes them back.
    """
    rows = [_claims_of(connection, key) for key in (from_key, to_key)]
    move = _Move(from_key, to_key, *rows)
    if not move.left:
        return
    if not _sent(move.left):
        _void(connection, move.left, move.why, at)
    elif not _sent(move.there):
        _void(connection, move.there, f"its visit has claims made under {from_key}", at)
        _bring(connection, move, at)


def is_billed_under(connection: Connection, keys: Collection[str]) -> bool:
    """Whether a claim made under one of these chart keys stands at a payer, or may come to stand there."""
    if not keys:
        return False
    may_stand = claim_table.c.status.in_(status.value for status in _MAY_STAND)
    named = claim_table.c.chart_key.in_(keys) & (claim_table.c.purpose != Purpose.VOID.value) & may_stand
    return connection.execute(select(claim_table.c.id).where(named).limit(1)).first() is not None


def _claims_of(connection: Connection, key: str) -> list[ClaimRow]:
    query = select(claim_table).where(claim_table.c.chart_key == key).order_by(claim_table.c.revision)
    return list(connection.execute(query).all())


def _sent(rows: Sequence[ClaimRow]) -> list[ClaimRow]:
    return [row for row in rows if ClaimStatus(row.status) in _MAY_BE_PAID and row.purpose != Purpose.VOID]


def _void(connection: Connection, rows: Sequence[ClaimRow], why: str, at: datetime) -> None:
    for row in rows:
        if ClaimStatus(row.status) in _UNSENT:
            claims.move(connection, row, ClaimStatus.VOIDED, why, at)
            _close_items(connection, {row.id}, why, at)


def _bring(connection: Connection, move: _Move, at: datetime) -> None:
    """Give the claims their visit's present key. Their revisions come after those there: the newest of them counts."""
    highest: dict[str, int] = {}
    for row in move.there:
        highest[row.slot] = max(row.revision, highest.get(row.slot, 0))
    for row in reversed(move.left):
        values = {"chart_key": move.to_key, "revision": row.revision + highest.get(row.slot, 0), "updated_at": at}
        connection.execute(update(claim_table).where(claim_table.c.id == row.id).values(values))
        record(connection, at, Change("claim", row.id, row.status, row.status, move.why))
        matches = (work_items.c.claim_id == row.id) & work_items.c.closed_at.is_(None)
        connection.execute(update(work_items).where(matches).values(chart_key=move.to_key))


def _close_items(connection: Connection, claim_ids: Collection[str], why: str, at: datetime) -> None:
    query = select(work_items.c.id).where(work_items.c.claim_id.in_(claim_ids), work_items.c.closed_at.is_(None))
    items.close_items(connection, at, list(connection.execute(query).scalars()), why)
