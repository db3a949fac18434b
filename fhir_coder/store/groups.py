"""Work items as a person sees them: all that one decision settles is one, with its charts, its money and its place.

Every function runs inside one write transaction. What an item is made of is kept as its parts come and go; nothing is
counted anew, so that an item of ten thousand charts costs no more than one of two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from fhir_coder.model import Care, ItemStatus, WorkRules
from fhir_coder.store import row_proposals
from fhir_coder.store.events import Change, record
from fhir_coder.store.ranking import due_at, stakes_of
from fhir_coder.store.schema import charts, claims, work_items
from fhir_coder.store.worklist_schema import work_groups, work_rules

SEVERAL = "several"
"""Stands for a payer, or a specialty, where the charts of an item have more than one."""

SUBJECT = "worklist"
"""The subject of an item's events."""

GroupRow = Row[Any]


@dataclass(frozen=True, slots=True)
class Part:
    """What one chart, claim or message brings to an item."""

    chart_key: str
    amount: Decimal = Decimal(0)
    currency: str = ""
    file_by: date | None = None
    answer_by: date | None = None
    payer: str = ""
    care: str = ""
    specialty: str = ""
    is_emergency: bool = False


def part_of(
    connection: Connection, chart_key: str, claim_id: str, answer_by: date | None = None, amount: Decimal | None = None
) -> Part:
    """What is known of a chart and a claim. What was charged counts where the claim lacks lines that have no code."""
    chart = connection.execute(_CHART.where(charts.c.key == chart_key)).first() if chart_key else None
    claim = connection.execute(_CLAIM.where(claims.c.id == claim_id)).first() if claim_id else None
    total = Decimal(claim.total or 0) if claim else Decimal(0)
    charged = Decimal(chart.charged or 0) if chart else Decimal(0)
    names = load_rules(connection).specialties
    specialty = (chart.specialty or "") if chart else ""
    return Part(
        chart_key,
        amount if amount is not None else max(total, charged),
        (claim.currency if claim else "") or ((chart.currency or "") if chart else ""),
        claim.file_by if claim else None,
        answer_by,
        claim.payer if claim else "",
        (chart.care or "") if chart else "",
        names.get(specialty, specialty)[:64],
        bool(chart and chart.is_emergency),
    )


_CHART = select(charts.c.care, charts.c.specialty, charts.c.is_emergency, charts.c.charged, charts.c.currency)
_CLAIM = select(claims.c.payer, claims.c.total, claims.c.currency, claims.c.file_by)


@dataclass(frozen=True, slots=True)
class Opened:
    """A part of an item as it is opened: its number, what would solve it, and its words."""

    item_id: int
    solved_by: str
    kind: str
    reason: str
    text: str
    not_for: str = ""


def join(connection: Connection, at: datetime, opened: Opened, part: Part) -> int:
    """Make a newly opened part belong to the item that the same thing solves; answers that item's number."""
    same = (work_groups.c.solved_by == opened.solved_by) & work_groups.c.closed_at.is_(None)
    group = connection.execute(select(work_groups).where(same).with_for_update()).first()
    if group is None:
        _make(connection, at, opened, part)
        group_id = opened.item_id
    else:
        group_id = int(group.id)
        _grow(connection, at, group, opened, part)
    values = {"group_id": group_id, "amount": format(part.amount, "f"), "file_by": part.file_by}
    matches = work_items.c.id == opened.item_id
    connection.execute(update(work_items).where(matches).values(values | {"answer_by": part.answer_by}))
    return group_id


def _make(connection: Connection, at: datetime, opened: Opened, part: Part) -> None:
    row = {
        "id": opened.item_id,
        "solved_by": opened.solved_by,
        "kind": opened.kind,
        "reason": opened.reason,
        "text": opened.text,
        "not_for": opened.not_for,
        "status": ItemStatus.OPEN.value,
        "care": part.care,
        "specialty": part.specialty,
        "payer": part.payer,
        "charts": int(bool(part.chart_key)),
        "amount": format(part.amount, "f"),
        "currency": part.currency,
        "file_by": part.file_by,
        "answer_by": part.answer_by,
        "is_emergency": part.is_emergency,
        "is_escalated": False,
        "opened_at": at,
        "due_at": at,
        "assigned_to": "",
        "taken_by": "",
    }
    connection.execute(insert(work_groups).values(row))
    place(connection, opened.item_id)
    record(connection, at, Change(SUBJECT, str(opened.item_id), "", ItemStatus.OPEN, opened.reason))


