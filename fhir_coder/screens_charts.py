"""What the terminal shows of a chart: the visit as a timeline, without names and free text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_coder.charts import TimelineEntry
from fhir_coder.model import Json
from fhir_coder.queries import ChartStory
from fhir_coder.screens import aligned, cell, moved


def chart_text(story: ChartStory) -> str:
    """A visit: where it stands, then its messages in the order of events, and each claim after what it was made of."""
    stands = f"moved to {story.moved_to}" if story.moved_to else story.status
    head = [story.key, stands if story.entries else "nothing had come by then"]
    number = len(story.entries)
    lines = ["   ".join([*head, f"{number} message{'s' * (number != 1)}"])]
    for item in in_place(story):
        lines += ["", *(_claim(*item) if isinstance(item, tuple) else _message(item, story.rows[item.message]))]
    for event in story.events:
        lines += ["", f"  {cell(event.at)}  {moved(event)}  {event.why}  {event.actor}".rstrip()]
    return "\n".join(lines)


def chart_json(story: ChartStory) -> Json:
    """A visit for `--json`."""
    return {
        "key": story.key,
        "status": story.status,
        "moved_to": story.moved_to or None,
        "messages": [_message_json(entry, story.rows[entry.message]) for entry in story.entries],
        "claims": [_claim_json(row, events) for row, events in story.claims],
        "events": [_event_json(event) for event in story.events],
    }


def in_place(story: ChartStory) -> Iterator[TimelineEntry | tuple[Any, list[Any]]]:
    """Messages in the order of events; each claim after the last of those that had come when it was made."""
    after: dict[int, list[tuple[Any, list[Any]]]] = {}
    for claim in story.claims:
        come = [n for n, e in enumerate(story.entries) if story.rows[e.message].received_at <= claim[0].created_at]
        after.setdefault(max(come, default=-1), []).append(claim)
    yield from after.get(-1, ())
    for place, entry in enumerate(story.entries):
        yield entry
        yield from after.get(place, ())


def _message(entry: TimelineEntry, row: Any) -> list[str]:
    happened = entry.event_at or "no time of its own"
    head = "  ".join(filter(None, [happened, row.type, row.control_id, row.id, f"came {cell(row.received_at)}"]))
    rows = [[change.sign, change.kind, change.what] for change in entry.changes]
    return [f"  {head}", *(aligned(rows, indent=5) or ["     says nothing new"])]


def _claim(row: Any, events: list[Any]) -> list[str]:
    money = f"{row.currency} {row.total}".strip() or "no amount"
    head = f"  {cell(row.created_at)}  claim {row.identifier}   revision {row.revision}   {row.payer}   {money}"
    return [head, *aligned([[cell(e.at), moved(e), e.why] for e in events], indent=5)]


def _message_json(entry: TimelineEntry, row: Any) -> Json:
    return {
        "id": row.id,
        "type": row.type,
        "control_id": row.control_id,
        "event_at": entry.event_at or None,
        "received_at": row.received_at.isoformat(),
        "changes": [{"sign": c.sign, "kind": c.kind, "what": c.what} for c in entry.changes],
    }


def _claim_json(row: Any, events: list[Any]) -> Json:
    return {
        "identifier": row.identifier,
        "revision": row.revision,
        "payer": row.payer,
        "currency": row.currency,
        "total": row.total,
        "created_at": row.created_at.isoformat(),
        "events": [_event_json(event) for event in events],
    }


def _event_json(event: Any) -> Json:
    return {
        "at": event.at.isoformat(),
        "from": event.from_status,
        "to": event.to_status,
        "why": event.why,
        "actor": event.actor,
    }
