"""The sandbox's books: the claims it has taken and every submission it has seen, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from fhir_coder.claims.wire import to_bytes
from fhir_coder.errors import FhirCoderError
from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json, text
from fhir_coder.payers.sandbox.adjudicate import decision_of
from fhir_coder.payers.sandbox.search import Condition, Facets, Search

_VERSION = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (
    number INTEGER PRIMARY KEY, system TEXT NOT NULL, value TEXT NOT NULL, claim BLOB NOT NULL, response BLOB NOT NULL,
    decided_at TEXT NOT NULL, replaced_by TEXT NOT NULL DEFAULT '', taken_at REAL NOT NULL, outcome TEXT NOT NULL,
    decision TEXT NOT NULL, use TEXT NOT NULL, status TEXT NOT NULL, patient TEXT NOT NULL,
    patient_system TEXT NOT NULL, patient_value TEXT NOT NULL, created_from REAL NOT NULL, created_to REAL NOT NULL,
    beside BLOB NOT NULL, UNIQUE (system, value));
CREATE INDEX IF NOT EXISTS claims_of ON claims (patient_value);
CREATE TABLE IF NOT EXISTS services (service TEXT NOT NULL, claim_number INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS services_named ON services (service);
CREATE TABLE IF NOT EXISTS submissions (
    number INTEGER PRIMARY KEY, system TEXT NOT NULL, value TEXT NOT NULL, at TEXT NOT NULL, answer TEXT NOT NULL,
    arrived INTEGER NOT NULL, path TEXT NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL, reply BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS submissions_of ON submissions (system, value);
CREATE TABLE IF NOT EXISTS subscriptions (
    number INTEGER PRIMARY KEY, base TEXT NOT NULL, resource BLOB NOT NULL, events INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY, subscription INTEGER NOT NULL, claim INTEGER NOT NULL, due_at REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS notices_due ON notices (due_at) WHERE NOT done;
"""

Name = tuple[str, str]
"""A claim's identifier: system and value."""


@dataclass(frozen=True, slots=True)
class KeptClaim:
    """A claim the sandbox has. `response` is the final ClaimResponse, in force from `decided_at`.

    `services` are what it bills, to tell repeats by; `beside` the other entries of the Bundle it came in.
    """

    id: str
    name: Name
    claim: Json
    response: Json
    decided_at: datetime
    replaced_by: str = ""
    taken_at: datetime | None = None
    facets: Facets = field(default_factory=Facets)
    services: frozenset[str] = frozenset()
    beside: Sequence[Json] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """A claim submission as it came, and what it was answered; headers without what proves who sent it.

    `arrived`: it reached the desk as a claim that is kept, first or again. `reply` is the body of a refusal.
    """

    name: Name
    at: datetime
    answer: str
    arrived: bool = False
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    reply: bytes = b""
    number: int = 0


