"""Resources that came over HTTP: their ids and versions, and what a sender may make a condition (FHIR R4 3.1.0).

A ledger has no resources, it has messages; this is what must be known to answer as a FHIR server does. All that one
request says is filed in one transaction.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from fhir_coder.model import Answered, MessageStatus
from fhir_coder.store import messages
from fhir_coder.store.ids import new_id
from fhir_coder.store.messages import Incoming, Kept
from fhir_coder.store.schema import fhir_identifiers, fhir_resources
from fhir_coder.store.schema import messages as message_table

_AT_ONCE = 500  # SQLite takes a limited number of variables

Method = Literal["POST", "PUT", "DELETE"]
Came = Literal["created", "updated", "deleted", "repeated", "matched", "several_match", "other_version"]
"""What came of an interaction. `repeated`: the same bytes made this version before. `matched`: a conditional create
found the resource. `several_match`, `other_version`: its condition did not hold, nothing was taken."""

REFUSED: frozenset[Came] = frozenset({"several_match", "other_version"})


@dataclass(frozen=True, slots=True)
class Interaction:
    """What is asked for of one resource. Without an `id` one is assigned.

    `path` is where in the payload the resource stands, `identifiers` are its business identifiers as `system|value`,
    `only_version` is If-Match, `unless` is If-None-Exist: the identifier that must not be known yet.
    """

    method: Method
    type: str
    path: str
    id: str = ""
    identifiers: tuple[str, ...] = ()
    only_version: int | None = None
    unless: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A payload and what it asks for. `is_whole`: all of it or nothing (a transaction).

    `left_out` are paths in it that are refused already, `checked` says that the rest was validated.
    """

    incoming: Incoming
    interactions: tuple[Interaction, ...] = ()
    is_whole: bool = False
    left_out: frozenset[str] = frozenset()
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one interaction; the version is that of the resource now."""

    came: Came
    id: str = ""
    version: int = 0
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filed:
    """What came of a payload: one `Done` for each interaction, and the message; None where nothing was to be kept."""

    done: tuple[Done, ...] = ()
    kept: Kept | None = None


def file_all(connection: Connection, asked: Sequence[Asked], key: bytes, at: datetime) -> list[Filed]:
    """File the payloads of one request in their order. `key` is the secret of the index of identifiers."""
    filing = _Filing(connection, asked, key, at)
    filed = [filing.file(place, one) for place, one in enumerate(asked)]
    kept = filing.write()
    return [replace(one, kept=kept.get(place, one.kept)) for place, one in enumerate(filed)]


@dataclass(frozen=True, slots=True)
class _Name:
    """What a resource is called."""

    feed: str
    type: str
    id: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The newest version of a resource; `message` is empty for one that is about to be written."""

    version: int
    message: str
    path: str
    deleted: bool
    changed_at: datetime


