"""Messages in the ledger: keep once, recognise repeats and conflicts, find those of a topic."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

import orjson
from sqlalchemy import Column, ColumnElement, Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from fhir_coder.model import BY_ITS_BYTES, Answered, Header, Message, MessageFacts, MessageFormat, MessageStatus
from fhir_coder.store import items, work
from fhir_coder.store.events import Change, record, record_all
from fhir_coder.store.ids import new_id
from fhir_coder.store.prepared import Prepared, PreparedList
from fhir_coder.store.schema import charts, events, message_topics, messages, topic_refs

_SENDER, _CONTROL_ID = 400, 200  # what the columns take
_AT_ONCE = 500  # SQLite takes a limited number of variables
ACTOR = 64
"""Characters of an event's actor."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A payload to keep. `fault` says why it cannot be read, empty where its header could be.

    `corrects` is the message a person edited to make this one, and `actor` that person; both empty for what came by
    itself. `answered` is what the sender of a FHIR payload is told of its resources.
    """

    feed: str
    header: Header
    body: bytes
    fault: str = ""
    corrects: str = ""
    actor: str = ""
    answered: Answered = BY_ITS_BYTES


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an incoming payload. `repeat` is true where the same bytes had come before."""

    id: str
    status: MessageStatus
    repeat: bool = False


def keep(connection: Connection, incoming: Incoming, at: datetime) -> Kept:
    """Keep one payload, as `keep_all` does."""
    return keep_all(connection, [incoming], at)[0]


def keep_all(connection: Connection, incoming: Sequence[Incoming], at: datetime) -> list[Kept]:
    """Keep payloads in their order, each with its work.

    Same feed, sender, control id and bytes: the message known already. Same control id, other bytes: a conflict, kept
    and shown, not processed. Where no control id exists (FHIR), same feed and bytes are a repeat.
    """
    digested = [(one, digest_of(one)) for one in incoming]
    known = {identity: known_here(connection, identity) for identity in identities(digested)}
    answers, fresh = sort_out(digested, known, at)
    insert_fresh(connection, fresh, at)
    return answers


@dataclass(frozen=True, slots=True)
class Earlier:
    """A message that is kept already, or about to be."""

    id: str
    sha256: str
    status: MessageStatus


@dataclass(frozen=True, slots=True)
class Fresh:
    """A payload that is no repeat."""

    incoming: Incoming
    row: Earlier
    why: str


Identity = tuple[str, ...]
"""What a repeat has in common: feed, sender and control id, or feed and digest."""
Digested = Sequence[tuple[Incoming, str]]
"""Payloads with their digests."""


def digest_of(incoming: Incoming) -> str:
    """SHA-256 of a payload, in hexadecimal digits."""
    return hashlib.sha256(incoming.body).hexdigest()


def identities(digested: Digested) -> set[Identity]:
    """What is to be looked up before payloads are sorted out."""
    return {_identity(one, digest) for one, digest in digested}


def _identity(incoming: Incoming, digest: str) -> Identity:
    header = incoming.header
    if header.control_id:
        return incoming.feed, header.sender[:_SENDER], header.control_id[:_CONTROL_ID]
    return incoming.feed, digest


def sort_out(digested: Digested, known: dict[Identity, list[Earlier]], at: datetime) -> tuple[list[Kept], list[Fresh]]:
    """What each payload is, by what is known of its identity (the oldest first): answers, and those that are new."""
    fresh: list[Fresh] = []
    answers: list[Kept] = []
    for one, digest in digested:
        earlier = known[_identity(one, digest)]
        same = next((m for m in earlier if m.sha256 == digest), None)
        if same is None:
            same = Earlier(new_id(at), digest, _first_status(one, conflict=bool(earlier)))
            fresh.append(Fresh(one, same, _why(one, earlier)))
            answers.append(Kept(same.id, same.status))
            earlier.append(same)
        else:
            answers.append(Kept(same.id, same.status, repeat=True))
    return answers, fresh


