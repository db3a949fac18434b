"""Lending work items: who has which until when. Taking one is one update of the first free row of an index.

Lending is not flushed to the disk by itself: what a power failure undoes of it nobody has worked on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, bindparam, exists, func, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from fhir_coder.model import ItemStatus, WorkRules
from fhir_coder.store import groups
from fhir_coder.store.events import Change, record
from fhir_coder.store.groups import FREE, SUBJECT, GroupRow
from fhir_coder.store.ledger import Ledger
from fhir_coder.store.worklist_schema import work_groups, work_skips


def take_first(
    connection: Connection, actor: str, queue: Mapping[str, str], at: datetime, until: datetime
) -> GroupRow | None:
    """Lend the first free item of a queue to a person: those assigned to them first. None where there is none.

    `queue` has values of columns. One statement finds, locks and lends it; it is made once for each kind of queue.
    """
    said = {"who": actor, "nobody": "", "at_": at, "until_": until} | {f"of_{name}": queue[name] for name in queue}
    group = connection.execute(_taking(tuple(sorted(queue))), said).first()
    if group is not None:
        record(connection, at, Change(SUBJECT, str(group.id), group.status, "taken", "", actor))
    return group


@lru_cache(maxsize=64)
def _taking(names: tuple[str, ...]) -> ReturningUpdate[Any]:
    columns = work_groups.c
    at = bindparam("at_", type_=columns.taken_at.type)
    skipped = (
        (work_skips.c.item_id == columns.id) & (work_skips.c.actor == bindparam("who")) & (work_skips.c.until > at)
    )
    free = [
        columns.status == ItemStatus.OPEN.value,
        *(columns[name] == bindparam(f"of_{name}") for name in names),
        or_(columns.taken_by == "", columns.taken_until.is_(None), columns.taken_until <= at),
        columns.not_for != bindparam("who"),
        ~exists().where(skipped),
    ]
    mine, anybodys = (_first(columns.assigned_to == bindparam(whose), *free) for whose in ("who", "nobody"))
    until = bindparam("until_", type_=columns.taken_until.type)
    lent = update(work_groups).values(taken_by=bindparam("who"), taken_at=at, taken_until=until)
    return lent.where(columns.id == func.coalesce(mine, anybodys)).returning(*columns)


def _first(*wanted: ColumnElement[bool]) -> ScalarSelect[int]:
    query = select(work_groups.c.id).where(*wanted).order_by(work_groups.c.due_at, work_groups.c.id)
    return query.limit(1).with_for_update(skip_locked=True).correlate(None).scalar_subquery()


def lend(connection: Connection, item_id: int, actor: str, at: datetime) -> None:
    """Lend an item that is free, or that the person has already, from now on."""
    until = at + timedelta(minutes=groups.load_rules(connection).lease_minutes)
    group = connection.execute(select(work_groups).where(work_groups.c.id == item_id)).one()
    is_theirs = group.taken_by == actor and group.taken_until is not None and group.taken_until > at
    since = group.taken_at if is_theirs else at
    values = {"taken_by": actor, "taken_at": since, "taken_until": until}
    connection.execute(update(work_groups).where(work_groups.c.id == item_id).values(values))
    if not is_theirs:
        record(connection, at, Change(SUBJECT, str(item_id), group.status, "taken", "", actor))


def has_other(group: GroupRow, actor: str, at: datetime) -> bool:
    """Whether somebody else has an item now."""
    return bool(group.taken_by) and group.taken_by != actor and group.taken_until is not None and group.taken_until > at


def give_back(connection: Connection, item_id: int) -> None:
    """Nobody has an item any more."""
    connection.execute(update(work_groups).where(work_groups.c.id == item_id).values(FREE))


def skip(connection: Connection, item_id: int, actor: str, until: datetime) -> None:
    """Do not offer an item to a person until then."""
    one = (work_skips.c.item_id == item_id) & (work_skips.c.actor == actor)
    if connection.execute(update(work_skips).where(one).values(until=until)).rowcount == 0:
        connection.execute(work_skips.insert().values(item_id=item_id, actor=actor, until=until))


def end_holds(ledger: Ledger) -> WorkRules:
    """Open the items again whose hold has ended, and give the rules of now. Mostly there is nothing to write."""
    at = ledger.clock()
    with ledger.reading() as connection:
        first, body = connection.execute(_HELD_AND_RULES).one()
    if first is not None and first <= at:
        is_over = (work_groups.c.status == ItemStatus.HELD.value) & (work_groups.c.held_until <= at)
        with ledger.writing(flush=False) as connection:
            for group in connection.execute(select(work_groups).where(is_over).limit(1000).with_for_update()).all():
                groups.move(connection, at, group, ItemStatus.OPEN, "its hold has ended")
    return groups.read_rules(body)


_HELD_AND_RULES = select(
    select(func.min(work_groups.c.held_until)).where(work_groups.c.status == ItemStatus.HELD.value).scalar_subquery(),
    groups.RULES_BODY.scalar_subquery(),
)
