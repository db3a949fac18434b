"""A work item as people see it, and the queue that it is looked for in."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from fhir_coder.model import ItemStatus, WorkRules
from fhir_coder.store.ranking import reasons, stakes_of


@dataclass(frozen=True, slots=True)
class Queue:
    """Which items are meant; what is empty does not matter.

    `care` is inpatient or outpatient; `specialty` and `payer` may be `several`. `status` is of `model.ItemStatus`.
    `taken_by` and `assigned_to` are people.
    """

    care: str = ""
    specialty: str = ""
    payer: str = ""
    kind: str = ""
    reason: str = ""
    status: str = ItemStatus.OPEN.value
    assigned_to: str = ""
    taken_by: str = ""

    @property
    def name(self) -> str:
        """The queue's name, as handover notes have it: its parts with blanks between them, `all` without any."""
        return " ".join(filter(None, (self.care, self.specialty, self.payer, self.kind, self.reason))) or "all"

    def attributes(self, *but: str) -> dict[str, str]:
        """What it asks of an item, by attribute, without some of them."""
        asked = ((f.name, str(getattr(self, f.name))) for f in fields(self) if f.name not in but)
        return {name: value for name, value in asked if value}


EVERY_OPEN = Queue()
"""All items that are offered."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What one decision settles: `charts` of them (0 where it is about a message), with the `amount` that waits.

    `why` says why it stands where it does, what weighs most in front. `due_at` is when it is wanted done; `is_overdue`
    says that this has passed. `chart_key`, `claim_id` and `message_id` are of its first part; empty where it has none.
    """

    id: int
    kind: str
    reason: str
    text: str
    status: ItemStatus
    care: str
    specialty: str
    payer: str
    charts: int
    amount: Decimal
    currency: str
    why: tuple[str, ...]
    opened_at: datetime
    due_at: datetime
    is_overdue: bool
    is_escalated: bool
    assigned_to: str
    taken_by: str
    taken_until: datetime | None
    held_until: datetime | None
    file_by: date | None
    answer_by: date | None
    chart_key: str = ""
    claim_id: str = ""
    message_id: str = ""

    def is_taken(self, now: datetime) -> bool:
        """Whether somebody has it now."""
        return bool(self.taken_by) and self.taken_until is not None and self.taken_until > now


@dataclass(frozen=True, slots=True)
class Part:
    """One chart, claim or message of an item."""

    id: int
    chart_key: str
    claim_id: str
    message_id: str
    reason: str
    text: str
    amount: Decimal
    file_by: date | None
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Items in the order they are wanted. `after` continues with the next page; empty where this is the last."""

    items: tuple[WorkItem, ...]
    after: str = ""


def item_of(row: Any, rules: WorkRules, now: datetime, part: Any = None) -> WorkItem:
    """An item of its row in `work_groups`; the keys of its first part are those of `part`, else of the same row."""
    part = row if part is None else part
    return WorkItem(
        row.id,
        row.kind,
        row.reason,
        row.text,
        ItemStatus(row.status),
        row.care,
        row.specialty,
        row.payer,
        row.charts,
        Decimal(row.amount or 0),
        row.currency,
        reasons(stakes_of(row), rules, now.date()),
        row.opened_at,
        row.due_at,
        row.due_at < now,
        row.is_escalated,
        row.assigned_to,
        row.taken_by if row.taken_until and row.taken_until > now else "",
        row.taken_until,
        row.held_until,
        row.file_by,
        row.answer_by,
        getattr(part, "chart_key", None) or "",
        getattr(part, "claim_id", None) or "",
        getattr(part, "message_id", None) or "",
    )


def part_of_row(row: Any) -> Part:
    """A part of its row in `work_items`."""
    amount = Decimal(row.amount or 0)
    return Part(
        row.id,
        row.chart_key,
        row.claim_id,
        row.message_id,
        row.reason,
        row.text,
        amount,
        row.file_by,
        row.opened_at,
    )