def known_here(connection: Connection, identity: Identity) -> list[Earlier]:
    """The messages of the ledger with an identity, the oldest first."""
    feed, *_, last = identity
    if len(identity) == 3:
        rows = _BY_CONTROL_ID.fetch_all(connection, {"feed": feed, "sender": identity[1], "control_id": last})
    else:
        rows = [row for row in _BY_DIGEST.fetch_all(connection, {"sha256": last}) if row[-1] == feed]
    earlier = (Earlier(message_id, digest, MessageStatus(status)) for message_id, digest, status, _ in rows)
    return sorted(earlier, key=attrgetter("id"))


_FOUND = select(messages.c.id, messages.c.sha256, messages.c.status, messages.c.feed)
# Without an order, and by digest alone: SQLite would else walk through all messages of the feed in the order of ids.
_BY_CONTROL_ID = Prepared(
    _FOUND.where(messages.c.feed == bindparam("feed"), messages.c.sender == bindparam("sender")).where(
        messages.c.control_id == bindparam("control_id")
    )
)
_BY_DIGEST = Prepared(_FOUND.where(messages.c.sha256 == bindparam("sha256")))


def _first_status(incoming: Incoming, *, conflict: bool) -> MessageStatus:
    if incoming.fault:
        return MessageStatus.QUARANTINED
    return MessageStatus.CONFLICT if conflict else MessageStatus.RECEIVED


def _why(incoming: Incoming, earlier: Sequence[Earlier]) -> str:
    if incoming.fault:
        return incoming.fault
    return conflict_text(earlier[0].id) if earlier else "received"


def conflict_text(first: str) -> str:
    """Why a message is a conflict: message `first` had its control id."""
    return f"control id known from message {first}, other bytes"


def insert_message(connection: Connection, incoming: Incoming, status: MessageStatus, why: str, at: datetime) -> str:
    """Insert a payload with its work or its work item, whatever is known already; answers its id."""
    row = Earlier(new_id(at), digest_of(incoming), status)
    insert_fresh(connection, [Fresh(incoming, row, why)], at)
    return row.id


def insert_all(connection: Connection, incoming: Sequence[Incoming], at: datetime) -> list[Kept]:
    """Insert payloads in their order, each with its work or its work item, whatever is known already."""
    fresh = []
    for one in incoming:
        row = Earlier(new_id(at), digest_of(one), _first_status(one, conflict=False))
        fresh.append(Fresh(one, row, _why(one, ())))
    insert_fresh(connection, fresh, at)
    return [Kept(one.row.id, one.row.status) for one in fresh]


def insert_fresh(connection: Connection, fresh: Sequence[Fresh], at: datetime) -> None:
    """Insert payloads that are no repeats, each with its work or its work item."""
    if not fresh:
        return
    _INSERT.run_all(connection, [_row(one, at) for one in fresh])
    record_all(connection, at, [_received(one) for one in fresh])
    received = [one.row.id for one in fresh if one.row.status is MessageStatus.RECEIVED]
    work.ask_all(connection, "read", received, at)
    for one in fresh:
        if one.row.status is not MessageStatus.RECEIVED:
            open_item_of(connection, one.row.id, one.row.status, one.why, at)


_ITEM_KINDS = ("conflict", "quarantine")
_TO_ACCEPT = "to take it as well: fhir-coder messages reprocess {} --accept-conflict"


def open_item_of(connection: Connection, message_id: str, status: MessageStatus, why: str, at: datetime) -> None:
    """Open the work item of a message that is a conflict or in quarantine."""
    kind = "conflict" if status is MessageStatus.CONFLICT else "quarantine"
    text = f"{why}; {_TO_ACCEPT.format(message_id)}" if kind == "conflict" else why
    item = items.Item(f"{kind}:{message_id}", kind, message_id=message_id, reason=kind, text=text)
    items.open_item(connection, at, item)


def close_items_of(connection: Connection, message_id: str, why: str, at: datetime) -> None:
    """Close the work items of a message that could not be read or was in conflict."""
    for kind in _ITEM_KINDS:
        items.close_identity(connection, at, f"{kind}:{message_id}", why)


