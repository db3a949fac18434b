"""Work rows: what is to be done, by stage and key. One row a (stage, key), however often it is asked for.

`generation` counts the askings: a worker that finishes removes the row only if nobody asked again meanwhile. What a
payer is needed for stands in that payer's lanes, so that what waits for one is never looked through for another's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    String,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.sqlite import insert

from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import UtcTime, work


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to do: stage `read` (message id), `chart` (chart key), `submit` or `poll` (claim id)."""

    stage: str
    key: str
    tries: int
    generation: int
    asked_at: datetime
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a piece of work waits: stage and payer, and its rank there; the lowest due goes first, none by its time."""

    name: str = ""
    rank: str = ""


LOCAL = Lane()
"""Of work that needs no payer."""


def lane_name(stage: str, payer: str) -> str:
    """The lane of a payer's work of a stage."""
    return f"{stage} {payer}"


def ask(connection: Connection, stage: str, key: str, due_at: datetime, lane: Lane = LOCAL) -> None:
    """Ask for work; where it waits already, it is due at the earlier time and starts its tries anew."""
    ask_all(connection, stage, [key], due_at, lane)


def ask_all(connection: Connection, stage: str, keys: Collection[str], due_at: datetime, lane: Lane = LOCAL) -> None:
    """Ask for work on many keys, as `ask` does."""
    row = {"stage": stage, "asked_at": due_at, "due_at": due_at, "tries": 0, "generation": 0}
    row |= {"lane": lane.name, "rank": lane.rank}
    _ASK.run_all(connection, [{**row, "key": key} for key in keys])


_NEW = insert(work)
_ASK = Prepared(
    _NEW.on_conflict_do_update(
        index_elements=[work.c.stage, work.c.key],
        set_={
            "generation": work.c.generation + 1,
            "tries": 0,
            "due_at": func.min(work.c.due_at, _NEW.excluded.due_at),
            "lane": _NEW.excluded.lane,
            "rank": _NEW.excluded.rank,
        },
    ),
    ("stage", "key", "asked_at", "due_at", "tries", "generation", "lane", "rank"),
)


def ask_when_quiet(connection: Connection, stage: str, key: str, at: datetime, quiet: timedelta) -> None:
    """Ask for work that is best done once, after a burst: each asking puts it off by `quiet`, ten times at most."""
    waiting = next(iter(_WAITING.rows(connection, {"the_stage": stage, "the_key": key})), None)
    if waiting is None:
        row = {"stage": stage, "key": key, "asked_at": at, "due_at": at + quiet, "tries": 0, "generation": 0}
        _ASK.run_all(connection, [row | {"lane": LOCAL.name, "rank": LOCAL.rank}])
        return
    matches = (work.c.stage == stage) & (work.c.key == key)
    due_at = min(at + quiet, waiting.asked_at + 10 * quiet)
    again = {"generation": waiting.generation + 1, "tries": 0, "due_at": due_at}
    connection.execute(update(work).where(matches).values(again))


_THIS_ONE = (work.c.stage == bindparam("the_stage")) & (work.c.key == bindparam("the_key"))
_WAITING = Prepared(select(work.c.asked_at, work.c.generation).where(_THIS_ONE))


def asked_before(connection: Connection, stage: str, at: datetime) -> bool:
    """Whether work of a stage that was asked for up to this time has not been tried yet."""
    return bool(_ASKED_BEFORE.fetch_all(connection, {"the_stage": stage, "at": at}))


_ASKED_BEFORE = Prepared(
    select(literal_column("1"))
    .where(work.c.stage == bindparam("the_stage"), work.c.asked_at <= bindparam("at", type_=UtcTime), work.c.tries == 0)
    .limit(literal_column("1"))
)


def due(
    connection: Connection, now: datetime, taken: Collection[tuple[str, str]], limit: int, lane: str | None = None
) -> list[Work]:
    """Work that is due and not in `taken`, the longest due first, of one lane or of all; in a ranked lane by rank."""
    query = select(work).where(work.c.due_at <= now).order_by(work.c.due_at)
    if lane is not None and _is_ranked(lane):
        query = select(work).where(*_BY_RANK, func.coalesce(work.c.due_at, work.c.due_at) <= now).order_by(work.c.rank)
    if lane is not None:
        query = query.where(work.c.lane == lane)
    rows = [_read(row) for row in connection.execute(query.limit(limit + len(taken)))]
    return [w for w in rows if (w.stage, w.key) not in taken][:limit]


_BY_RANK = (work.c.rank != literal_column("''"),)
"""As the index by rank has it. With a bare `due_at` beside it, SQLite sorts all that is due instead of using it."""


def _read(row: Row[Any]) -> Work:
    return Work(row.stage, row.key, row.tries, row.generation, row.asked_at, row.lane)


def _is_ranked(lane: str) -> bool:
    return lane.startswith("submit ")


def next_due_at(connection: Connection, lane: str | None = None) -> datetime | None:
    """When the next work is due, of one lane or of all; None where there is none."""
    is_there: ColumnElement[bool] = true() if lane is None else work.c.lane == lane
    return connection.execute(select(func.min(work.c.due_at)).where(is_there)).scalar()


def lanes(connection: Connection) -> dict[str, datetime]:
    """Every lane in which work waits, with the time when its next is due; one look at the index for each."""
    return {row.lane: row.due_at for row in connection.execute(_LANES)}


_LANES = text(
    "WITH RECURSIVE waiting(lane) AS (SELECT min(lane) FROM work UNION ALL "
    "SELECT (SELECT min(work.lane) FROM work WHERE work.lane > waiting.lane) FROM waiting "
    "WHERE waiting.lane IS NOT NULL) "
    "SELECT lane, (SELECT min(work.due_at) FROM work WHERE work.lane = waiting.lane) AS due_at "
    "FROM waiting WHERE lane IS NOT NULL"
).columns(lane=String, due_at=UtcTime)


def bring_forward(connection: Connection, lane: str, at: datetime) -> None:
    """Make work of a lane that failed before due now: what it waited for has changed."""
    waits = (work.c.lane == lane) & (work.c.tries > 0) & (work.c.due_at > at)
    connection.execute(update(work).where(waits).values(due_at=at))


def finish(connection: Connection, done: Work) -> None:
    """Remove done work, unless it was asked for again while it was done."""
    finish_all(connection, [done])


def finish_all(connection: Connection, done: Collection[Work]) -> None:
    """Remove done work, as `finish` does."""
    rows = [{"the_stage": one.stage, "the_key": one.key, "generation_then": one.generation} for one in done]
    _FINISH.run_all(connection, rows)


_FINISH = Prepared(delete(work).where(_THIS_ONE, work.c.generation == bindparam("generation_then")))


def postpone(connection: Connection, done: Work, due_at: datetime, tries: int = 1) -> None:
    """Do it later: counts a try, or none where it could not begin yet."""
    matches = (work.c.stage == done.stage) & (work.c.key == done.key) & (work.c.generation == done.generation)
    connection.execute(update(work).where(matches).values(due_at=due_at, tries=done.tries + tries))


def is_asked_again(connection: Connection, doing: Work) -> bool:
    """Whether work was asked for again while it is done."""
    waiting = _WAITING.rows(connection, {"the_stage": doing.stage, "the_key": doing.key})
    return any(row.generation != doing.generation for row in waiting)


def waiting(connection: Connection) -> int:
    """How much work waits, due or not."""
    return int(connection.execute(select(func.count()).select_from(work)).scalar_one())
