"""Claims in the ledger: filing what a chart gives, and the moves of a claim on its way to an answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import orjson
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    case,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.exc import NoResultFound

from fhir_coder.model import (
    DECIDED,
    IN_FLIGHT,
    STANDS,
    TAKEN_BY_PAYER,
    Adjudication,
    ClaimDraft,
    ClaimStatus,
    Money,
    Purpose,
    Severity,
)
from fhir_coder.store import attempts, work
from fhir_coder.store.events import Change, events_of, record
from fhir_coder.store.ids import new_id
from fhir_coder.store.prepared import Prepared, PreparedChange, PreparedList, PreparedRows
from fhir_coder.store.schema import charts, claim_tables, claims, message_people, message_topics

ClaimRow = Row[Any]

_ABOUT = {Purpose.BILL: "replaces", Purpose.LATE_CHARGE: "late charges to", Purpose.VOID: "voids"}


BY_A_PERSON, CANCELLED = "person", "cancelled"
"""Values of `hold`: a person holds the claim; a person withdrew it, and it is not billed until it is released."""

_MOST_CENTS = 999_999_999_999_999
_REQUESTED = "requested"
_RECODED = "recoded"


@dataclass(frozen=True, slots=True)
class Filed:
    """A draft with its bytes and content hash, ready to be filed.

    `tables_as_of` are the activations whose tables it was coded with, the one asked first in front.
    """

    draft: ClaimDraft
    body: bytes
    content_hash: str
    tables_as_of: tuple[int, ...] = ()


def of_chart(connection: Connection, chart_key: str) -> dict[str, list[ClaimRow]]:
    """All claims of a chart by slot, the newest revision first."""
    found: dict[str, list[ClaimRow]] = {}
    for row in _OF_CHART.rows(connection, {"chart": chart_key}):
        found.setdefault(row.slot, []).append(row)
    return found


_OF_CHART = Prepared(
    select(claims).where(claims.c.chart_key == bindparam("chart")).order_by(claims.c.slot, claims.c.revision.desc())
)


def bodies_of_people(connection: Connection, digests: Collection[str], but: Collection[str]) -> list[bytes]:
    """The claims of visits whose messages name one of these people, and which a payer has or may have.

    `digests` as in the index of people; charts of the keys `but` are left out. A message may name several people.
    """
    found = _OF_PEOPLE.fetch_all(connection, digests)
    return list({claim_id: body for claim_id, chart_key, body in found if chart_key not in but}.values())


def _of_people(digests: Sequence[BindParameter[str]]) -> Select[Any]:
    named = (
        select(message_topics.c.topic)
        .join(message_people, message_people.c.message_id == message_topics.c.message_id)
        .where(message_people.c.digest.in_(digests))
    )
    # Coalesced: else SQLite goes through all claims of these statuses instead of the few of the charts.
    status = func.coalesce(claims.c.status, "")
    stands = status.in_([literal(status.value) for status in sorted(STANDS | IN_FLIGHT)])
    is_bill = claims.c.purpose == literal(Purpose.BILL.value)
    return select(claims.c.id, claims.c.chart_key, claims.c.body).where(claims.c.chart_key.in_(named), is_bill, stands)


_OF_PEOPLE = PreparedList(_of_people)


def has_other_slots(connection: Connection, row: ClaimRow) -> bool:
    """Whether a claim's visit has claims in other slots."""
    return any(slot != row.slot for (slot,) in _SLOTS_OF_CHART.fetch_all(connection, {"chart": row.chart_key}))


_SLOTS_OF_CHART = Prepared(select(claims.c.slot).where(claims.c.chart_key == bindparam("chart")).distinct())


def by_id(connection: Connection, claim_id: str) -> ClaimRow:
    """A claim by its id. Raises NoResultFound where there is none."""
    for row in _BY_ID.rows(connection, {"claim": claim_id}):
        return cast(ClaimRow, row)
    raise NoResultFound


_BY_ID = Prepared(select(claims).where(claims.c.id == bindparam("claim")))
_CHANGE = PreparedChange(claims.c.id)
_CLAIMS, _CLAIM_TABLES = PreparedRows(claims), PreparedRows(claim_tables)


def by_identifier(connection: Connection, identifier: str) -> ClaimRow | None:
    """A claim by the identifier the payer knows it by."""
    return connection.execute(select(claims).where(claims.c.identifier == identifier)).first()


