"""The audit trail: who saw or took out what, and when. Each entry is chained to the one before by its hash.

An entry that is changed, taken out or put in breaks the chain from there on. Entries cut off at its end are found by a
hash that was the last one before, kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select

from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import audit

READ, EXECUTE = "R", "E"
"""What was done, as FHIR's AuditEvent.action has it: a record was read; data were taken out."""

_FIRST = "0" * 64
"""What the first entry is chained to."""
_ACTOR, _SHOWN = 64, 64
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what to which record. `subject` is message, claim, chart or audit; `shown`: what of it, fixed words."""

    actor: str
    action: str
    subject: str
    subject_id: str
    shown: str


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """An entry as it is kept; `hash` is of it and of the one before."""

    id: int
    at: datetime
    entry: Entry
    hash: str


@dataclass(frozen=True, slots=True)
class Trail:
    """What a look through the whole trail found.

    `broken` is the number of the first entry that does not fit the one before, `head` the hash of the last entry.
    `has_known`: whether the hash that was to be in it is.
    """

    entries: int
    head: str
    broken: int | None = None
    has_known: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether nothing was changed, taken out or put in as far as can be told."""
        return self.broken is None and self.has_known


def append(connection: Connection, entry: Entry, at: datetime) -> None:
    """Write an entry, in a write transaction: there is one writer, so that each is chained to the last one."""
    last = _LAST.rows(connection, {})
    number, before = (last[0].id + 1, last[0].hash) if last else (1, _FIRST)
    kept = Entry(entry.actor[:_ACTOR], entry.action, entry.subject, entry.subject_id, entry.shown[:_SHOWN])
    row = {"id": number, "at": at, "actor": kept.actor, "action": kept.action, "subject": kept.subject}
    row |= {"subject_id": kept.subject_id, "shown": kept.shown, "hash": _hash(before, number, at, kept)}
    connection.execute(insert(audit), [row])


_LAST = Prepared(select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1))
_NEXT = Prepared(select(audit).where(audit.c.id > bindparam("after")).order_by(audit.c.id).limit(_AT_ONCE))


def _hash(before: str, number: int, at: datetime, entry: Entry) -> str:
    told = [before, number, at.astimezone(UTC).isoformat(), entry.actor, entry.action, entry.subject]
    return hashlib.sha256(orjson.dumps([*told, entry.subject_id, entry.shown])).hexdigest()


def entries(connection: Connection, after: int = 0) -> Iterator[KeptEntry]:
    """All entries after a number, the oldest first; a thousand at a time are in memory."""
    while rows := _NEXT.rows(connection, {"after": after}):
        yield from map(_kept, rows)
        after = rows[-1].id


def latest(
    connection: Connection, limit: int, *, actor: str = "", subject_id: str = "", since: datetime | None = None
) -> list[KeptEntry]:
    """The newest entries, of a person, about a record, or since a time."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if actor:
        query = query.where(audit.c.actor == actor)
    if subject_id:
        query = query.where(audit.c.subject_id == subject_id)
    if since:
        query = query.where(audit.c.at >= since)
    return [_kept(row) for row in connection.execute(query)]


def _kept(row: Any) -> KeptEntry:
    entry = Entry(row.actor, row.action, row.subject, row.subject_id, row.shown)
    return KeptEntry(row.id, row.at, entry, row.hash)


def verify(connection: Connection, known: str = "") -> Trail:
    """Look through the whole trail. `known` is a hash that was its last one at some time, empty where none is."""
    before, number, has_known = _FIRST, 0, not known or known == _FIRST
    for one in entries(connection):
        if one.id != number + 1 or one.hash != _hash(before, one.id, one.at, one.entry):
            return Trail(number, before, number + 1, has_known)
        before, number = one.hash, one.id
        has_known = has_known or known == before
    return Trail(number, before, None, has_known)
