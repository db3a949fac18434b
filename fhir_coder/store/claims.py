"""Claims in the ledger: filing what a chart gives, and the moves of a claim on its way to an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from fhir_coder.model import (
    IN_FLIGHT,
    Adjudication,
    ClaimDraft,
    ClaimStatus,
    Outcome,
    OutcomeKind,
    Purpose,
    Severity,
)
from fhir_coder.store import items, work
from fhir_coder.store.events import Change, events_of, record
from fhir_coder.store.ids import new_id
from fhir_coder.store.schema import attempts, charts, claims

ClaimRow = Row[Any]

_ABOUT = {Purpose.BILL: "replaces", Purpose.LATE_CHARGE: "late charges to", Purpose.VOID: "voids"}


_REQUESTED = "requested"


@dataclass(frozen=True, slots=True)
class Filed:
    """A draft with its bytes and content hash, ready to be filed."""

    draft: ClaimDraft
    body: bytes
    content_hash: str


def of_chart(connection: Connection, chart_key: str) -> dict[str, list[ClaimRow]]:
    """All claims of a chart by slot, the newest revision first."""
    query = select(claims).where(claims.c.chart_key == chart_key).order_by(claims.c.slot, claims.c.revision.desc())
    found: dict[str, list[ClaimRow]] = {}
    for row in connection.execute(query):
        found.setdefault(row.slot, []).append(row)
    return found


def has_other_slots(connection: Connection, row: ClaimRow) -> bool:
    """Whether a claim's visit has claims in other slots."""
    query = select(claims.c.id).where(claims.c.chart_key == row.chart_key, claims.c.slot != row.slot).limit(1)
    return connection.execute(query).first() is not None


def by_id(connection: Connection, claim_id: str) -> ClaimRow:
    """A claim by its id. Raises NoResultFound where there is none."""
    return connection.execute(select(claims).where(claims.c.id == claim_id)).one()


def by_identifier(connection: Connection, identifier: str) -> ClaimRow | None:
    """A claim by the identifier the payer knows it by."""
    return connection.execute(select(claims).where(claims.c.identifier == identifier)).first()


def is_in_flight(row: ClaimRow) -> bool:
    """Whether it is not known yet if the payer has this claim."""
    return ClaimStatus(row.status) in IN_FLIGHT


def ask_for_held(connection: Connection, at: datetime) -> int:
    """Ask for the charts of all claims held by gaps and findings: tables or settings may have changed. Their number."""
    held = select(claims.c.chart_key).where(claims.c.status == ClaimStatus.HELD.value, claims.c.hold == "edits")
    keys = list(connection.execute(held.distinct()).scalars())
    for key in keys:
        work.ask(connection, "chart", key, at)
    return len(keys)


def request(connection: Connection, chart_key: str, actor: str, at: datetime) -> bool:
    """Write down that a person asks for a chart's claims, and ask for the chart; false where there is no such chart."""
    if connection.execute(select(charts.c.key).where(charts.c.key == chart_key)).first() is None:
        return False
    record(connection, at, Change("chart", chart_key, "", _REQUESTED, "to be billed now", actor))
    work.ask(connection, "chart", chart_key, at)
    return True


def is_requested(connection: Connection, chart_key: str) -> bool:
    """Whether a person has asked for a chart's claims."""
    return any(e.to_status == _REQUESTED for e in events_of(connection, "chart", chart_key))


def mark_stale(connection: Connection, claim_id: str) -> None:
    """Remember that the chart changed while the claim was on its way."""
    connection.execute(update(claims).where(claims.c.id == claim_id).values(stale=True))


def insert_claim(connection: Connection, filed: Filed, at: datetime) -> str:
    """File a new revision; a ready one gets its submit work in the same transaction."""
    draft = filed.draft
    claim_id = new_id(at)
    row = _content(filed) | {
        "id": claim_id,
        "chart_key": draft.chart_key,
        "slot": draft.slot,
        "revision": draft.revision,
        "status": draft.status.value,
        "hold": "edits" if draft.status is ClaimStatus.HELD else "",
        "created_at": at,
        "updated_at": at,
    }
    connection.execute(insert(claims).values(row))
    about = f", {_ABOUT[draft.purpose]} {draft.replaces}" if draft.replaces else ""
    why = f"revision {draft.revision}{about}"
    if draft.status is ClaimStatus.HELD:
        why += f"; held by {_held_by(_explained(draft))}"
    record(connection, at, Change("claim", claim_id, "", draft.status, why))
    if draft.status is ClaimStatus.READY:
        work.ask(connection, "submit", claim_id, at)
    return claim_id


def rewrite_held(connection: Connection, row: ClaimRow, filed: Filed, at: datetime) -> None:
    """Put new content into a claim that nobody outside has seen; ready now, it gets its submit work."""
    status = filed.draft.status
    values = _content(filed) | {"hold": "edits" if status is ClaimStatus.HELD else "", "updated_at": at}
    connection.execute(update(claims).where(claims.c.id == row.id).values(values))
    holds, held = _held_by(_explained(filed.draft)), _held_by(row.explained)
    why = f"held by {holds}" if holds else f"settled: {held}" if held else "its chart changed"
    move(connection, row, status, why, at)
    if status is ClaimStatus.READY:
        work.ask(connection, "submit", row.id, at)


def explains_the_same(row: ClaimRow, filed: Filed) -> bool:
    """Whether a claim has the same traces, findings and gaps as a draft."""
    return bool(row.explained == _explained(filed.draft))