def by_references(connection: Connection, payer: str, references: Collection[str]) -> ClaimRow | None:
    """The newest claim to a payer that goes by one of these names there (`Claim/17`, `ClaimResponse/3`)."""
    named = (claims.c.payer == payer) & claims.c.payer_reference.in_(references)
    return connection.execute(select(claims).where(named).order_by(claims.c.id.desc())).first()


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


def recode(connection: Connection, chart_key: str, state: int, actor: str, at: datetime) -> bool:
    """Write down that a person has a visit coded with the tables of an activation; false where there is no such chart.

    Its claims of before keep their tables no longer; what the payer took is corrected as for any other change.
    """
    changed = connection.execute(update(charts).where(charts.c.key == chart_key).values(coded_from=state))
    if not changed.rowcount:
        return False
    record(connection, at, Change("chart", chart_key, "", _RECODED, "to be coded with the tables of now", actor))
    work.ask(connection, "chart", chart_key, at)
    return True


def ask_for_recoded(connection: Connection, state: int, at: datetime) -> None:
    """Ask for the charts that a person wants coded with tables of later activations than this one."""
    for key in list(connection.execute(select(charts.c.key).where(charts.c.coded_from > state)).scalars()):
        work.ask(connection, "chart", key, at)


def states_to_keep(connection: Connection, chart_key: str, rows: Mapping[str, Sequence[ClaimRow]]) -> frozenset[int]:
    """The activations whose tables a chart is coded with, because claims that were sent were: the past is fixed.

    None where nothing was sent, or a person has it coded with later tables.
    """
    sent = [
        row
        for listed in rows.values()
        for row in listed
        if row.purpose != Purpose.VOID and ClaimStatus(row.status) in TAKEN_BY_PAYER | IN_FLIGHT
    ]
    if not sent:
        return frozenset()
    first = connection.execute(select(charts.c.coded_from).where(charts.c.key == chart_key)).scalar() or 0
    states = {int(state) for row in sent for state in (row.tables_as_of or "0").split()}
    return frozenset(state for state in states if state >= first)


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
    _CLAIMS.insert(connection, [row])
    _list_tables(connection, claim_id, filed)
    about = f", {_ABOUT[draft.purpose]} {draft.replaces}" if draft.replaces else ""
    why = f"revision {draft.revision}{about}"
    if draft.status is ClaimStatus.HELD:
        why += f"; held by {held_by(_explained(draft))}"
    record(connection, at, Change("claim", claim_id, "", draft.status, why))
    if draft.status is ClaimStatus.READY:
        ask_delivery(connection, "submit", by_id(connection, claim_id), at)
    return claim_id


def rewrite_held(connection: Connection, row: ClaimRow, filed: Filed, at: datetime) -> None:
    """Put new content into a claim that nobody outside has; ready now, it gets its submit work.

    One that a person holds stays held.
    """
    status = ClaimStatus.HELD if row.hold == BY_A_PERSON else filed.draft.status
    hold = BY_A_PERSON if row.hold == BY_A_PERSON else "edits" if status is ClaimStatus.HELD else ""
    values = _content(filed) | {"hold": hold, "updated_at": at}
    connection.execute(update(claims).where(claims.c.id == row.id).values(values))
    attempts.forget_submission(connection, row.id)
    connection.execute(delete(claim_tables).where(claim_tables.c.claim_id == row.id))
    _list_tables(connection, row.id, filed)
    holds, held = held_by(_explained(filed.draft)), held_by(row.explained)
    why = f"held by {holds}" if holds else f"settled: {held}" if held else "its chart changed"
    move(connection, row, status, why, at)
    if status is ClaimStatus.READY:
        ask_delivery(connection, "submit", by_id(connection, row.id), at)


def ask_delivery(connection: Connection, stage: str, row: ClaimRow, at: datetime) -> None:
    """Ask for a claim to be sent or looked up (`submit`), or for its payer's decision (`poll`)."""
    work.ask(connection, stage, row.id, at, delivery_lane(stage, row))


def delivery_lane(stage: str, row: ClaimRow) -> work.Lane:
    """Where a claim waits for its payer. What is to be sent goes by rank: see `rank_of`."""
    rank = rank_of(row.file_by, row.total, row.id) if stage == "submit" else ""
    return work.Lane(work.lane_name(stage, row.payer), rank)


def rank_of(file_by: date | None, total: str, claim_id: str) -> str:
    """The order of claims to one payer: the week of timely filing, then the larger amount, then the older claim.

    By the week, not the day: else the amount would almost never count.
    """
    week = file_by - timedelta(days=file_by.weekday()) if file_by else date.max
    cents = max(0, int(100 * Decimal(total or 0)))
    return f"{week.isoformat()} {_MOST_CENTS - cents:015d} {claim_id[:10]}"