@dataclass(slots=True)
class _Plan:
    """What one payload would change, before it is known whether it may."""

    resources: dict[_Name, _Known] = field(default_factory=dict)
    identifiers: dict[_Name, tuple[str, ...]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    not_taken: set[str] = field(default_factory=set)


class _Filing:
    """One request being filed: what the ledger knows is read at once, what is decided is written at once."""

    def __init__(self, connection: Connection, asked: Sequence[Asked], key: bytes, at: datetime) -> None:
        self._connection, self._key, self._at = connection, key, at
        digests = {one.incoming.body: hashlib.sha256(one.incoming.body).hexdigest() for one in asked}
        known = _messages_with(connection, set(digests.values()))
        self._earlier = {
            (one.incoming.feed, one.incoming.body): known.get((one.incoming.feed, digests[one.incoming.body]), {})
            for one in asked
        }
        self._holders = self._read_holders(asked)
        self._resources = self._read_resources(asked)
        self._at_place = {(known.message, known.path): name for name, known in self._resources.items()}
        self._fresh: list[tuple[int, Incoming, _Plan]] = []
        self._taken: dict[tuple[str, bytes], tuple[int, _Plan]] = {}
        self._again: dict[int, int] = {}

    def file(self, place: int, asked: Asked) -> Filed:
        """Decide about one payload, the one at this place of the request."""
        sent = asked.incoming.feed, asked.incoming.body
        if sent in self._taken and (said := self._said_again(place, sent)) is not None:
            return said
        plan, earlier = _Plan(), self._earlier[sent]
        done = tuple(self._decide(asked.incoming.feed, one, plan, earlier) for one in asked.interactions)
        if asked.is_whole and any(one.came in REFUSED for one in done):
            return Filed(done)
        if earlier and not plan.resources:
            first = min(earlier)
            return Filed(done, Kept(first, earlier[first], repeat=True))
        if plan.resources or not asked.interactions:
            answered = Answered(plan.ids, asked.left_out | plan.not_taken, asked.checked)
            self._fresh.append((place, replace(asked.incoming, answered=answered), plan))
            self._resources |= plan.resources
            self._taken[sent] = place, plan
        return Filed(done)

    def _said_again(self, place: int, sent: tuple[str, bytes]) -> Filed | None:
        """A payload whose bytes stand in the same request before, unless others changed its resources since."""
        first, plan = self._taken[sent]
        if any(self._resources[name] is not known for name, known in plan.resources.items()):
            return None
        self._again[place] = first
        known_as = [(name.id, known) for name, known in plan.resources.items()]
        return Filed(tuple(Done("repeated", i, known.version, known.changed_at) for i, known in known_as))

    def write(self) -> dict[int, Kept]:
        """Write what was decided; answers what became of the payloads that were inserted, by their place."""
        kept = messages.insert_all(self._connection, [incoming for _, incoming, _ in self._fresh], self._at)
        rows: dict[_Name, dict[str, object]] = {}
        identifiers: dict[_Name, tuple[str, ...]] = {}
        for (_, _, plan), one in zip(self._fresh, kept, strict=True):
            rows |= {name: _row(name, known, one.id) for name, known in plan.resources.items()}
            identifiers |= plan.identifiers
        if rows:
            self._connection.execute(_SAVE, list(rows.values()))
        self._write_identifiers(identifiers, {name for name, row in rows.items() if row["version"] != 1})
        by_place = {place: one for (place, _, _), one in zip(self._fresh, kept, strict=True)}
        again = {place: replace(by_place[first], repeat=True) for place, first in self._again.items()}
        return by_place | again

    # --- deciding

    def _decide(self, feed: str, one: Interaction, plan: _Plan, earlier: Mapping[str, MessageStatus]) -> Done:
        if repeated := self._repeated(one, plan, earlier):
            return repeated
        holders = self._holders.get(self._digest(feed, one.type, one.unless)) if one.unless else None
        if holders:
            return self._matched(one, holders, plan)
        name = _Name(feed, one.type, one.id or new_id(self._at))
        known = plan.resources.get(name) or self._resources.get(name)
        is_there = known is not None and not known.deleted
        if one.only_version is not None and not (known and is_there and known.version == one.only_version):
            plan.not_taken.add(one.path)
            return Done("other_version")
        if not one.id:
            plan.ids[one.path] = name.id
        now = _Known(known.version + 1 if known else 1, "", one.path, one.method == "DELETE", self._at)
        self._plan(name, one, now, plan)
        came: Came = "deleted" if now.deleted else "updated" if is_there else "created"
        return Done(came, name.id, now.version, now.changed_at)

    def _repeated(self, one: Interaction, plan: _Plan, earlier: Mapping[str, MessageStatus]) -> Done | None:
        """Whether these very bytes made the version that the resource has now: a lost answer is given again."""
        name = next((self._at_place[m, one.path] for m in earlier if (m, one.path) in self._at_place), None)
        if name is None or name in plan.resources or not self._resources[name].message:
            return None
        known = self._resources[name]
        if not one.id:
            plan.ids[one.path] = name.id
        return Done("repeated", name.id, known.version, known.changed_at)

    def _matched(self, one: Interaction, holders: set[_Name], plan: _Plan) -> Done:
        plan.not_taken.add(one.path)
        if len(holders) > 1:
            return Done("several_match")
        (name,) = holders
        plan.ids[one.path] = name.id
        known = plan.resources.get(name) or self._resources[name]
        return Done("matched", name.id, known.version, known.changed_at)

    def _plan(self, name: _Name, one: Interaction, now: _Known, plan: _Plan) -> None:
        plan.resources[name] = now
        pairs = () if now.deleted else one.identifiers
        plan.identifiers[name] = tuple(dict.fromkeys(self._digest(name.feed, name.type, pair) for pair in pairs))
        for digest, holders in self._holders.items():
            if digest in plan.identifiers[name]:
                holders.add(name)
            else:
                holders.discard(name)

    def _digest(self, feed: str, resource_type: str, pair: str) -> str:
        # Not `people.digest`, which does not mind case: two record numbers that differ by it are two patients.
        text = "\n".join((feed, resource_type, pair))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]

    # --- reading and writing rows

    def _read_holders(self, asked: Sequence[Asked]) -> dict[str, set[_Name]]:
        """The resources that have an identifier which must not be known yet, by its digest."""
        found: dict[str, set[_Name]] = {
            self._digest(feed, one.type, one.unless): set() for feed, one in _interactions(asked) if one.unless
        }
        for chunk in _chunks(found):
            for row in self._connection.execute(select(fhir_identifiers).where(fhir_identifiers.c.digest.in_(chunk))):
                found[row.digest].add(_Name(row.feed, row.type, row.id))
        return found

    def _read_resources(self, asked: Sequence[Asked]) -> dict[_Name, _Known]:
        """The resources that are named, that may match, and that these bytes made before."""
        wanted = {_Name(feed, one.type, one.id) for feed, one in _interactions(asked) if one.id}
        wanted |= {name for holders in self._holders.values() for name in holders}
        scopes: dict[tuple[str, str], list[str]] = {}
        for name in wanted:
            scopes.setdefault((name.feed, name.type), []).append(name.id)
        queries = [
            select(fhir_resources).where(
                fhir_resources.c.feed == feed, fhir_resources.c.type == kind, fhir_resources.c.id.in_(chunk)
            )
            for (feed, kind), ids in scopes.items()
            for chunk in _chunks(ids)
        ]
        earlier = {message_id for known in self._earlier.values() for message_id in known}
        queries += [select(fhir_resources).where(fhir_resources.c.message_id.in_(chunk)) for chunk in _chunks(earlier)]
        return {
            _Name(row.feed, row.type, row.id): _Known(
                row.version, row.message_id, row.path, row.deleted, row.changed_at
            )
            for query in queries
            for row in self._connection.execute(query)
        }

    def _write_identifiers(self, identifiers: Mapping[_Name, tuple[str, ...]], known_before: Collection[_Name]) -> None:
        gone = [{"of_feed": name.feed, "of_type": name.type, "of_id": name.id} for name in known_before]
        if gone:
            self._connection.execute(_FORGET, gone)
        rows = [
            {"digest": digest, "feed": name.feed, "type": name.type, "id": name.id}
            for name, digests in identifiers.items()
            for digest in digests
        ]
        if rows:
            self._connection.execute(insert(fhir_identifiers), rows)


