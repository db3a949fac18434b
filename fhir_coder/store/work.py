"""Work rows: what is to be done, by stage and key. One row a (stage, key), however often it is asked for.

`generation` counts the askings: a worker that finishes removes the row only if nobody asked again meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from fhir_coder.store.prepared import Prepared
from fhir_coder.store.schema import work


@dataclass(frozen=True, slots=True)
class Work:
    """One thing to do: stage `read` (message id), `chart` (chart key), `submit` or `poll` (claim id)."""

    stage: str
    key: str
    tries: int
    generation: int
    asked_at: datetime


def ask(connection: Connection, stage: str, key: str, due_at: datetime) -> None:
    """Ask for work; where it waits already, it is due at the earlier time and starts its tries anew."""
    ask_all(connection, stage, [key], due_at)


def ask_all(connection: Connection, stage: str, keys: Collection[str], due_at: datetime) -> None:
    """Ask for work on many keys, as `ask` does."""
    rows = [
        {"stage": stage, "key": key, "asked_at": due_at, "due_at": due_at, "tries": 0, "generation": 0} for key in keys
    ]
    _ASK.run_all(connection, rows)


_NEW = insert(work)
_ASK = Prepared(
    _NEW.on_conflict_do_update(
        index_elements=[work.c.stage, work.c.key],
        set_={
            "generation": work.c.generation + 1,
            "tries": 0,
            "due_at": func.min(work.c.due_at, _NEW.excluded.due_at),
        },
    ),
    ("stage", "key", "asked_at", "due_at", "tries", "generation"),
)


def ask_when_quiet(connection: Connection, stage: str, key: str, at: datetime, quiet: timedelta) -> None:
    """Ask for work that is best done once, after a burst: each asking puts it off by `quiet`, ten times at most."""
    matches = (work.c.stage == stage) & (work.c.key == key)
    waiting = connection.execute(select(work.c.asked_at, work.c.generation).where(matches)).first()
    if waiting is None:
        values = {"stage": stage, "key": key, "asked_at": at, "due_at": at + quiet, "tries": 0, "generation": 0}
        connection.execute(insert(work).values(values))
        return
    due_at = min(at + quiet, waiting.asked_at + 10 * quiet)
    again = {"generation": waiting.generation + 1, "tries": 0, "due_at": due_at}
    connection.execute(update(work).where(matches).values(again))


def asked_before(connection: Connection, stage: str, at: datetime) -> bool:
    """Whether work of a stage that was asked for up to this time has not been tried yet."""
    query = select(work.c.key).where(work.c.stage == stage, work.c.asked_at <= at, work.c.tries == 0).limit(1)
    return connection.execute(query).first() is not None


def due(connection: Connection, now: datetime, taken: Collection[tuple[str, str]], limit: int) -> list[Work]:
    """Work that is due and not in `taken`, the longest due first."""
    query = select(work).where(work.c.due_at <= now).order_by(work.c.due_at).limit(limit + len(taken))
    rows = [Work(r.stage, r.key, r.tries, r.generation, r.asked_at) for r in connection.execute(query)]
    return [w for w in rows if (w.stage, w.key) not in taken][:limit]


def next_due_at(connection: Connection) -> datetime | None:
    """When the next work is due, None where there is none."""
    return connection.execute(select(func.min(work.c.due_at))).scalar()


def finish(connection: Connection, done: Work) -> None:
    """Remove done work, unless it was asked for again while it was done."""
    matches = (work.c.stage == done.stage) & (work.c.key == done.key) & (work.c.generation == done.generation)
    connection.execute(delete(work).where(matches))


def postpone(connection: Connection, done: Work, due_at: datetime, tries: int = 1) -> None:
    """Do it later: counts a try, or none where it could not begin yet."""
    matches = (work.c.stage == done.stage) & (work.c.key == done.key) & (work.c.generation == done.generation)
    connection.execute(update(work).where(matches).values(due_at=due_at, tries=done.tries + tries))


def is_asked_again(connection: Connection, doing: Work) -> bool:
    """Whether work was asked for again while it is done."""
    matches = (work.c.stage == doing.stage) & (work.c.key == doing.key)
    generation = connection.execute(select(work.c.generation).where(matches)).scalar()
    return generation is not None and generation != doing.generation


def waiting(connection: Connection) -> int:
    """How much work waits, due or not."""
    return int(connection.execute(select(func.count()).select_from(work)).scalar_one())
