"""Messages in the ledger: keep once, recognise repeats and conflicts, find those of a topic."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Column, Connection, Table, bindparam, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from fhir_coder.model import Header, Message, MessageFacts, MessageFormat, MessageStatus
from fhir_coder.store import items, work
from fhir_coder.store.events import Change, record, record_all
from fhir_coder.store.ids import new_id
from fhir_coder.store.schema import charts, message_topics, messages, topic_refs

_SENDER, _CONTROL_ID = 400, 200  # what the columns take
_AT_ONCE = 500  # SQLite takes a limited number of variables
ACTOR = 64
"""Characters of an event's actor."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A payload to keep. `fault` says why it cannot be read, empty where its header could be.

    `corrects` is the message a person edited to make this one, and `actor` that person; both empty for what came by
    itself.
    """

    feed: str
    header: Header
    body: bytes
    fault: str = ""
    corrects: str = ""
    actor: str = ""


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
    digests = [hashlib.sha256(one.body).hexdigest() for one in incoming]
    known = _known(connection, incoming, digests)
    fresh: list[_Fresh] = []
    answers: list[Kept] = []
    for one, digest in zip(incoming, digests, strict=True):
        earlier = known.setdefault(_identity(one, digest), [])
        same = next((m for m in earlier if m.sha256 == digest), None)
        if same is None:
            same = _Earlier(new_id(at), digest, _first_status(one, conflict=bool(earlier)))
            fresh.append(_Fresh(one, same, _why(one, earlier)))
            answers.append(Kept(same.id, same.status))
            earlier.append(same)
        else:
            answers.append(Kept(same.id, same.status, repeat=True))
    _insert(connection, fresh, at)
    return answers


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A message that is in the ledger, or about to be."""

    id: str
    sha256: str
    status: MessageStatus


@dataclass(frozen=True, slots=True)
class _Fresh:
    """A payload that is no repeat."""

    incoming: Incoming
    row: _Earlier
    why: str


_Identity = tuple[str, ...]


def _identity(incoming: Incoming, digest: str) -> _Identity:
    header = incoming.header
    if header.control_id:
        return incoming.feed, header.sender[:_SENDER], header.control_id[:_CONTROL_ID]
    return incoming.feed, digest


def _known(
    connection: Connection, incoming: Sequence[Incoming], digests: Sequence[str]
) -> dict[_Identity, list[_Earlier]]:
    """The messages of the ledger that share an identity with any of the payloads, the oldest first."""
    found: dict[_Identity, list[_Earlier]] = {}
    wanted: dict[_Identity, set[str]] = {}
    for one, digest in zip(incoming, digests, strict=True):
        identity = _identity(one, digest)
        wanted.setdefault(identity[:-1], set()).add(identity[-1])
    for scope, values in wanted.items():
        query = _BY_CONTROL_ID if len(scope) == 2 else _BY_DIGEST
        named = {"feed": scope[0], "sender": scope[1]} if len(scope) == 2 else {}
        ordered = sorted(values)
        for start in range(0, len(ordered), _AT_ONCE):
            for row in connection.execute(query, {**named, "values": ordered[start : start + _AT_ONCE]}):
                if row.feed == scope[0]:
                    known = _Earlier(row.id, row.sha256, MessageStatus(row.status))
                    found.setdefault((*scope, row.last), []).append(known)
    for known_ones in found.values():
        known_ones.sort(key=attrgetter("id"))
    return found


_FOUND = (messages.c.id, messages.c.feed, messages.c.sha256, messages.c.status)
# Without an order, and by digest alone: SQLite would else walk through all messages of the feed in the order of ids.
_BY_CONTROL_ID = (
    select(*_FOUND, messages.c.control_id.label("last"))
    .where(messages.c.feed == bindparam("feed"), messages.c.sender == bindparam("sender"))
    .where(messages.c.control_id.in_(bindparam("values", expanding=True)))
)
_BY_DIGEST = select(*_FOUND, messages.c.sha256.label("last")).where(
    messages.c.sha256.in_(bindparam("values", expanding=True))
)


def _first_status(incoming: Incoming, *, conflict: bool) -> MessageStatus:
    if incoming.fault:
        return MessageStatus.QUARANTINED
    return MessageStatus.CONFLICT if conflict else MessageStatus.RECEIVED


def _why(incoming: Incoming, earlier: Sequence[_Earlier]) -> str:
    if incoming.fault:
        return incoming.fault
    return conflict_text(earlier[0].id) if earlier else "received"


def conflict_text(first: str) -> str:
    """Why a message is a conflict: message `first` had its control id."""
    return f"control id known from message {first}, other bytes"


def insert_message(connection: Connection, incoming: Incoming, status: MessageStatus, why: str, at: datetime) -> str:
    """Insert a payload with its work or its work item, whatever is known already; answers its id."""
    row = _Earlier(new_id(at), hashlib.sha256(incoming.body).hexdigest(), status)
    _insert(connection, [_Fresh(incoming, row, why)], at)
    return row.id


def _insert(connection: Connection, fresh: Sequence[_Fresh], at: datetime) -> None:
    if not fresh:
        return
    connection.execute(insert(messages), [_row(one, at) for one in fresh])
    record_all(connection, at, [_received(one) for one in fresh])
    received = [one.row.id for one in fresh if one.row.status is MessageStatus.RECEIVED]
    work.ask_all(connection, "read", received, at)
    for one in fresh:
        if one.row.status is not MessageStatus.RECEIVED:
            open_item_of(connection, one.row.id, one.row.status, one.why, at)