def _held_by(explained: str) -> str:
    """The edits and gap reasons that hold a claim, by name."""
    said = orjson.loads(explained)
    edits = {f["edit"] for f in said["findings"] if f["severity"] == Severity.REJECT}
    return ", ".join(sorted(edits | {g["reason"] for g in said["gaps"]}))


def _explained(draft: ClaimDraft) -> str:
    explained = {
        "traces": [asdict(t) for t in draft.traces],
        "findings": [asdict(f) for f in draft.findings],
        "gaps": [asdict(g) for g in draft.gaps],
    }
    return orjson.dumps(explained).decode()


def _content(filed: Filed) -> dict[str, object]:
    draft = filed.draft
    return {
        "identifier": draft.identifier,
        "payer": draft.payer,
        "body": filed.body,
        "content_hash": filed.content_hash,
        "explained": _explained(draft),
        "total": format(draft.total.value, "f") if draft.total else "",
        "currency": draft.total.currency if draft.total else "",
        "replaces": draft.replaces,
        "purpose": draft.purpose.value,
        "file_by": draft.file_by,
        "stale": False,
    }


def move(connection: Connection, row: ClaimRow, status: ClaimStatus, why: str, at: datetime) -> None:
    """Change a claim's status, with its event. No change, no event."""
    if row.status == status:
        return
    connection.execute(update(claims).where(claims.c.id == row.id).values(status=status.value, updated_at=at))
    record(connection, at, Change("claim", row.id, row.status, status, why))


def hold(connection: Connection, row: ClaimRow, reason: str, why: str, at: datetime) -> None:
    """Hold a claim for a person. `reason` is `edits` or `refused`."""
    connection.execute(update(claims).where(claims.c.id == row.id).values(hold=reason))
    move(connection, row, ClaimStatus.HELD, why, at)


def set_reference(connection: Connection, claim_id: str, reference: str) -> None:
    """Keep the payer's own name for a claim (`Claim/123`)."""
    if reference:
        connection.execute(update(claims).where(claims.c.id == claim_id).values(payer_reference=reference))


def set_adjudication(connection: Connection, claim_id: str, adjudication: Adjudication) -> None:
    """Keep a payer's decision."""
    text = orjson.dumps(asdict(adjudication), default=str).decode()
    connection.execute(update(claims).where(claims.c.id == claim_id).values(adjudication=text))
    set_reference(connection, claim_id, adjudication.reference)


def begin_attempt(connection: Connection, claim_id: str, kind: str, at: datetime) -> int:
    """Open an attempt row before anything is sent. `kind` is submit, look-up or poll."""
    result = connection.execute(insert(attempts).values(claim_id=claim_id, kind=kind, started_at=at))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def end_attempt(
    connection: Connection, attempt_id: int, outcome: Outcome, next_action: str, times: tuple[datetime, datetime]
) -> None:
    """Close an attempt row with what came of it. `times` are those of the request that gave the outcome."""
    values = {
        "started_at": times[0],
        "ended_at": times[1],
        "outcome": outcome.kind.value,
        "reason": outcome.reason,
        "http_status": outcome.http_status,
        "retry_after": outcome.retry_after,
        "response": outcome.body,
        "next_action": next_action,
    }
    connection.execute(update(attempts).where(attempts.c.id == attempt_id).values(values))


def times_not_found(connection: Connection, claim_id: str) -> int:
    """How often the payer was asked for a claim and did not have it."""
    query = select(attempts.c.id).where(attempts.c.claim_id == claim_id, attempts.c.outcome == "not-found")
    return len(connection.execute(query).all())


def insert_try(connection: Connection, claim_id: str, kind: str, values: Mapping[str, Any]) -> None:
    """Write down a request within an attempt that was repeated at once because the payer surely had not taken it."""
    connection.execute(insert(attempts).values(claim_id=claim_id, kind=kind, **values))


def attempts_of(connection: Connection, claim_id: str) -> list[Any]:
    """A claim's attempts, oldest first."""
    return list(
        connection.execute(
            select(attempts).where(attempts.c.claim_id == claim_id).order_by(attempts.c.started_at, attempts.c.id)
        ).all()
    )


def decision_of(connection: Connection, claim_id: str) -> bytes:
    """The payer's last answer with a decision on a claim, as received; empty where there is none."""
    answered = (attempts.c.claim_id == claim_id) & (attempts.c.outcome == OutcomeKind.ANSWERED.value)
    query = select(attempts.c.response).where(answered).order_by(attempts.c.id.desc()).limit(1)
    return connection.execute(query).scalar() or b""


def resubmit(connection: Connection, row: ClaimRow, actor: str, at: datetime) -> str:
    """A person sends a claim on its way again: a refused one is sent, an unknown one looked up, a queued one asked."""
    status = ClaimStatus(row.status)
    if status is ClaimStatus.HELD and row.hold == "refused":
        values = {"status": ClaimStatus.READY.value, "hold": "", "updated_at": at}
        connection.execute(update(claims).where(claims.c.id == row.id).values(values))
        record(connection, at, Change("claim", row.id, row.status, ClaimStatus.READY, "resubmitted", actor))
    elif status not in (ClaimStatus.READY, ClaimStatus.QUEUED, *IN_FLIGHT):
        return str(row.status)
    work.ask(connection, "poll" if status is ClaimStatus.QUEUED else "submit", row.id, at)
    for kind in ("refusal", "parked", "delivery"):
        items.close_identity(connection, at, f"{kind}:{row.id}", f"resubmitted by {actor}")
    return str(by_id(connection, row.id).status)
