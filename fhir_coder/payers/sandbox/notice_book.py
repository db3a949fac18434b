"""Subscriptions and notifications in the sandbox's books."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.sandbox.store import Books
from fhir_coder.payers.sandbox.subscriptions import Subscribed

_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Notice:
    """Someone is to be told of a claim: the ids of both, and when, in seconds since 1970."""

    subscription: str
    claim: str
    due_at: float
    tries: int = 0
    number: int = 0


class NoticeBook:
    """Keeps subscriptions and notices. Any thread may use it."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def keep(self, base: str, resource: Json) -> Subscribed:
        """Write a subscription down, with its id."""
        with self._books.open_books():
            number = self._books.rows("SELECT coalesce(max(number), 0) + 1 FROM subscriptions")[0][0]
            kept = Subscribed(str(number), base, resource | {"id": str(number)})
            self._books.rows(
                "INSERT INTO subscriptions (number, base, resource) VALUES (?, ?, ?)",
                *(number, base, to_bytes(kept.resource)),
            )
        return kept

    def update(self, subscribed: Subscribed) -> None:
        """Write down what became of a subscription."""
        self._books.rows(
            "UPDATE subscriptions SET resource = ?, events = ? WHERE number = ?",
            *(to_bytes(subscribed.resource), subscribed.events, int(subscribed.id)),
        )

    def all(self) -> list[Subscribed]:
        """Every subscription, first made first."""
        rows = self._books.rows("SELECT number, base, resource, events FROM subscriptions ORDER BY number")
        return [Subscribed(str(n), base, read_json(resource), events) for n, base, resource, events in rows]

    def by_id(self, identity: str) -> Subscribed | None:
        """The subscription of one id."""
        return next((one for one in self.all() if one.id == identity), None)

    def remove(self, identity: str) -> bool:
        """Forget a subscription; whether there was one."""
        found = self.by_id(identity)
        if found:
            self._books.rows("DELETE FROM subscriptions WHERE number = ?", int(found.id))
        return bool(found)

    def note(self, notices: Iterable[Notice]) -> None:
        """Write down who is to be told."""
        for one in notices:
            self._books.rows(
                "INSERT INTO notices (subscription, claim, due_at) VALUES (?, ?, ?)",
                *(int(one.subscription), int(one.claim), one.due_at),
            )

    def due(self, now: float) -> list[Notice]:
        """The notices that are due, first due first, and no more of them than are sent at once."""
        columns = "subscription, claim, due_at, tries, number"
        sql = f"SELECT {columns} FROM notices WHERE NOT done AND due_at <= ? ORDER BY due_at, number LIMIT ?"
        return [Notice(str(s), str(c), due, tries, n) for s, c, due, tries, n in self._books.rows(sql, now, _AT_ONCE)]

    def waiting(self, identity: str) -> list[int]:
        """How often each notice to a subscriber that is still to be sent was tried."""
        sql = "SELECT tries FROM notices WHERE NOT done AND subscription = ? ORDER BY number"
        return [row[0] for row in self._books.rows(sql, int(identity))]

    def end(self, notice: Notice) -> None:
        """A notice was sent, or will not be."""
        self._books.rows("UPDATE notices SET done = 1 WHERE number = ?", notice.number)

    def postpone(self, notice: Notice, due_at: float) -> Notice:
        """A notice was not taken and is to be sent again."""
        later = replace(notice, due_at=due_at, tries=notice.tries + 1)
        self._books.rows(
            "UPDATE notices SET due_at = ?, tries = ? WHERE number = ?", later.due_at, later.tries, later.number
        )
        return later
