"""Counts for status pages and metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from fhir_coder.store import breakers, pulls
from fhir_coder.store.schema import claims, messages, work, work_items

STAGES = ("read", "chart", "submit", "poll", "answer")
"""The stages of `work`, those that wait for nothing too."""


def measured(connection: Connection) -> dict[str, Any]:
    """The counts, and beside them what monitors alone ask: what waits by stage (number, since when), open by reason."""
    waiting = select(work.c.stage, func.count(), func.min(work.c.due_at)).group_by(work.c.stage)
    stages: dict[str, tuple[int, str | None]] = dict.fromkeys(STAGES, (0, None))
    for stage, number, due_at in connection.execute(waiting):
        stages[stage] = (number, _iso(due_at))
    return {**counts(connection), "stages": stages, "reasons": _reasons(connection)}


def _reasons(connection: Connection) -> dict[tuple[str, str], int]:
    """Open items of the kinds whose reasons are a closed set."""
    of_kinds = work_items.c.closed_at.is_(None) & work_items.c.kind.in_(("gap", "finding", "failure"))
    query = select(work_items.c.kind, work_items.c.reason, func.count()).where(of_kinds)
    grouped = query.group_by(work_items.c.kind, work_items.c.reason)
    return {(kind, reason): number for kind, reason, number in connection.execute(grouped)}


def counts(connection: Connection) -> dict[str, Any]:
    """Counts by status, what waits and since when, per feed and per payer."""
    by_feed: dict[str, dict[str, int]] = {}
    for feed, status, number in connection.execute(
        select(messages.c.feed, messages.c.status, func.count()).group_by(messages.c.feed, messages.c.status)
    ):
        by_feed.setdefault(feed, {})[status] = number
    by_payer: dict[str, dict[str, int]] = {}
    for payer, status, number in connection.execute(
        select(claims.c.payer, claims.c.status, func.count()).group_by(claims.c.payer, claims.c.status)
    ):
        by_payer.setdefault(payer, {})[status] = number
    servers = pulls.server_states(connection)
    return {
        "messages": _summed(by_feed),
        "claims": _summed(by_payer),
        "work_items": _open_items(connection),
        "work_waiting": int(connection.execute(select(func.count()).select_from(work)).scalar_one()),
        "oldest_waiting_at": _iso(connection.execute(select(func.min(work.c.due_at))).scalar()),
        "feeds": by_feed,
        "payers": by_payer,
        "payer_states": {name: _state(one) for name, one in breakers.of_all(connection).items()},
        "fhir_servers": {one.feed: _server(one) for one in servers},
    }


def _summed(groups: dict[str, dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for group in groups.values():
        for status, number in group.items():
            total[status] = total.get(status, 0) + number
    return dict(sorted(total.items()))


def _open_items(connection: Connection) -> dict[str, int]:
    query = select(work_items.c.kind, func.count()).where(work_items.c.closed_at.is_(None)).group_by(work_items.c.kind)
    return {row[0]: row[1] for row in connection.execute(query)}


def _server(one: pulls.ServerState) -> dict[str, str | None]:
    return {"state": one.state, "reason": one.reason, "since": _iso(one.since), "read_at": _iso(one.read_at)}


def _state(one: breakers.Breaker) -> dict[str, str | int | None]:
    told = {"state": one.state.value, "reason": one.reason, "since": _iso(one.since)}
    return {**told, "failures": one.failures, "resume_at": _iso(one.resume_at)}


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