def _list_tables(connection: Connection, claim_id: str, filed: Filed) -> None:
    versions = sorted({trace.version for trace in filed.draft.traces if trace.version})
    _CLAIM_TABLES.insert(connection, [{"version": one, "claim_id": claim_id} for one in versions])


def explains_the_same(row: ClaimRow, filed: Filed) -> bool:
    """Whether a claim has the same traces, findings and gaps as a draft."""
    return bool(row.explained == _explained(filed.draft))


def held_by(explained: str) -> str:
    """The edits and gap reasons that hold a claim, by name."""
    said = orjson.loads(explained)
    edits = {f["edit"] for f in said["findings"] if f["severity"] == Severity.REJECT}
    return ", ".join(sorted(edits | {g["reason"] for g in said["gaps"]}))


def _explained(draft: ClaimDraft) -> str:
    explained = {"traces": draft.traces, "findings": draft.findings, "gaps": draft.gaps}
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
        "tables_as_of": " ".join(map(str, filed.tables_as_of)),
        "stale": False,
    }


def move(connection: Connection, row: ClaimRow, status: ClaimStatus, why: str, at: datetime) -> None:
    """Change a claim's status, with its event. No change, no event."""
    if row.status == status:
        return
    values = {"status": status.value, "updated_at": at} | _timed(row, status, at)
    _CHANGE.run(connection, row.id, values)
    record(connection, at, Change("claim", row.id, row.status, status, why))


def _timed(row: ClaimRow, status: ClaimStatus, at: datetime) -> dict[str, object]:
    """When a claim was sent first, and when its payer decided."""
    if status is ClaimStatus.SENT and row.sent_at is None:
        return {"sent_at": at}
    if status not in DECIDED:
        return {}
    took = max(0, int((at - row.sent_at).total_seconds())) if row.sent_at else None
    return {"decided_at": at, "answer_seconds": took}


def mark_asked(connection: Connection, claim_id: str) -> None:
    """Remember that a gap or a finding of a claim was put to a person."""
    connection.execute(update(claims).where(claims.c.id == claim_id).values(asked=True))


def hold(connection: Connection, row: ClaimRow, reason: str, why: str, at: datetime) -> None:
    """Hold a claim for a person. `reason` is `edits` or `refused`."""
    connection.execute(update(claims).where(claims.c.id == row.id).values(hold=reason))
    move(connection, row, ClaimStatus.HELD, why, at)


def set_reference(connection: Connection, claim_id: str, reference: str) -> None:
    """Keep the payer's own name for a claim (`Claim/123`)."""
    if reference:
        _CHANGE.run(connection, claim_id, {"payer_reference": reference})


def _sum(amounts: Sequence[Money | None]) -> tuple[str, str]:
    """The sum of amounts and its currency, both empty where it cannot be told."""
    told = [amount for amount in amounts if amount]
    if not told or len(told) < len(amounts) or len({one.currency for one in told}) > 1:
        return "", ""
    return format(sum((one.value for one in told), Decimal(0)), "f"), told[0].currency


def _in_its_currency(name: str) -> ColumnElement[str]:
    """An amount where its currency is the claim's own, else empty."""
    return case((claims.c.currency == bindparam(f"{name}_currency"), bindparam(f"{name}_sum")), else_="")


_DECIDE = Prepared(
    update(claims)
    .where(claims.c.id == bindparam("the_id"))
    .values(adjudication=bindparam("decision"), paid=_in_its_currency("paid"), allowed=_in_its_currency("allowed"))
)


def adjudication_text(adjudication: Adjudication) -> str:
    """A payer's decision as it is kept: JSON with amounts as text."""
    return orjson.dumps(adjudication, default=str).decode()


def set_adjudication(connection: Connection, claim_id: str, adjudication: Adjudication) -> None:
    """Keep a payer's decision, and what it allows and pays where that is in the claim's currency."""
    paid, paid_currency = _sum([adjudication.paid])
    allowed, allowed_currency = _sum([line.allowed for line in adjudication.lines if line.allowed])
    row = {"the_id": claim_id, "decision": adjudication_text(adjudication), "paid_sum": paid}
    row |= {"paid_currency": paid_currency, "allowed_sum": allowed, "allowed_currency": allowed_currency}
    _DECIDE.run_all(connection, [row])
    set_reference(connection, claim_id, adjudication.reference)
