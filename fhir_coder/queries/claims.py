"""Claims in the ledger: lists without their bodies, and one claim with its whole story."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from fhir_coder.errors import NotFoundError
from fhir_coder.model import DECIDED, GONE, ClaimCorrection
from fhir_coder.store import Ledger, attempts, claim_actions, claim_corrections, claims, events
from fhir_coder.store.claim_actions import Order, Step
from fhir_coder.store.schema import claim_tables
from fhir_coder.store.schema import claims as claim_table


@dataclass(frozen=True, slots=True)
class ClaimStory:
    """A claim with its attempts and events, oldest first, and the newest claims of the visit's other slots.

    `lineage` are all claims of its slot, the first one first; `corrections` is what people corrected on it.
    """

    row: Any
    attempts: list[Any]
    events: list[Any]
    others: list[Any] = field(default_factory=list)
    lineage: list[Any] = field(default_factory=list)
    corrections: tuple[ClaimCorrection, ...] = ()


def list_claims(
    ledger: Ledger, status: str = "", limit: int = 50, version: str = "", *, payer: str = "", before: str = ""
) -> list[Any]:
    """Claims without their bodies, newest first; of a version of a table (`id@hash`) those with codes of its rows.

    `status` may be several with commas between them. `before` is a claim's id: where the page before this one ended.
    """
    columns = [c for c in claim_table.c if c.name not in ("body", "explained", "adjudication")]
    query = select(*columns).order_by(claim_table.c.id.desc()).limit(limit)
    if status:
        query = query.where(_is_one_of(status.split(",")))
    if payer:
        query = query.where(claim_table.c.payer == payer)
    if before:
        query = query.where(claim_table.c.id < before)
    if version:
        made = (claim_tables.c.version == version) & (claim_tables.c.claim_id == claim_table.c.id)
        query = query.where(exists().where(made))
    with ledger.reading() as connection:
        return list(connection.execute(query).all())


def _is_one_of(statuses: Sequence[str]) -> ColumnElement[bool]:
    """A status among these. Most claims are decided: with one of those among several, the newest are read off in turn.

    By the index of statuses all of them would be sorted first, and there may be a million.
    """
    are_most = len(statuses) > 1 and set(statuses) & {status.value for status in DECIDED}
    column = claim_table.c.status.concat("") if are_most else claim_table.c.status
    return column.in_(statuses)


def has_claims_to(ledger: Ledger, payer: str) -> bool:
    """Whether there is a claim to a payer of this name."""
    with ledger.reading() as connection:
        found = select(claim_table.c.id).where(claim_table.c.payer == payer).limit(1)
        return connection.execute(found).first() is not None


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
        of_claim = attempts.of_claim(connection, row.id)
        others = [newest for slot, (newest, *_) in slots.items() if slot != row.slot]
        history = events.events_of(connection, "claim", row.id)
        corrected = claim_corrections.of_charts(connection, (row.chart_key,))
    told = tuple(one for one in corrected if one.slot == row.slot)
    return ClaimStory(row, of_claim, history, others, slots[row.slot][::-1], told)


def request_claims(ledger: Ledger, chart_key: str, actor: str) -> None:
    """Write down that a person asks for a visit's claims now. Raises NotFoundError."""
    with ledger.writing() as connection:
        if not claims.request(connection, chart_key, actor, ledger.clock()):
            raise NotFoundError("no such chart: fhir-coder charts list shows them")


def charts_made_with(ledger: Ledger, version: str) -> list[str]:
    """The keys of the charts with claims, not replaced nor voided, with codes of a version of a table (`id@hash`)."""
    of_version = (claim_tables.c.version == version) & (claim_tables.c.claim_id == claim_table.c.id)
    query = select(claim_table.c.chart_key).where(of_version, claim_table.c.status.not_in([s.value for s in GONE]))
    with ledger.reading() as connection:
        return list(connection.execute(query.distinct().order_by(claim_table.c.chart_key)).scalars())


def recode_charts(ledger: Ledger, keys: Sequence[str], state: int, actor: str) -> None:
    """Have visits coded with the tables as of an activation, in one transaction. Raises NotFoundError: then none is."""
    at = ledger.clock()
    with ledger.writing() as connection:
        if not all(claims.recode(connection, key, state, actor, at) for key in keys):
            raise NotFoundError("no such chart: fhir-coder charts list shows them; nothing was asked for")


@dataclass(frozen=True, slots=True)
class ClaimSearch:
    """Which claims are meant: by name (identifier, id or chart key), or all that fit what is set.

    `since` is the earliest time of their last change; `finding` an edit or gap reason that they have.
    """

    names: tuple[str, ...] = ()
    payer: str = ""
    status: str = ""
    since: datetime | None = None
    finding: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it means every claim there is."""
        return not (self.names or self.payer or self.status or self.since or self.finding)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A claim that an order is about, as it was before, and what the order does to it."""

    identifier: str
    chart_key: str
    payer: str
    status: str
    step: Step


def order_claims(ledger: Ledger, action: str, search: ClaimSearch, order: Order, *, do: bool) -> list[Ordered]:
    """What an order does to the claims that are meant; done where `do` says so, in transactions of some hundred claims.

    `action` is resubmit, hold, release, cancel or taken. A chart key means the newest claim of each of the visit's
    slots. Raises NotFoundError where a name is of no claim: then nothing is done.
    """
    with ledger.reading() as connection:
        found = _found(connection, search)
    if not do:
        return [_ordered(row, claim_actions.step_of(action, row, order)) for row in found]
    done = []
    for first in range(0, len(found), _AT_ONCE):
        at = ledger.clock()
        with ledger.writing() as connection:
            for row in found[first : first + _AT_ONCE]:
                now = claims.by_id(connection, row.id)
                done.append(_ordered(now, claim_actions.take(connection, action, now, order, at)))
    return done


_AT_ONCE = 200


def _found(connection: Connection, search: ClaimSearch) -> list[Any]:
    """The claims meant, with what deciding about them takes."""
    query = select(*[c for c in claim_table.c if c.name != "body"]).order_by(claim_table.c.id)
    if search.payer:
        query = query.where(claim_table.c.payer == search.payer)
    if search.status:
        query = query.where(claim_table.c.status == search.status)
    if search.since:
        query = query.where(claim_table.c.updated_at >= search.since)
    if search.finding:
        said = (f'"{key}":"{search.finding}"' for key in ("edit", "reason"))
        query = query.where(or_(*[claim_table.c.explained.contains(one, autoescape=True) for one in said]))
    if not search.names:
        return list(connection.execute(query).all())
    ids = {found for place, name in enumerate(search.names, 1) for found in _named(connection, name, place)}
    return [row for row in connection.execute(query).all() if row.id in ids]


def _named(connection: Connection, name: str, place: int) -> list[str]:
    """The claims a name means: one by identifier or id, of a chart the newest of each slot."""
    is_named = or_(claim_table.c.identifier == name, claim_table.c.id == name)
    one = connection.execute(select(claim_table.c.id).where(is_named)).scalar()
    found = [one] if one else [rows[0].id for rows in claims.of_chart(connection, name).values()]
    if not found:
        raise NotFoundError(f"name {place} is of no claim: fhir-coder claims list shows them; nothing was done")
    return found


def _ordered(row: Any, step: Step) -> Ordered:
    return Ordered(row.identifier, row.chart_key, row.payer, row.status, step)


def submission_of(ledger: Ledger, claim_id: str) -> Any:
    """What is sent for a claim, None where nothing was."""
    with ledger.reading() as connection:
        return attempts.submission_of(connection, claim_id)
