"""Messages in the ledger: keep once, recognise repeats and conflicts, find those of a topic."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Table, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from fhir_coder.model import Header, Message, MessageFacts, MessageFormat, MessageStatus
from fhir_coder.store import items, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.ids import new_id
from fhir_coder.store.schema import charts, message_topics, messages, topic_refs

_SENDER, _CONTROL_ID = 400, 200  # what the columns take


@dataclass(frozen=True, slots=True)
class Incoming:
    """A payload to keep. `fault` says why it cannot be read, empty where its header could be."""

    feed: str
    header: Header
    body: bytes
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an incoming payload. `repeat` is true where the same bytes had come before."""

    id: str
    status: MessageStatus
    repeat: bool = False


def keep(connection: Connection, incoming: Incoming, at: datetime) -> Kept:
    """Keep a payload with its work.

    Same feed, sender, control id and bytes: the message known already. Same control id, other bytes: a conflict, kept
    and shown, not processed. Where no control id exists (FHIR), same feed and bytes are a repeat.
    """
    digest = hashlib.sha256(incoming.body).hexdigest()
    earlier = _earlier(connection, incoming, digest)
    same = next((m for m in earlier if m.sha256 == digest), None)
    if same is not None:
        return Kept(same.id, MessageStatus(same.status), repeat=True)
    status = _first_status(incoming, conflict=bool(earlier))
    message_id = new_id(at)
    why = incoming.fault or (f"control id known from message {earlier[0].id}, other bytes" if earlier else "received")
    _insert(connection, incoming, Kept(message_id, status), digest, (at, why))
    if status is MessageStatus.RECEIVED:
        work.ask(connection, "read", message_id, at)
    else:
        kind = "conflict" if status is MessageStatus.CONFLICT else "quarantine"
        items.open_item(
            connection, at, items.Item(f"{kind}:{message_id}", kind, message_id=message_id, reason=kind, text=why)
        )
    return Kept(message_id, status)


def _earlier(connection: Connection, incoming: Incoming, digest: str) -> list[Any]:
    query = select(messages.c.id, messages.c.sha256, messages.c.status).where(messages.c.feed == incoming.feed)
    header = incoming.header
    if header.control_id:
        query = query.where(
            messages.c.sender == header.sender[:_SENDER], messages.c.control_id == header.control_id[:_CONTROL_ID]
        )
    else:
        query = query.where(messages.c.sha256 == digest)
    return list(connection.execute(query.order_by(messages.c.id)).all())


def _first_status(incoming: Incoming, *, conflict: bool) -> MessageStatus:
    if incoming.fault:
        return MessageStatus.QUARANTINED
    return MessageStatus.CONFLICT if conflict else MessageStatus.RECEIVED


def _insert(
    connection: Connection, incoming: Incoming, kept: Kept, digest: str, when_why: tuple[datetime, str]
) -> None:
    at, why = when_why
    header = incoming.header
    row = {
        "id": kept.id,
        "feed": incoming.feed,
        "format": header.format.value,
        "type": header.type[:64],
        "control_id": header.control_id[:_CONTROL_ID],
        "sender": header.sender[:_SENDER],
        "sha256": digest,
        "body": incoming.body,
        "received_at": at,
        "status": kept.status.value,
        "reason": "" if kept.status is MessageStatus.RECEIVED else why,
    }
    connection.execute(insert(messages).values(row))
    record(connection, at, Change("message", kept.id, "", kept.status, why, actor=f"feed {incoming.feed}"))


def load(connection: Connection, message_id: str) -> tuple[Message, str]:
    """A message and its feed's name."""
    row = connection.execute(select(messages).where(messages.c.id == message_id)).one()
    header = Header(MessageFormat(row.format), row.type, row.control_id, row.sender)
    return Message(row.id, row.body, header), row.feed


def set_status(connection: Connection, message_id: str, status: MessageStatus, why: str, at: datetime) -> None:
    """Change a message's status, with its event."""
    before = connection.execute(select(messages.c.status).where(messages.c.id == message_id)).scalar_one()
    if before == status:
        return
    connection.execute(update(messages).where(messages.c.id == message_id).values(status=status.value, reason=why))
    record(connection, at, Change("message", message_id, before, status, why))


def file_facts(connection: Connection, facts: MessageFacts, at: datetime) -> set[str]:
    """File a message under its topics; answers the keys of all charts that may look different now."""
    topics = {f.topic for f in facts.facts} | set(facts.charts)
    _insert_ignore(connection, message_topics, [{"topic": t, "message_id": facts.message} for t in topics])
    refs = {(r, f.topic) for f in facts.facts for r in f.refs}
    _insert_ignore(connection, topic_refs, [{"ref": r, "topic": t} for r, t in refs])
    _insert_ignore(connection, charts, [{"key": k, "first_seen_at": at, "cancelled": False} for k in facts.charts])
    return set(facts.charts) | _charts_that_draw_on(connection, topics - set(facts.charts))


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
    for start in range(0, len(ordered), 500):  # SQLite takes a limited number of variables
        chunk = ordered[start : start + 500]
        yield from connection.execute(select(column).where(where.in_(chunk))).scalars()


def ids_of_topics(connection: Connection, topics: Collection[str]) -> list[str]:
    """The ids of the messages filed under any of these topics, in order of arrival."""
    return sorted(set(_select_in(connection, message_topics.c.message_id, message_topics.c.topic, topics)))