def _row(name: _Name, known: _Known, message_id: str) -> dict[str, object]:
    return {
        "feed": name.feed,
        "type": name.type,
        "id": name.id,
        "version": known.version,
        "message_id": message_id,
        "path": known.path,
        "deleted": known.deleted,
        "changed_at": known.changed_at,
    }


_NEW = upsert(fhir_resources)
_CHANGED = ("version", "message_id", "path", "deleted", "changed_at")
_SAVE = _NEW.on_conflict_do_update(
    index_elements=["feed", "type", "id"], set_={column: _NEW.excluded[column] for column in _CHANGED}
)
_FORGET = delete(fhir_identifiers).where(
    fhir_identifiers.c.feed == bindparam("of_feed"),
    fhir_identifiers.c.type == bindparam("of_type"),
    fhir_identifiers.c.id == bindparam("of_id"),
)


def _messages_with(connection: Connection, digests: Collection[str]) -> dict[tuple[str, str], dict[str, MessageStatus]]:
    """The messages with these bytes, by feed and digest: their statuses by id."""
    columns = (message_table.c.id, message_table.c.feed, message_table.c.sha256, message_table.c.status)
    found: dict[tuple[str, str], dict[str, MessageStatus]] = {}
    for chunk in _chunks(digests):
        for row in connection.execute(select(*columns).where(message_table.c.sha256.in_(chunk))):
            found.setdefault((row.feed, row.sha256), {})[row.id] = MessageStatus(row.status)
    return found


def _interactions(asked: Iterable[Asked]) -> Iterator[tuple[str, Interaction]]:
    for one in asked:
        for interaction in one.interactions:
            yield one.incoming.feed, interaction


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]
