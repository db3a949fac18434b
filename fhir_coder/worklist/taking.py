"""What people do with work items besides deciding them: take, assign, skip, hold, escalate, ask, close."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from fhir_coder.errors import ConflictError, NotFoundError, UsageError
from fhir_coder.model import ItemStatus
from fhir_coder.store import Ledger, done, groups, items, leases, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.groups import SUBJECT, GroupRow
from fhir_coder.store.worklist_schema import work_groups
from fhir_coder.worklist.items import EVERY_OPEN, Queue, WorkItem, item_of
from fhir_coder.worklist.listing import find_item

_MOST_TEXT = 4_000


@dataclass(frozen=True, slots=True)
class Acting:
    """An item that a person does something with, in one write transaction."""

    connection: Connection
    group: GroupRow
    actor: str
    at: datetime

    def set(self, **values: Any) -> None:
        """Change columns of the item."""
        matches = work_groups.c.id == self.group.id
        self.connection.execute(update(work_groups).where(matches).values(values))

    def move(self, status: ItemStatus, why: str) -> None:
        """Change the item's status; nobody has it after that."""
        groups.move(self.connection, self.at, self.group, status, why, self.actor)
        leases.give_back(self.connection, self.group.id)

    def note(self, word: str, why: str) -> None:
        """Write down what was done to the item without a change of its status."""
        record(self.connection, self.at, Change(SUBJECT, str(self.group.id), self.group.status, word, why, self.actor))

    def count(self, action: str, charts: int | None = None) -> None:
        """Count this as work that was done."""
        done.keep(self.connection, self.group, action, self.actor, self.at, charts)


@contextmanager
def acting(ledger: Ledger, item_id: int, actor: str) -> Iterator[Acting]:
    """An item that is not closed, for a person who may act on it now.

    Raises NotFoundError where there is none, ConflictError where somebody else has it.
    """
    at = ledger.clock()
    with ledger.writing() as connection:
        found = groups.group_of_item(connection, item_id)
        group = groups.by_id(connection, found.id) if found is not None else None
        if group is None or group.closed_at is not None:
            raise NotFoundError(f"no open work item {item_id}: fhir-coder work list shows them")
        if leases.has_other(group, actor, at):
            until = group.taken_until.isoformat(timespec="minutes") if group.taken_until else ""
            raise ConflictError(f"{group.taken_by} has work item {group.id} until {until}")
        yield Acting(connection, group, actor, at)


def take_next(ledger: Ledger, actor: str, queue: Queue = EVERY_OPEN) -> WorkItem | None:
    """Lend a person the item that is wanted first in a queue, None where none is free.

    What is assigned to them goes first. What they skipped, and the review of their own work, is not offered.
    """
    rules, at = leases.end_holds(ledger), ledger.clock()
    until = at + timedelta(minutes=rules.lease_minutes)
    with ledger.writing(flush=False) as connection:
        taken = leases.take_first(connection, actor, queue.attributes("status"), at, until)
        part = items.first_part(connection, taken.id) if taken is not None else None
    return None if taken is None else item_of(taken, rules, at, part)


def take(ledger: Ledger, item_id: int, actor: str) -> WorkItem:
    """Lend a person an item. Raises NotFoundError, ConflictError where somebody else has it or it is not for them."""
    with acting(ledger, item_id, actor) as one:
        if one.group.not_for == actor:
            raise ConflictError(f"work item {one.group.id} reviews your own work: it is for somebody else")
        leases.lend(one.connection, one.group.id, actor, one.at)
    return find_item(ledger, item_id)


def give_back(ledger: Ledger, item_id: int, actor: str) -> None:
    """Give an item back that one has not done. Raises NotFoundError, ConflictError."""
    with acting(ledger, item_id, actor) as one:
        leases.give_back(one.connection, one.group.id)
        one.note("given-back", "")


def assign(ledger: Ledger, item_id: int, to: str, actor: str) -> None:
    """Assign an item to a person: nobody else is offered it. To nobody (empty): to all. Raises NotFoundError."""
    with acting(ledger, item_id, actor) as one:
        if to and one.group.not_for == to:
            raise ConflictError(f"work item {one.group.id} reviews the work of {to}: it is for somebody else")
        one.set(assigned_to=to[:64])
        leases.give_back(one.connection, one.group.id)
        one.note("assigned", f"to {to}" if to else "to nobody")


def skip(ledger: Ledger, item_id: int, why: str, actor: str) -> None:
    """Leave an item to others, with the reason: one is not offered it again for a while. Raises NotFoundError."""
    _must_say(why)
    with acting(ledger, item_id, actor) as one:
        rules = groups.load_rules(one.connection)
        leases.skip(one.connection, one.group.id, actor, one.at + timedelta(hours=rules.skip_hours))
        if one.group.assigned_to == actor:
            one.set(assigned_to="")
        leases.give_back(one.connection, one.group.id)
        one.note("skipped", why)
        one.count("skip", 0)


def hold(ledger: Ledger, item_id: int, until: datetime, why: str, actor: str) -> None:
    """Lay an item aside until a time; then it is offered again. Raises NotFoundError, UsageError."""
    _must_say(why)
    if until <= ledger.clock():
        raise UsageError("a hold ends in the future")
    with acting(ledger, item_id, actor) as one:
        one.set(held_until=until)
        one.move(ItemStatus.HELD, why)


def escalate(ledger: Ledger, item_id: int, why: str, actor: str, to: str = "") -> None:
    """Have an item done before all others, by a person where one is named. Raises NotFoundError."""
    _must_say(why)
    with acting(ledger, item_id, actor) as one:
        one.set(is_escalated=True, assigned_to=to[:64])
        groups.place(one.connection, one.group.id)
        leases.give_back(one.connection, one.group.id)
        one.note("escalated", f"to {to}: {why}" if to else why)


def ask_clinician(ledger: Ledger, item_id: int, question: str, actor: str) -> None:
    """Ask the clinician about an item; it waits for the answer. The question is kept. Raises NotFoundError."""
    _must_say(question)
    with acting(ledger, item_id, actor) as one:
        one.move(ItemStatus.ASKED, question)
        one.count("query")


def take_answer(ledger: Ledger, item_id: int, answer: str, actor: str) -> None:
    """Keep what a clinician answered; the item is offered again. Raises NotFoundError, ConflictError."""
    _must_say(answer)
    with acting(ledger, item_id, actor) as one:
        if one.group.status not in (ItemStatus.ASKED, ItemStatus.HELD):
            raise ConflictError(f"work item {one.group.id} waits for no answer: it is {one.group.status}")
        one.move(ItemStatus.OPEN, f"answer: {answer}")


def close(ledger: Ledger, item_id: int, why: str, actor: str) -> int:
    """Close an item that a person has settled, with all its charts; answers how many parts it had.

    Its charts are looked at again: a part of a message that could not be used is then left out by the person's
    decision; a gap or any other finding comes back while its cause stands. Raises NotFoundError, ConflictError.
    """
    with acting(ledger, item_id, actor) as one:
        one.count("close")
        numbers: list[int] = []
        while parts := groups.open_parts(one.connection, one.group.id, 500):
            for part in parts:
                items.close_items(one.connection, one.at, [part.id], why, actor)
                if part.chart_key:
                    work.ask(one.connection, "chart", part.chart_key, one.at)
            numbers += [part.id for part in parts]
    return len(numbers)


def _must_say(text: str) -> None:
    if not text.strip():
        raise UsageError("say why: the next person reads it")
    if len(text) > _MOST_TEXT:
        raise UsageError(f"a note has at most {_MOST_TEXT:,} characters")