_ITEM_KINDS = ("conflict", "quarantine")


def open_item_of(connection: Connection, message_id: str, status: MessageStatus, why: str, at: datetime) -> None:
    """Open the work item of a message that is a conflict or in quarantine."""
    kind = "conflict" if status is MessageStatus.CONFLICT else "quarantine"
    item = items.Item(f"{kind}:{message_id}", kind, message_id=message_id, reason=kind, text=why)
    items.open_item(connection, at, item)


def close_items_of(connection: Connection, message_id: str, why: str, at: datetime) -> None:
    """Close the work items of a message that could not be read or was in conflict."""
    for kind in _ITEM_KINDS:
        items.close_identity(connection, at, f"{kind}:{message_id}", why)


def _received(one: _Fresh) -> Change:
    actor = one.incoming.actor or f"feed {one.incoming.feed}"
    return Change("message", one.row.id, "", one.row.status, one.why, actor=actor[:ACTOR])


def _row(one: _Fresh, at: datetime) -> dict[str, object]:
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
    }


def header_columns(header: Header) -> dict[str, object]:
    """A header as the columns of its message."""
    return {
        "format": header.format.value,
        "type": header.type[:64],
        "control_id": header.control_id[:_CONTROL_ID],
        "sender": header.sender[:_SENDER],
    }


def load(connection: Connection, message_id: str) -> tuple[Message, str]:
    """A message and its feed's name."""
    row = connection.execute(select(messages).where(messages.c.id == message_id)).one()
    header = Header(MessageFormat(row.format), row.type, row.control_id, row.sender)
    return Message(row.id, row.body, header), row.feed


def status_of(connection: Connection, message_id: str) -> MessageStatus:
    """A message's status."""
    query = select(messages.c.status).where(messages.c.id == message_id)
    return MessageStatus(connection.execute(query).scalar_one())


def set_status(connection: Connection, message_id: str, status: MessageStatus, why: str, at: datetime) -> None:
    """Change a message's status, with its event."""
    before = status_of(connection, message_id)
    if before == status:
        return
    connection.execute(update(messages).where(messages.c.id == message_id).values(status=status.value, reason=why))
    record(connection, at, Change("message", message_id, before, status, why))


def file_facts(connection: Connection, facts: MessageFacts, at: datetime) -> set[str]:
    """File a message under exactly its topics; answers the keys of all charts that may look different now.

    One that was read before, by other rules, leaves the topics it no longer has: their charts may differ too.
    """
    topics = {f.topic for f in facts.facts} | set(facts.charts)
    left = _topics_of(connection, facts.message) - topics
    _delete_topics(connection, facts.message, left)
    _insert_ignore(connection, message_topics, [{"topic": t, "message_id": facts.message} for t in topics])
    refs = {(r, f.topic) for f in facts.facts for r in f.refs}
    _insert_ignore(connection, topic_refs, [{"ref": r, "topic": t} for r, t in refs])
    _insert_ignore(connection, charts, [{"key": k, "first_seen_at": at, "cancelled": False} for k in facts.charts])
    return set(facts.charts) | _charts_that_draw_on(connection, (topics | left) - set(facts.charts))


def charts_of(connection: Connection, message_id: str) -> set[str]:
    """The keys of all charts that draw on a message."""
    return _charts_that_draw_on(connection, _topics_of(connection, message_id))


def _topics_of(connection: Connection, message_id: str) -> set[str]:
    filed = select(message_topics.c.topic).where(message_topics.c.message_id == message_id)
    return set(connection.execute(filed).scalars())


def _delete_topics(connection: Connection, message_id: str, topics: Collection[str]) -> None:
    for topic in sorted(topics):
        filed = (message_topics.c.topic == topic) & (message_topics.c.message_id == message_id)
        connection.execute(delete(message_topics).where(filed))


def _insert_ignore(connection: Connection, table: Table, rows: list[dict[str, object]]) -> None:
    if rows:
        connection.execute(upsert(table).on_conflict_do_nothing(), rows)


def _charts_that_draw_on(connection: Connection, topics: Collection[str]) -> set[str]:
    reached, waiting = set(topics), set(topics)
    while waiting:
        found = set(_select_in(connection, topic_refs.c.topic, topic_refs.c.ref, waiting))
        waiting = found - reached
        reached |= found
    return set(_select_in(connection, charts.c.key, charts.c.key, reached))


def _select_in(
    connection: Connection, column: Column[str], where: Column[str], values: Collection[str]
) -> Iterable[str]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        chunk = ordered[start : start + _AT_ONCE]
        yield from connection.execute(select(column).where(where.in_(chunk))).scalars()


def ids_of_topics(connection: Connection, topics: Collection[str]) -> list[str]:
    """The ids of the messages filed under any of these topics, in order of arrival; superseded ones do not count."""
    filed = sorted(set(_select_in(connection, message_topics.c.message_id, message_topics.c.topic, topics)))
    superseded = _superseded_of(connection, filed)
    return [message_id for message_id in filed if message_id not in superseded]


def _superseded_of(connection: Connection, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        named = messages.c.id.in_(ids[start : start + 500])
        is_superseded = messages.c.status == MessageStatus.SUPERSEDED.value
        found.update(connection.execute(select(messages.c.id).where(named, is_superseded)).scalars())
    return found