def _received(one: Fresh) -> Change:
    actor = one.incoming.actor or f"feed {one.incoming.feed}"
    return Change("message", one.row.id, "", one.row.status, one.why, actor=actor[:ACTOR])


def _row(one: Fresh, at: datetime) -> dict[str, object]:
    incoming = one.incoming
    return header_columns(incoming.header) | {
        "id": one.row.id,
        "feed": incoming.feed,
        "sha256": one.row.sha256,
        "body": incoming.body,
        "received_at": at,
        "status": one.row.status.value,
        "reason": "" if one.row.status is MessageStatus.RECEIVED else one.why,
        "corrects": incoming.corrects or None,
        "answered": answered_text(incoming.answered),
    }


_INSERT = Prepared(insert(messages), [column.name for column in messages.columns])


def header_columns(header: Header) -> dict[str, object]:
    """A header as the columns of its message."""
    return {
        "format": header.format.value,
        "type": header.type[:64],
        "control_id": header.control_id[:_CONTROL_ID],
        "sender": header.sender[:_SENDER],
    }


def answered_text(answered: Answered) -> str | None:
    """What a sender was told, as a column; None where it was nothing besides what the bytes say."""
    if answered == BY_ITS_BYTES:
        return None
    told = {"ids": answered.ids, "left_out": sorted(answered.left_out), "checked": answered.checked}
    return orjson.dumps(told).decode()


def answered_of(text: str | None) -> Answered:
    """What a sender was told, from its column."""
    if not text:
        return BY_ITS_BYTES
    told = orjson.loads(text)
    return Answered(told["ids"], frozenset(told["left_out"]), told["checked"])


def load(connection: Connection, message_id: str) -> tuple[Message, str]:
    """A message and its feed's name."""
    (row,) = _LOAD.rows(connection, {"message": message_id})
    header = Header(MessageFormat(row.format), row.type, row.control_id, row.sender)
    return Message(row.id, row.body, header, answered_of(row.answered)), row.feed


def feeds_of(connection: Connection, ids: Sequence[str]) -> tuple[str, ...]:
    """The feeds that messages came by, that of the first one first."""
    return tuple(dict.fromkeys(feed for _, feed in sorted(_FEEDS_OF.fetch_all(connection, ids))))


_FEEDS_OF = PreparedList(lambda ids: select(messages.c.id, messages.c.feed).where(messages.c.id.in_(ids)))


def status_of(connection: Connection, message_id: str) -> MessageStatus:
    """A message's status."""
    return MessageStatus(_STATUS_OF.first(connection, {"message": message_id}))


_THIS_ONE = messages.c.id == bindparam("message")
_LOAD = Prepared(select(messages).where(_THIS_ONE))
_STATUS_OF = Prepared(select(messages.c.status).where(_THIS_ONE))
_SET_STATUS = Prepared(update(messages).where(_THIS_ONE), ("status", "reason"))


def set_status(connection: Connection, message_id: str, status: MessageStatus, why: str, at: datetime) -> None:
    """Change a message's status, with its event."""
    before = status_of(connection, message_id)
    if before == status:
        return
    _SET_STATUS.run_all(connection, [{"message": message_id, "status": status.value, "reason": why}])
    record(connection, at, Change("message", message_id, before, status, why))


def file_facts(connection: Connection, facts: MessageFacts, at: datetime) -> set[str]:
    """File a message under exactly its topics; answers the keys of all charts that may look different now.

    One that was read before, by other rules, leaves the topics it no longer has: their charts may differ too.
    """
    topics = {f.topic for f in facts.facts} | set(facts.charts) | {p.topic for p in facts.problems if p.topic}
    left = _topics_of(connection, facts.message) - topics
    _delete_topics(connection, facts.message, left)
    _FILE_TOPIC.run_all(connection, [{"topic": t, "message_id": facts.message} for t in topics])
    refs = {(r, f.topic) for f in facts.facts for r in f.refs}
    _FILE_REF.run_all(connection, [{"ref": r, "topic": t} for r, t in refs])
    _FILE_CHART.run_all(connection, [{"key": k, "first_seen_at": at, "cancelled": False} for k in facts.charts])
    # A visit that moved is known by another chart key, whose chart draws on this one's.
    return _charts_that_draw_on(connection, topics | left)