class Books:
    """Keeps claims. With a file they outlive the process. Any thread may use it; `open_books` makes a group atomic.

    Raises FhirCoderError for a file that is no book of this version.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._lock = threading.RLock()
        # Autocommit: transactions begin and end where `open_books` says. The lock makes sharing a connection safe.
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            self._prepare(path)
        except sqlite3.Error:
            raise FhirCoderError(f"{path}: no file for the payer's claims can be opened there") from None

    def _prepare(self, path: str | Path | None) -> None:
        is_new = not self.rows("SELECT 1 FROM sqlite_master LIMIT 1")
        if not is_new and self.rows("PRAGMA user_version") != [(_VERSION,)]:
            raise FhirCoderError(f"{path}: made by another version of the sandbox payer: name a new file")
        if path:
            self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(f"{_SCHEMA}PRAGMA user_version = {_VERSION};")

    @contextmanager
    def open_books(self) -> Iterator[None]:
        """One transaction."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # --- claims

    def next_id(self) -> str:
        """The id the next claim gets; only within `open_books`."""
        return str(self.rows("SELECT coalesce(max(number), 0) + 1 FROM claims")[0][0])

    def keep(self, kept: KeptClaim) -> None:
        """Write a claim down."""
        facets, taken_at = kept.facets, kept.taken_at or kept.decided_at
        row = (
            *(int(kept.id), *kept.name, to_bytes(kept.claim), to_bytes(kept.response), kept.decided_at.isoformat()),
            *(taken_at.timestamp(), text(kept.response, "outcome"), decision_of(kept.response)),
            *(facets.use, facets.status, facets.patient, facets.patient_system, facets.patient_value, *facets.created),
            to_bytes(list(kept.beside)),
        )
        self.rows(
            "INSERT INTO claims (number, system, value, claim, response, decided_at, taken_at, outcome,"
            " decision, use, status, patient, patient_system, patient_value, created_from, created_to, beside)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *row,
        )
        for service in kept.services:
            self.rows("INSERT INTO services VALUES (?, ?)", service, int(kept.id))

    def note_replaced(self, claim_id: str, by: str) -> None:
        """Write down that a claim is replaced by another."""
        self.rows("UPDATE claims SET replaced_by = ? WHERE number = ?", by, int(claim_id))

    def billed(self, services: Iterable[str], besides: Iterable[str]) -> frozenset[str]:
        """Those of some services that a claim which stands bills; the claims `besides` (ids) do not count."""
        left_out = [int(claim_id) for claim_id in besides]
        stands = "claim_number IN (SELECT number FROM claims WHERE replaced_by = '')"
        others = f"claim_number NOT IN ({', '.join('?' * len(left_out))})"
        sql = f"SELECT 1 FROM services WHERE service = ? AND {others} AND {stands} LIMIT 1"
        return frozenset(s for s in services if self.rows(sql, s, *left_out))

    def by_id(self, claim_id: str) -> KeptClaim | None:
        """The claim of one id."""
        number = int(claim_id) if claim_id.isdecimal() and len(claim_id) < 16 else 0
        return next(iter(self._claims("WHERE number = ?", number)), None)

    def named(self, system: str | None, value: str) -> list[KeptClaim]:
        """The claims with an identifier; any system where `system` is None."""
        if system is None:
            return self._claims("WHERE value = ?", value)
        return self._claims("WHERE system = ? AND value = ?", system, value)

    def is_named(self, system: str, value: str) -> bool:
        """Whether there is a claim with an identifier."""
        return bool(self.rows("SELECT 1 FROM claims WHERE system = ? AND value = ?", system, value))

    def all_claims(self) -> list[KeptClaim]:
        """Every claim, first taken first."""
        return self._claims("")

    def found(self, search: Search) -> list[KeptClaim]:
        """One page of a search, and one claim more where there is a next page; first taken first."""
        where = search.where
        return self._claims(f"WHERE {where.sql} AND number > ?", *where.values, search.after, limit=search.count + 1)

    def latest(self, where: Condition, limit: int) -> list[KeptClaim]:
        """The claims of a kind, last taken first."""
        return self._claims(f"WHERE {where.sql}", *where.values, limit=limit, order="number DESC")

    def decisions(self, now: datetime) -> dict[str, int]:
        """How many claims there are of each decision; one that is not due yet is queued."""
        sql = "SELECT iif(decided_at > ?, 'queued', decision), count(*) FROM claims GROUP BY 1 ORDER BY 1"
        return dict(self.rows(sql, now.isoformat()))

    def count(self, where: Condition) -> int:
        """How many claims there are of a kind."""
        found: int = self.rows(f"SELECT count(*) FROM claims WHERE {where.sql}", *where.values)[0][0]
        return found

    # --- submissions

    def note_submission(self, one: Submission) -> None:
        """Write a submission down."""
        row = (*one.name, one.at.isoformat(), one.answer, int(one.arrived), one.path, to_bytes(dict(one.headers)))
        self.rows(
            "INSERT INTO submissions (system, value, at, answer, arrived, path, headers, body, reply)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(*row, one.body, one.reply),
        )

    def submissions(self, where: str, *values: object, limit: int = 50) -> list[Submission]:
        """Submissions by an SQL condition, latest first."""
        columns = "system, value, at, answer, arrived, path, headers, body, reply, number"
        rows = self.rows(
            f"SELECT {columns} FROM submissions WHERE {where} ORDER BY number DESC LIMIT ?", *values, limit
        )
        return [
            Submission((s, v), datetime.fromisoformat(at), told, bool(here), path, orjson.loads(headers), *rest)
            for s, v, at, told, here, path, headers, *rest in rows
        ]

    def arrivals(self, name: Name) -> list[str]:
        """When a kept claim was received, first and repeats."""
        rows = self.rows("SELECT at FROM submissions WHERE system = ? AND value = ? AND arrived ORDER BY number", *name)
        return [row[0] for row in rows]

    def answers(self) -> dict[Name, list[str]]:
        """What every identifier's submissions were answered, in order; those not read count under an empty one."""
        found: dict[Name, list[str]] = {}
        for system, value, answer in self.rows("SELECT system, value, answer FROM submissions ORDER BY number"):
            found.setdefault((system, value), []).append(answer)
        return found

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _claims(self, where: str, *values: object, limit: int = -1, order: str = "number") -> list[KeptClaim]:
        columns = "number, system, value, claim, response, decided_at, replaced_by, beside"
        rows = self.rows(f"SELECT {columns} FROM claims {where} ORDER BY {order} LIMIT ?", *values, limit)
        return [
            KeptClaim(str(n), (s, v), read_json(c), read_json(r), datetime.fromisoformat(at), by, beside=read_json(b))
            for n, s, v, c, r, at, by, b in rows
        ]