def _grow(connection: Connection, at: datetime, group: GroupRow, opened: Opened, part: Part) -> None:
    is_new = _counted(connection, group.id, part.chart_key) is None
    grown: dict[str, Any] = {
        "reason": opened.reason,
        "text": opened.text,
        "care": Care.INPATIENT.value if Care.INPATIENT in (group.care, part.care) else group.care or part.care,
        "payer": _common(group.payer, part.payer),
        "specialty": _common(group.specialty, part.specialty),
        "currency": group.currency or part.currency,
        "file_by": _earliest(group.file_by, part.file_by),
        "answer_by": _earliest(group.answer_by, part.answer_by),
        "is_emergency": group.is_emergency or part.is_emergency,
    }
    if is_new:
        grown |= {"charts": group.charts + bool(part.chart_key), "amount": _sum(group.amount, part.amount)}
    _change(connection, group, grown)
    if group.status == ItemStatus.RELEASED:
        move(connection, at, group, ItemStatus.OPEN, "not all is settled")


def _counted(connection: Connection, group_id: int, chart_key: str) -> Row[Any] | None:
    """The open part of an item that stands for a chart: the first, where several of one chart are in it."""
    query = select(work_items).where(
        work_items.c.chart_key == chart_key, work_items.c.group_id == group_id, work_items.c.closed_at.is_(None)
    )
    return connection.execute(query.order_by(work_items.c.id).limit(1)).first() if chart_key else None


def stay(connection: Connection, at: datetime, item: Row[Any], part: Part) -> None:
    """A part that is still wanted: what it brings may have changed, and an item that was let go comes back."""
    if item.group_id is None:
        return
    group = by_id(connection, item.group_id)
    if group is None:
        return
    if group.status == ItemStatus.RELEASED:
        move(connection, at, group, ItemStatus.OPEN, "not all is settled")
    was, now = Decimal(item.amount or 0), part.amount
    if (was, item.file_by, item.answer_by) == (now, part.file_by, part.answer_by):
        return
    values = {"amount": format(now, "f"), "file_by": part.file_by, "answer_by": part.answer_by}
    connection.execute(update(work_items).where(work_items.c.id == item.id).values(values))
    first = _counted(connection, group.id, item.chart_key)
    counts = first is None or first.id == item.id
    changed = {"amount": _sum(group.amount, now - was if counts else Decimal(0))}
    _change(connection, group, changed | _deadlines(connection, group.id))


def leave(connection: Connection, at: datetime, item: Row[Any], why: str, actor: str) -> None:
    """Take a part that was closed out of its item; the item closes with its last part."""
    group = by_id(connection, item.group_id) if item.group_id is not None else None
    if group is None or group.closed_at is not None:
        return
    left = select(work_items.c.id).where(work_items.c.group_id == group.id, work_items.c.closed_at.is_(None))
    if connection.execute(left.limit(1)).first() is None:
        values = {"charts": 0, "amount": "0", "closed_at": at}
        connection.execute(update(work_groups).where(work_groups.c.id == group.id).values(values | FREE))
        row_proposals.drop_waiting(connection, group.id, actor, why, at)
        move(connection, at, group, ItemStatus.CLOSED, why, actor)
        return
    changed: dict[str, Any] = _deadlines(connection, group.id)
    next_one = _counted(connection, group.id, item.chart_key)
    if next_one is None:
        changed |= {"charts": group.charts - bool(item.chart_key), "amount": _sum(group.amount, -_amount(item))}
    elif item.id < next_one.id:
        changed |= {"amount": _sum(group.amount, _amount(next_one) - _amount(item))}
    _change(connection, group, changed)


FREE: dict[str, Any] = {"taken_by": "", "taken_at": None, "taken_until": None}
"""An item that nobody has taken."""


def _deadlines(connection: Connection, group_id: int) -> dict[str, Any]:
    """The earliest deadlines of an item's open parts: the first entries of two indexes."""
    is_part = (work_items.c.group_id == group_id) & work_items.c.closed_at.is_(None)
    found = (select(func.min(column)).where(is_part) for column in (work_items.c.file_by, work_items.c.answer_by))
    return dict(zip(("file_by", "answer_by"), (connection.execute(one).scalar() for one in found), strict=True))


def _change(connection: Connection, group: GroupRow, values: Mapping[str, Any]) -> None:
    if all(getattr(group, name) == value for name, value in values.items()):
        return
    connection.execute(update(work_groups).where(work_groups.c.id == group.id).values(dict(values)))
    place(connection, group.id)


