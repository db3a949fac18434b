"""What a day looks like now: what waits at each step, how much came, feeds and payers. Each number from an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select

from fhir_coder.model import ClaimStatus, MessageStatus, PayerState
from fhir_coder.store import Ledger, breakers, figures, line_decisions, pulls
from fhir_coder.store.ids import first_id_of, time_of
from fhir_coder.store.schema import charts, claims, messages, work

_ON_ITS_WAY = (ClaimStatus.READY, ClaimStatus.SENT, ClaimStatus.UNKNOWN, ClaimStatus.QUEUED)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FlowStep:
    """A step of the flow: what waits there and since when, how much came to it today and within the last hour.

    `oldest_at` is when the first message or claim of those that wait was received or made. `hour` is None where it is
    not counted.
    """

    name: str
    waiting: int
    oldest_at: datetime | None
    today: int
    hour: int | None = None


@dataclass(frozen=True, slots=True)
class FeedPulse:
    """A feed: its last message, how many came today and within the hour, and the state of the server that is read."""

    name: str
    last_at: datetime | None
    today: int
    hour: int
    server: str = ""


@dataclass(frozen=True, slots=True)
class PayerPulse:
    """A payer: its breaker, claims on their way to it and their oldest."""

    name: str
    state: str
    reason: str
    since: datetime | None
    resume_at: datetime | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """How things are at a time."""

    at: datetime
    flow: tuple[FlowStep, ...]
    feeds: tuple[FeedPulse, ...]
    payers: tuple[PayerPulse, ...]


@dataclass(frozen=True, slots=True)
class Denials:
    """The denials of one payer with one reason: how many claims."""

    payer: str
    reason: str
    claims: int


def pulse(ledger: Ledger, feeds: Sequence[str], payers: Sequence[str], midnight: datetime) -> Pulse:
    """How things are now; the day began at `midnight`."""
    now = ledger.clock()
    with ledger.reading() as connection:
        flow = _flow(connection, now, midnight)
        servers = {one.feed: one.state for one in pulls.server_states(connection)}
        shown = tuple(_feed(connection, name, servers.get(name, ""), now, midnight) for name in feeds)
        return Pulse(now, flow, shown, tuple(_payers(connection, payers)))


def denials_since(ledger: Ledger, since: datetime, limit: int = 8) -> list[Denials]:
    """The reasons of denials since a time, the commonest first."""
    with ledger.reading() as connection:
        rows = line_decisions.denied(connection, line_decisions.Asked(since=since))
    counted: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.payer, row.reason)
        counted[key] = counted.get(key, 0) + row.claims
    first = sorted(counted.items(), key=lambda one: -one[1])[:limit]
    return [Denials(payer, reason, number) for (payer, reason), number in first]


def newest(ledger: Ledger, what: str) -> str:
    """The id of the newest message or claim, empty where there is none: lists are told of newer ones by it."""
    table = {"messages": messages, "claims": claims}[what]
    with ledger.reading() as connection:
        return str(connection.execute(select(func.max(table.c.id))).scalar() or "")


def _flow(connection: Connection, now: datetime, midnight: datetime) -> tuple[FlowStep, ...]:
    made = figures.made_between(connection, midnight, now + _HOUR)
    made_today, sent, answered = (sum(int(getattr(row, name) or 0) for row in made) for name in _MADE)
    unread = messages.c.status == MessageStatus.RECEIVED.value
    return (
        FlowStep("received", *_waiting(connection, messages, unread), *_came(connection, now, midnight)),
        FlowStep("charted", *_charts(connection), _folded(connection, midnight), _folded(connection, now - _HOUR)),
        FlowStep("coded", *_waiting(connection, claims, claims.c.status == ClaimStatus.HELD.value), made_today),
        FlowStep("ready", *_waiting(connection, claims, claims.c.status == ClaimStatus.READY.value), made_today),
        FlowStep("sent", *_waiting(connection, claims, _is_at_payer()), sent),
        FlowStep("answered", 0, None, answered),
    )


_MADE = ("claims", "sent", "answered")


def _is_at_payer() -> ColumnElement[bool]:
    return claims.c.status.in_([status.value for status in _ON_ITS_WAY[1:]])


def _waiting(connection: Connection, table: Table, wanted: ColumnElement[bool]) -> tuple[int, datetime | None]:
    number, first = connection.execute(select(func.count(), func.min(table.c.id)).where(wanted)).one()
    return int(number), time_of(first) if first else None


def _came(connection: Connection, now: datetime, midnight: datetime) -> tuple[int, int]:
    since = select(func.count()).select_from(messages)
    today, hour = (since.where(messages.c.id >= first_id_of(at)) for at in (midnight, now - _HOUR))
    return int(connection.execute(today).scalar_one()), int(connection.execute(hour).scalar_one())


def _charts(connection: Connection) -> tuple[int, datetime | None]:
    query = select(func.count(), func.min(work.c.asked_at)).where(work.c.stage == "chart")
    number, first = connection.execute(query).one()
    return int(number), first


def _folded(connection: Connection, since: datetime) -> int:
    query = select(func.count()).select_from(charts).where(charts.c.folded_at >= since)
    return int(connection.execute(query).scalar_one())


def _feed(connection: Connection, name: str, server: str, now: datetime, midnight: datetime) -> FeedPulse:
    is_of = messages.c.feed == name
    last = connection.execute(select(func.max(messages.c.id)).where(is_of)).scalar()
    counted = select(func.count()).select_from(messages)
    today, hour = (
        int(connection.execute(counted.where(is_of, messages.c.id >= first_id_of(at))).scalar_one())
        for at in (midnight, now - _HOUR)
    )
    return FeedPulse(name, time_of(last) if last else None, today, hour, server)


def _payers(connection: Connection, names: Sequence[str]) -> list[PayerPulse]:
    on_its_way = claims.c.status.in_([status.value for status in _ON_ITS_WAY])
    counted: dict[str, Any] = {
        row[0]: row[1]
        for row in connection.execute(select(claims.c.payer, func.count()).where(on_its_way).group_by(claims.c.payer))
    }
    known = breakers.of_all(connection)
    return [_payer(name, known.get(name), int(counted.get(name, 0))) for name in names]


def _payer(name: str, one: breakers.Breaker | None, waiting: int) -> PayerPulse:
    if one is None:
        return PayerPulse(name, PayerState.UP.value, "", None, None, waiting)
    return PayerPulse(name, one.state.value, one.reason, one.since, one.resume_at, waiting)
