"""The inbox: what intake has acknowledged and nobody has filed in the ledger yet. A SQLite file beside the ledger.

Only intake writes to it, so that an acknowledgment never waits for a worker; whoever opens the ledger may file what
waits. A message leaves the inbox only after the ledger has it: up to where an inbox was filed stands in the ledger,
written in the same transaction.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path

from sqlalchemy import Connection, bindparam
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import OperationalError

from fhir_coder.logs import log
from fhir_coder.model import Header, MessageFormat, MessageStatus
from fhir_coder.store import messages
from fhir_coder.store.ledger import Ledger
from fhir_coder.store.messages import Earlier, Fresh, Identity, Incoming, Kept
from fhir_coder.store.schema import inboxes

_COLUMNS = (
    *("received_at", "id", "feed", "sender", "control_id", "sha256", "status", "why"),
    *("format", "type", "version", "body", "fault", "corrects", "actor", "answered"),
)
_MAKE = f"""
CREATE TABLE IF NOT EXISTS inbox (seq INTEGER PRIMARY KEY, {", ".join(_COLUMNS)});
CREATE INDEX IF NOT EXISTS inbox_by_control_id ON inbox (feed, sender, control_id) WHERE control_id <> '';
CREATE INDEX IF NOT EXISTS inbox_by_digest ON inbox (sha256) WHERE control_id = '';
CREATE TABLE IF NOT EXISTS name (name TEXT NOT NULL);
"""
_KEEP = f"INSERT INTO inbox (seq, {', '.join(_COLUMNS)}) VALUES (?, {', '.join('?' * len(_COLUMNS))})"
_KNOWN = "SELECT id, sha256, status, feed, control_id FROM {} WHERE "
_BY_CONTROL_ID = _KNOWN + "feed = ? AND sender = ? AND control_id IN ({}) AND control_id <> ''"
_BY_DIGEST = _KNOWN + "sha256 IN ({}) AND control_id = ''"
_WAITING = f"SELECT seq, {', '.join(_COLUMNS)} FROM inbox WHERE seq > ? ORDER BY seq"

_VALUES_AT_ONCE = 500  # SQLite takes a limited number of variables
_FILED_AT_ONCE, _BYTES_AT_ONCE = 500, 16 << 20
_REMOVED_AT_ONCE = 500
_MANY = 20_000
"""Messages kept since there was time to tidy, from which on each commit removes some that the ledger has."""


def inbox_path(ledger: Path) -> Path:
    """Where the inbox of a ledger stands."""
    return ledger.with_name(f"{ledger.name}.inbox")


class Inbox:
    """Intake's side: keeps messages. One for a ledger, used by one thread at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._db = sqlite3.connect(inbox_path(ledger.path), isolation_level=None, check_same_thread=False)
        # A checkpoint flushes the file as well: at 32 MB of log instead of 4, it comes more seldom.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=8000"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_MAKE)
        if not self._db.execute("SELECT name FROM name").fetchone():
            self._db.execute("INSERT INTO name VALUES (?)", [secrets.token_hex(16)])
        self._name: str = self._db.execute("SELECT name FROM name").fetchone()[0]
        self._filed = sqlite3.connect(f"{ledger.path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._seq = max(self._db.execute("SELECT max(seq) FROM inbox").fetchone()[0] or 0, self._place())
        self._kept = 1  # there may be some of an earlier service

    def close(self) -> None:
        """Close the files."""
        self._filed.close()
        self._db.close()

    def keep_all(self, incoming: Sequence[Incoming], at: datetime) -> list[Kept]:
        """Keep payloads in their order, as `messages.keep_all` does: on the disk when this returns.

        Where there are none it is tried whether some could be kept now.
        """
        if not incoming:
            self._try()
            return []
        kept = self.put(incoming, at)
        self.commit()
        return kept

    def put(self, incoming: Sequence[Incoming], at: datetime) -> list[Kept]:
        """Write payloads in their order, without waiting for the disk. Undone if it raises.

        Nothing of it counts until `commit` has returned; nothing else may be put before.
        """
        digested = [(one, messages.digest_of(one)) for one in incoming]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            answers, fresh = messages.sort_out(digested, self._known(messages.identities(digested)), at)
            written_at = at.isoformat()
            self._db.executemany(_KEEP, [_row(seq, one, written_at) for seq, one in enumerate(fresh, self._seq + 1)])
        except BaseException:
            self._undo()
            raise
        self._seq += len(fresh)
        self._kept += len(fresh)
        self._fresh = len(fresh)
        return answers

    def commit(self) -> None:
        """Bring to the disk what was put. Undone if it raises."""
        try:
            if self._kept > _MANY:
                self._remove(2 * self._fresh)
            self._db.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        if self._db.in_transaction:  # a full disk has undone it already
            self._db.execute("ROLLBACK")

    def _known(self, identities: Collection[Identity]) -> dict[Identity, list[Earlier]]:
        """The messages here and in the ledger that share an identity, the oldest first."""
        found: dict[Identity, dict[str, Earlier]] = {identity: {} for identity in identities}
        scopes: dict[Identity, list[str]] = {}
        for identity in identities:
            scopes.setdefault(identity[:-1], []).append(identity[-1])
        for scope, values in scopes.items():
            # Here first: what is filed between the two questions is found twice, not missed.
            for rows in (_look_up(self._db, "inbox", scope, values), _look_up(self._filed, "messages", scope, values)):
                for message_id, digest, status, feed, control_id in rows:
                    if feed == scope[0]:
                        same = found[(*scope, control_id or digest)]
                        same[message_id] = Earlier(message_id, digest, MessageStatus(status))
        return {identity: sorted(same.values(), key=lambda one: one.id) for identity, same in found.items()}

    def _try(self) -> None:
        """Write as a message is written, and change nothing."""
        self._db.execute("PRAGMA user_version = 1")  # a row that stays as it was would not be written

    @property
    def is_empty(self) -> bool:
        """Whether the ledger had all of it when it was tidied last."""
        return not self._kept

    def tidy(self) -> None:
        """Remove what the ledger has; for times when nothing comes."""
        while self._kept and self._remove(_REMOVED_AT_ONCE) == _REMOVED_AT_ONCE:
            pass
        self._kept = self._db.execute("SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT 1)").fetchone()[0]

    def _remove(self, most: int) -> int:
        """Remove some of what was filed; answers how many."""
        first = self._db.execute("SELECT min(seq) FROM inbox").fetchone()[0]
        if first is None:
            return 0
        last = min(self._place(), first + most - 1)
        return self._db.execute("DELETE FROM inbox WHERE seq <= ?", [last]).rowcount

    def _place(self) -> int:
        """Up to where this inbox is filed in the ledger."""
        row = self._filed.execute(_PLACE, [self._name]).fetchone()
        return int(row[0]) if row else 0


def _look_up(db: sqlite3.Connection, table: str, scope: Identity, values: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Messages by control id (scope: feed and sender) or by digest (scope: feed, which is not asked for here)."""
    query, first = (_BY_CONTROL_ID, scope) if len(scope) == 2 else (_BY_DIGEST, ())
    for start in range(0, len(values), _VALUES_AT_ONCE):
        some = values[start : start + _VALUES_AT_ONCE]
        yield from db.execute(query.format(table, ",".join("?" * len(some))), (*first, *some))


def _row(seq: int, one: Fresh, at: str) -> tuple[object, ...]:
    incoming, row, header = one.incoming, one.row, one.incoming.header
    named = messages.header_columns(header)
    return (
        *(seq, at, row.id, incoming.feed, named["sender"], named["control_id"], row.sha256, row.status.value, one.why),
        *(named["format"], named["type"], header.version, incoming.body, incoming.fault, incoming.corrects),
        *(incoming.actor, messages.answered_text(incoming.answered)),
    )


class InboxReader:
    """The ledger's side: files what waits. Any process may; one thread at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._db: sqlite3.Connection | None = None
        self._name = ""
        self._filed = 0

    def close(self) -> None:
        """Close the inbox's file."""
        if self._db:
            self._db.close()

    def file(self) -> int:
        """File all that waits now, in its order; answers how many messages. What comes meanwhile waits."""
        number, db = 0, self._opened()
        last = db.execute("SELECT max(seq) FROM inbox").fetchone()[0] or 0 if db else 0
        while db and self._filed < last:
            with self._ledger.writing() as connection:
                filed = _place(connection, self._name)
                rows = _next_rows(db, filed)
                for at, group in groupby(rows, lambda row: str(row["received_at"])):
                    messages.insert_fresh(connection, [_fresh(row) for row in group], datetime.fromisoformat(at))
                if rows:
                    filed = rows[-1]["seq"]
                    connection.execute(_MOVED_ON, {"name": self._name, "filed": filed})
            self._filed = filed
            number += len(rows)
        return number

    def _opened(self) -> sqlite3.Connection | None:
        """The inbox's file, None where there is none yet."""
        if not self._name and inbox_path(self._ledger.path).exists():
            self._db = self._db or sqlite3.connect(
                inbox_path(self._ledger.path), isolation_level=None, check_same_thread=False
            )
            self._db.row_factory = sqlite3.Row
            is_made = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'name'").fetchone()
            row = self._db.execute("SELECT name FROM name").fetchone() if is_made else None
            self._name = row["name"] if row else ""
        return self._db if self._name else None


def file_inbox(ledger: Ledger) -> int:
    """File what waits in a ledger's inbox, where it may be written to; answers how many messages."""
    reader = InboxReader(ledger)
    try:
        return reader.file()
    except (sqlite3.OperationalError, OperationalError) as error:  # a copy on a read-only disk is shown all the same
        log.warning("inbox_not_filed", error=type(error).__name__)
        return 0
    finally:
        reader.close()


def _next_rows(db: sqlite3.Connection, filed: int) -> list[sqlite3.Row]:
    rows, size = [], 0
    for row in db.execute(_WAITING, [filed]):
        rows.append(row)
        size += len(row["body"])
        if len(rows) == _FILED_AT_ONCE or size > _BYTES_AT_ONCE:
            break
    return rows


def _fresh(row: sqlite3.Row) -> Fresh:
    header = Header(MessageFormat(row["format"]), row["type"], row["control_id"], row["sender"], row["version"])
    answered = messages.answered_of(row["answered"])
    incoming = Incoming(row["feed"], header, row["body"], row["fault"], row["corrects"], row["actor"], answered)
    return Fresh(incoming, Earlier(row["id"], row["sha256"], MessageStatus(row["status"])), row["why"])


def _place(connection: Connection, name: str) -> int:
    """Up to where an inbox is filed in the ledger."""
    row = connection.exec_driver_sql(_PLACE, (name,)).first()
    return int(row[0]) if row else 0


_PLACE = "SELECT filed FROM inboxes WHERE name = ?"
_MOVED = upsert(inboxes).values(name=bindparam("name"), filed=bindparam("filed"))
_MOVED_ON = _MOVED.on_conflict_do_update(index_elements=[inboxes.c.name], set_={"filed": _MOVED.excluded.filed})
