"""The sandbox's books: the claims it has taken and every submission it has seen, in SQLite."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json

_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (
    number INTEGER PRIMARY KEY, system TEXT NOT NULL, value TEXT NOT NULL, claim BLOB NOT NULL, response BLOB NOT NULL,
    decided_at TEXT NOT NULL, replaced_by TEXT NOT NULL DEFAULT '', UNIQUE (system, value));
CREATE TABLE IF NOT EXISTS submissions (
    number INTEGER PRIMARY KEY, system TEXT NOT NULL, value TEXT NOT NULL, at TEXT NOT NULL, answer TEXT NOT NULL,
    arrived INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS submissions_of ON submissions (system, value);
"""

Name = tuple[str, str]
"""A claim's identifier: system and value."""


@dataclass(frozen=True, slots=True)
class KeptClaim:
    """A claim the sandbox has. `response` is the final ClaimResponse, in force from `decided_at`."""

    id: str
    name: Name
    claim: Json
    response: Json
    decided_at: datetime
    replaced_by: str = ""


class Books:
    """Keeps claims. With a file they outlive the process. Any thread may use it; `open_books` makes a group atomic."""

    def __init__(self, path: str | Path | None = None) -> None:
        self._lock = threading.RLock()
        # Autocommit: transactions begin and end where `open_books` says. The lock makes sharing a connection safe.
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        if path:
            self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

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

    def next_id(self) -> str:
        """The id the next claim gets; only within `open_books`."""
        return str(self._rows("SELECT coalesce(max(number), 0) + 1 FROM claims")[0][0])

    def keep(self, kept: KeptClaim) -> None:
        """Write a claim down."""
        row = (int(kept.id), *kept.name, to_bytes(kept.claim), to_bytes(kept.response), kept.decided_at.isoformat())
        self._rows(
            "INSERT INTO claims (number, system, value, claim, response, decided_at) VALUES (?, ?, ?, ?, ?, ?)", *row
        )

    def note_replaced(self, claim_id: str, by: str) -> None:
        """Write down that a claim is replaced by another."""
        self._rows("UPDATE claims SET replaced_by = ? WHERE number = ?", by, int(claim_id))

    def by_id(self, claim_id: str) -> KeptClaim | None:
        """The claim of one id."""
        number = int(claim_id) if claim_id.isdecimal() and len(claim_id) < 16 else 0
        return next(iter(self._claims("WHERE number = ?", number)), None)

    def named(self, system: str | None, value: str) -> list[KeptClaim]:
        """The claims with an identifier; any system where `system` is None."""
        if system is None:
            return self._claims("WHERE value = ?", value)
        return self._claims("WHERE system = ? AND value = ?", system, value)

    def all_claims(self) -> list[KeptClaim]:
        """Every claim, first taken first."""
        return self._claims("")

    def note_submission(self, name: Name, at: datetime, answer: str, *, arrived: bool) -> None:
        """Write a submission down. `arrived`: it reached the desk as a claim that is kept, first or again."""
        self._rows(
            "INSERT INTO submissions (system, value, at, answer, arrived) VALUES (?, ?, ?, ?, ?)",
            *(*name, at.isoformat(), answer, int(arrived)),
        )

    def arrivals(self, name: Name) -> list[str]:
        """When a kept claim was received, first and repeats."""
        rows = self._rows(
            "SELECT at FROM submissions WHERE system = ? AND value = ? AND arrived ORDER BY number", *name
        )
        return [row[0] for row in rows]

    def answers(self) -> dict[Name, list[str]]:
        """What every identifier's submissions were answered, in order; those not read count under an empty one."""
        found: dict[Name, list[str]] = {}
        for system, value, answer in self._rows("SELECT system, value, answer FROM submissions ORDER BY number"):
            found.setdefault((system, value), []).append(answer)
        return found

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _claims(self, where: str, *values: object) -> list[KeptClaim]:
        columns = "number, system, value, claim, response, decided_at, replaced_by"
        rows = self._rows(f"SELECT {columns} FROM claims {where} ORDER BY number", *values)
        return [
            KeptClaim(str(n), (s, v), read_json(c), read_json(r), datetime.fromisoformat(at), by)
            for n, s, v, c, r, at, by in rows
        ]