def place(connection: Connection, group_id: int) -> None:
    """Write down when an item is wanted done, by what it is made of now."""
    group = connection.execute(select(work_groups).where(work_groups.c.id == group_id)).one()
    wanted = due_at(stakes_of(group), load_rules(connection))
    if wanted != group.due_at:
        connection.execute(update(work_groups).where(work_groups.c.id == group_id).values(due_at=wanted))


def move(
    connection: Connection, at: datetime, group: GroupRow, status: ItemStatus, why: str, actor: str = "fhir-coder"
) -> None:
    """Change an item's status, with its event."""
    connection.execute(update(work_groups).where(work_groups.c.id == group.id).values(status=status.value))
    record(connection, at, Change(SUBJECT, str(group.id), group.status, status, why, actor))


def by_id(connection: Connection, group_id: int) -> GroupRow | None:
    """An item by its number, locked for this transaction; None where there is none."""
    return connection.execute(select(work_groups).where(work_groups.c.id == group_id).with_for_update()).first()


def group_of_item(connection: Connection, item_id: int) -> GroupRow | None:
    """An item by its own number or by that of one of its parts; None where there is none."""
    found = connection.execute(select(work_groups).where(work_groups.c.id == item_id)).first()
    if found is not None:
        return found
    group_id = connection.execute(select(work_items.c.group_id).where(work_items.c.id == item_id)).scalar()
    return by_id(connection, group_id) if group_id is not None else None


def open_parts(connection: Connection, group_id: int, limit: int, after: int = 0) -> list[Row[Any]]:
    """The open parts of an item in the order they came, after one of them."""
    is_part = (work_items.c.group_id == group_id) & work_items.c.closed_at.is_(None)
    query = select(work_items).where(is_part, work_items.c.id > after).order_by(work_items.c.id).limit(limit)
    return list(connection.execute(query).all())


def charts_in_order(connection: Connection, group_id: int) -> list[str]:
    """The charts of an item: what must be filed first in front, then the larger amount, then what came first."""
    is_part = (work_items.c.group_id == group_id) & work_items.c.closed_at.is_(None) & (work_items.c.chart_key != "")
    query = select(work_items.c.chart_key, work_items.c.file_by, work_items.c.amount, work_items.c.id).where(is_part)
    rows = sorted(
        connection.execute(query), key=lambda row: (row.file_by or date.max, -Decimal(row.amount or 0), row.id)
    )
    return list(dict.fromkeys(row.chart_key for row in rows))


# --- rules

_RULES = "order"
RULES_BODY = select(work_rules.c.body).where(work_rules.c.name == _RULES)
"""The rules as they are kept: see `read_rules`."""


def load_rules(connection: Connection) -> WorkRules:
    """The rules that open items are ordered by; those of the program where none were kept."""
    return read_rules(connection.execute(RULES_BODY).scalar())


def are_kept(connection: Connection, rules: WorkRules) -> bool:
    """Whether open items are ordered by these rules already."""
    body = connection.execute(RULES_BODY).scalar()
    return body is not None and bool(body == _rules_text(rules))


def keep_rules(connection: Connection, rules: WorkRules) -> None:
    """Keep the rules that items are ordered by from now on."""
    connection.execute(delete(work_rules).where(work_rules.c.name == _RULES))
    connection.execute(insert(work_rules).values(name=_RULES, body=_rules_text(rules)))


def place_after(connection: Connection, group_id: int, limit: int) -> int | None:
    """Order the next open items anew, by number; answers the last one's, None where that was all."""
    is_open = (work_groups.c.id > group_id) & work_groups.c.closed_at.is_(None)
    ids: Sequence[int] = (
        connection.execute(select(work_groups.c.id).where(is_open).order_by(work_groups.c.id).limit(limit))
        .scalars()
        .all()
    )
    for one in ids:
        place(connection, one)
    return ids[-1] if len(ids) == limit else None


def _rules_text(rules: WorkRules) -> str:
    return orjson.dumps(asdict(rules), default=str, option=orjson.OPT_SORT_KEYS).decode()


@lru_cache(maxsize=4)
def read_rules(body: str | None) -> WorkRules:
    """Rules as they are kept; those of the program where none are."""
    if not body:
        return WorkRules()
    said = orjson.loads(body)
    return WorkRules(**said | {"amount_per_day": Decimal(said["amount_per_day"])})


def _amount(item: Row[Any]) -> Decimal:
    return Decimal(item.amount or 0)


def _sum(amount: str, more: Decimal) -> str:
    return format(Decimal(amount or 0) + more, "f")


def _common(one: str, other: str) -> str:
    return one if one == other or not other else other if not one else SEVERAL


def _earliest(*days: date | None) -> date | None:
    return min((day for day in days if day), default=None)