_FILE_TOPIC = Prepared(upsert(message_topics).on_conflict_do_nothing(), ("topic", "message_id"))
_FILE_REF = Prepared(upsert(topic_refs).on_conflict_do_nothing(), ("ref", "topic"))
_FILE_CHART = Prepared(upsert(charts).on_conflict_do_nothing(), ("key", "first_seen_at", "cancelled"))


def charts_of(connection: Connection, message_id: str) -> set[str]:
    """The keys of all charts that draw on a message."""
    return _charts_that_draw_on(connection, _topics_of(connection, message_id))


def _topics_of(connection: Connection, message_id: str) -> set[str]:
    return {topic for (topic,) in _TOPICS_OF.fetch_all(connection, {"message": message_id})}


_TOPICS_OF = Prepared(select(message_topics.c.topic).where(message_topics.c.message_id == bindparam("message")))


def _delete_topics(connection: Connection, message_id: str, topics: Collection[str]) -> None:
    for topic in sorted(topics):
        filed = (message_topics.c.topic == topic) & (message_topics.c.message_id == message_id)
        connection.execute(delete(message_topics).where(filed))


def _charts_that_draw_on(connection: Connection, topics: Collection[str]) -> set[str]:
    reached, waiting = set(topics), set(topics)
    while waiting:
        found = {topic for (topic,) in _DRAWING_ON.fetch_all(connection, waiting)}
        waiting = found - reached
        reached |= found
    return {key for (key,) in _CHARTS_AMONG.fetch_all(connection, reached)}


_DRAWING_ON = PreparedList(lambda refs: select(topic_refs.c.topic).where(topic_refs.c.ref.in_(refs)))
_CHARTS_AMONG = PreparedList(lambda keys: select(charts.c.key).where(charts.c.key.in_(keys)))


def _select_in(
    connection: Connection,
    column: Column[str],
    where: Column[str],
    values: Collection[str],
    also: ColumnElement[bool],
) -> Iterable[str]:
    query = select(column).where(also)
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        chunk = ordered[start : start + _AT_ONCE]
        yield from connection.execute(query.where(where.in_(chunk))).scalars()


def ids_of_topics(connection: Connection, topics: Collection[str], as_of: datetime | None = None) -> list[str]:
    """The ids of the messages filed under any of these topics, in order of arrival; superseded ones do not count.

    As of a time: those that had come by then, and were not superseded yet.
    """
    filed = sorted({message_id for (message_id,) in _FILED_UNDER.fetch_all(connection, topics)})
    superseded = {message_id for (message_id,) in _SUPERSEDED_OF.fetch_all(connection, filed)}
    if as_of:
        later = set(_select_in(connection, messages.c.id, messages.c.id, filed, messages.c.received_at > as_of))
        filed = [message_id for message_id in filed if message_id not in later]
        superseded -= _superseded_after(connection, superseded, as_of)
    return [message_id for message_id in filed if message_id not in superseded]


_FILED_UNDER = PreparedList(
    lambda topics: select(message_topics.c.message_id).where(message_topics.c.topic.in_(topics)).distinct()
)
_SUPERSEDED_OF = PreparedList(
    lambda ids: select(messages.c.id).where(messages.c.id.in_(ids), messages.c.status == MessageStatus.SUPERSEDED.value)
)


def _superseded_after(connection: Connection, ids: Collection[str], at: datetime) -> set[str]:
    became = (events.c.to_status == MessageStatus.SUPERSEDED.value) & (events.c.at > at)
    query = select(events.c.subject_id).where(events.c.subject == "message", became)
    return {one for one in ids if connection.execute(query.where(events.c.subject_id == one)).first()}
