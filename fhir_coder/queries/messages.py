"""Messages in the ledger: searches that never read a body, and one message with its whole story.

A message's id begins with the moment it was kept, and ids sort in the order of arrival: the id is the order of every
list, the mark of every page, and the time that `since` and `until` ask for. So each search walks one index.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, select

from fhir_coder.errors import FhirCoderError, NotFoundError
from fhir_coder.store import Ledger, corrections, events
from fhir_coder.store.ids import first_id_of
from fhir_coder.store.people import digest
from fhir_coder.store.schema import message_people, message_topics, messages

_LISTED = [column for column in messages.c if column.name != "body"]


@dataclass(frozen=True, slots=True)
class MessageSearch:
    """Which messages: all that is said must fit; what is empty is not asked for.

    `control_id`, `type` (`DFT^P03`), `feed` and `status` fit exactly, case counts. `since` counts in, `until` does not.
    `chart` is a chart key or another topic. `patient` is an identifier of a patient, looked up by its keyed hash.
    `before` and `after` are ids of messages: where the page before this one ended.
    """

    control_id: str = ""
    type: str = ""
    feed: str = ""
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None
    chart: str = ""
    patient: str = ""
    before: str = ""
    after: str = ""


EVERY = MessageSearch()


@dataclass(frozen=True, slots=True)
class MessageStory:
    """A message with its topics (chart keys among them) and events, and the versions before and after it."""

    row: Any
    topics: list[str]
    events: list[Any]
    corrected: Any = None
    correction: Any = None


def list_messages(
    ledger: Ledger, search: MessageSearch = EVERY, limit: int = 50, oldest_first: bool = False
) -> list[Any]:
    """Messages without their bodies, newest first."""
    key = ledger.known_patient_key() if search.patient else b""
    if key is None:
        return []  # no message was ever filed under an identifier
    query = search_query(search, key, oldest_first).limit(limit)
    with ledger.reading() as connection:
        return list(connection.execute(query).all())


def search_query(search: MessageSearch, key: bytes = b"", oldest_first: bool = False) -> Select[Any]:
    """The search as a query. `key` is the secret of the index of people."""
    query, order = select(*_LISTED), messages.c.id
    if search.patient:
        order = message_people.c.message_id
        query = query.join(message_people, order == messages.c.id)
        query = query.where(message_people.c.digest == digest(key, search.patient))
    if search.chart:
        of_chart = (message_topics.c.message_id == messages.c.id) & (message_topics.c.topic == search.chart)
        if search.patient:
            query = query.where(exists().where(of_chart))
        else:
            order = message_topics.c.message_id
            query = query.join(message_topics, of_chart)
    for name in ("control_id", "type", "feed", "status"):
        if wanted := getattr(search, name):
            # A chart or a patient has few messages: the index of a status or feed, which has a million, is kept out.
            column = messages.c[name] if order is messages.c.id else messages.c[name].concat("")
            query = query.where(column == wanted)
    low = max([search.after, *([first_id_of(search.since)] if search.since else [])])
    highs = [search.before, *([first_id_of(search.until)] if search.until else [])]
    high = min(filter(None, highs), default="")
    if low:
        query = query.where(order >= low if low != search.after else order > low)
    if high:
        query = query.where(order < high)
    return query.order_by(order if oldest_first else order.desc())


def message_named(ledger: Ledger, name: str) -> str:
    """The id of the one message that this id or control id means; superseded ones do not count beside others.

    Raises NotFoundError where there is none, FhirCoderError where there are several.
    """
    with ledger.reading() as connection:
        found = _named(connection, name)
    ids = [row.id for row in found if row.status != "superseded"] or [row.id for row in found]
    if len(ids) > 1:
        raise FhirCoderError(f"{len(ids)} messages have this control id: name one by its id: {', '.join(ids)}")
    return str(ids[0])


def message_story(ledger: Ledger, name: str) -> MessageStory:
    """A message by its ledger id or its control id (newest). Raises NotFoundError."""
    with ledger.reading() as connection:
        message_id = _named(connection, name)[0].id
        row = connection.execute(select(messages).where(messages.c.id == message_id)).one()
        filed = select(message_topics.c.topic).where(message_topics.c.message_id == row.id)
        topics = sorted(connection.execute(filed).scalars())
        history = events.events_of(connection, "message", row.id)
        before, after = row.corrects, corrections.correction_of(connection, row.id)
        return MessageStory(row, topics, history, _version(connection, before), _version(connection, after))


def _named(connection: Connection, name: str) -> list[Any]:
    found = select(messages.c.id, messages.c.status)
    rows = list(connection.execute(found.where(messages.c.id == name)).all())
    if not rows and name:
        named = found.where(messages.c.control_id == name).order_by(messages.c.id.desc()).limit(20)
        rows = list(connection.execute(named).all())
    if not rows:
        raise NotFoundError("no such message: fhir-coder messages list shows them")
    return rows


def _version(connection: Connection, message_id: str | None) -> Any:
    if not message_id:
        return None
    columns = (messages.c.id, messages.c.status, messages.c.body)
    return connection.execute(select(*columns).where(messages.c.id == message_id)).one()
