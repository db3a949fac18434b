"""Charts in the ledger: lists without their bodies, the timeline of one visit, and stored charts verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select, tuple_

from fhir_coder.charts import TimelineEntry, chart_status, chart_to_bytes, different_paths, timeline
from fhir_coder.errors import NotFoundError
from fhir_coder.model import Chart, MessageFacts
from fhir_coder.store import Ledger, events
from fhir_coder.store.charts import body_of
from fhir_coder.store.people import digest
from fhir_coder.store.schema import charts, claims, message_people, message_topics, messages, work

_LISTED = [c for c in charts.c if c.name != "body"]
_MESSAGE = [messages.c[name] for name in ("id", "received_at", "feed", "type", "control_id", "status")]


@dataclass(frozen=True, slots=True)
class ChartSearch:
    """Which charts: all that is said must fit; what is empty is not asked for.

    `since` and `until` ask when a chart was last folded; `since` counts in, `until` does not. `patient` is an
    identifier of a patient, looked up by its keyed hash. `before` is a chart key: where the page before this one ended.
    """

    status: str = ""
    since: datetime | None = None
    until: datetime | None = None
    patient: str = ""
    before: str = ""


@dataclass(frozen=True, slots=True)
class ChartStory:
    """A visit as of a time: where it stands, its messages in the order of events, its claims with their events."""

    key: str
    status: str
    moved_to: str
    entries: tuple[TimelineEntry, ...]
    rows: dict[str, Any]
    claims: tuple[tuple[Any, list[Any]], ...]
    events: list[Any]


@dataclass(frozen=True, slots=True)
class Verified:
    """A stored chart beside the one its messages give: equal, different at some paths, or waiting to be folded."""

    key: str
    result: str
    paths: tuple[str, ...] = ()


def list_charts(ledger: Ledger, search: ChartSearch, limit: int = 50) -> list[Any]:
    """Charts without their bodies, the last folded first; those that wait for their first folding come last."""
    key = ledger.known_patient_key() if search.patient else b""
    if key is None:
        return []  # no message was ever filed under an identifier
    with ledger.reading() as connection:
        return list(connection.execute(_search(connection, search, key).limit(limit)).all())


def _search(connection: Connection, search: ChartSearch, key: bytes) -> Select[Any]:
    made = select(func.count()).select_from(claims).where(claims.c.chart_key == charts.c.key)
    query = select(*_LISTED, made.scalar_subquery().label("claims"))
    if search.status:
        query = query.where(charts.c.status == search.status)
    if search.since:
        query = query.where(charts.c.folded_at >= search.since)
    if search.until:
        query = query.where(charts.c.folded_at < search.until)
    if search.patient:
        person = message_people.c.digest == digest(key, search.patient)
        names = (message_topics.c.message_id == message_people.c.message_id) & person
        query = query.where(exists().where(message_topics.c.topic == charts.c.key, names))
    if search.before:
        query = _after(connection, query, search.before)
    return query.order_by(charts.c.folded_at.desc().nulls_last(), charts.c.key.desc())


def _after(connection: Connection, query: Select[Any], key: str) -> Select[Any]:
    row = connection.execute(select(charts.c.folded_at).where(charts.c.key == key)).first()
    if row is None:
        raise NotFoundError("no such chart: fhir-coder charts list shows them")
    if row.folded_at is None:
        return query.where(charts.c.folded_at.is_(None), charts.c.key < key)
    is_later = tuple_(charts.c.folded_at, charts.c.key) < tuple_(row.folded_at, key)
    return query.where(is_later | charts.c.folded_at.is_(None))


def chart_story(ledger: Ledger, chart: Chart, said: Sequence[MessageFacts], at: datetime | None = None) -> ChartStory:
    """A visit with everything that made it what it is, as of a time. Raises NotFoundError.

    `said` is what its messages say, in order of arrival.
    """
    key, entries = chart.key, timeline(chart.key, said)
    with ledger.reading() as connection:
        _must_be_there(connection, key)
        ids = [entry.message for entry in entries]
        found = connection.execute(select(*_MESSAGE).where(messages.c.id.in_(ids)))
        rows = {row.id: row for row in found}
        listed = tuple(_claims(connection, key, at))
        happened = [e for e in events.events_of(connection, "chart", key) if at is None or e.at <= at]
    return ChartStory(key, chart_status(chart).value, chart.moved_to, entries, rows, listed, happened)


def _claims(connection: Connection, key: str, at: datetime | None) -> Iterator[tuple[Any, list[Any]]]:
    columns = [c for c in claims.c if c.name not in ("body", "explained", "adjudication")]
    query = select(*columns).where(claims.c.chart_key == key).order_by(claims.c.created_at, claims.c.id)
    for row in connection.execute(query.where(claims.c.created_at <= at) if at else query).all():
        happened = events.events_of(connection, "claim", row.id)
        yield row, [event for event in happened if at is None or event.at <= at]


def _must_be_there(connection: Connection, key: str) -> None:
    if connection.execute(select(charts.c.key).where(charts.c.key == key)).first() is None:
        raise NotFoundError("no such chart: fhir-coder charts list shows them")


def keys_to_verify(ledger: Ledger, key: str = "") -> list[str]:
    """The keys of all charts that were folded, or the one asked for. Raises NotFoundError."""
    with ledger.reading() as connection:
        if key:
            _must_be_there(connection, key)
            return [key]
        query = select(charts.c.key).where(charts.c.body.is_not(None)).order_by(charts.c.key)
        return list(connection.execute(query).scalars())


def chart_keys_of_feed(ledger: Ledger, feed: str) -> list[str]:
    """The keys of the charts that were folded and that a message of a feed says something about."""
    says = (message_topics.c.topic == charts.c.key) & (messages.c.id == message_topics.c.message_id)
    query = select(charts.c.key).where(charts.c.body.is_not(None), exists().where(says, messages.c.feed == feed))
    with ledger.reading() as connection:
        return list(connection.execute(query.order_by(charts.c.key)).scalars())


def verify(ledger: Ledger, key: str, fold: Callable[[str], Chart]) -> Verified:
    """Compare a chart with what its messages give, byte for byte. One that is to be folded again is not compared."""
    chart = fold(key)
    with ledger.reading() as connection:
        stored = body_of(connection, key)
        waits = connection.execute(select(work.c.key).where(work.c.stage == "chart", work.c.key == key)).first()
    made = chart_to_bytes(chart)
    if stored == made:
        return Verified(key, "equal")
    if stored is None or waits:
        return Verified(key, "waits")
    return Verified(key, "differs", tuple(different_paths(stored, made)))
