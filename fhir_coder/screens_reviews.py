"""What the terminal shows of second reviews, of a day's work and of a queue that is handed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fhir_coder.model import Json
from fhir_coder.screens import cell, listing, section
from fhir_coder.screens_work import amount_text, item_json
from fhir_coder.worklist import Agreement, DaySummary, Figures, Handover, Review, Sampled, WorkItem


def sampled_text(found: Sequence[Sampled], *, is_done: bool) -> str:
    """The claims that were drawn, or would be."""
    if not found:
        return "no claim is drawn: none fits that was not drawn before"
    heads = ["item", "claim", "payer", "coder", "amount"]
    rows = [[s.item_id or "", s.identifier, s.payer, s.coder, amount_text(s.amount, s.currency)] for s in found]
    number = f"{len(found)} claim{'s' * (len(found) != 1)}"
    told = f"{number} to be reviewed" if is_done else f"nothing was opened; {number} with --yes"
    return "\n".join([listing(heads, rows), told])


def review_text(review: Review) -> str:
    """A claim under review, code by code."""
    how = "blind" if review.is_blind else "open"
    state = f"reviewed by {review.reviewed_by}" if review.is_done else "to be reviewed"
    head = f"work item {review.item_id}   {how} review   {review.chart_key}   {review.payer}   {state}"
    heads = ["source", "kind", "billed", "chosen by", "reviewer", "", "why"]
    rows = [[c.name, c.kind, c.billed, c.coder, c.said, _agrees(c.agrees), c.why] for c in review.codes]
    return "\n".join([head, "", listing(heads, rows)])


def _agrees(agrees: bool | None) -> str:
    return "" if agrees is None else "agrees" if agrees else "differs"


def agreement_text(found: Sequence[Agreement]) -> str:
    """Agreement by coder, then by coder and code."""
    if not found:
        return "nothing was reviewed"
    coders = sorted({one.coder for one in found})
    totals = [
        (c, sum(o.codes for o in found if o.coder == c), sum(o.agreed for o in found if o.coder == c)) for c in coders
    ]
    rows: list[list[Any]] = [[coder, "all", codes, agreed, _share(agreed, codes)] for coder, codes, agreed in totals]
    rows += [[o.coder, o.code, o.codes, o.agreed, _share(o.agreed, o.codes)] for o in found]
    return listing(["chosen by", "code", "reviewed", "agreed", "share"], rows)


def _share(part: int, whole: int) -> str:
    return f"{100 * part // whole} %"


def summary_text(found: DaySummary, actor: str = "") -> str:
    """The end of a day; of people only `actor`, or all where it is empty."""
    left = ", ".join(f"{number} {status}" for status, number in sorted(found.left.items())) or "nothing"
    lines = [f"{found.day}   {found.opened} opened   {found.closed} closed   left: {left}"]
    lines.append(f"  {found.overdue} overdue, {found.due_tomorrow} wanted by the end of tomorrow")
    if found.oldest:
        lines.append(f"  wanted first: work item {found.oldest.id}, by {found.oldest.due_at.date()}")
    lines += section("done", [_figures("all together", found.team), *_of_people(found, actor)])
    lines += section("still on a desk", [_item(item) for item in found.on_desks])
    return "\n".join(lines)


def _of_people(found: DaySummary, actor: str) -> list[list[str]]:
    return [_figures(one.actor, one) for one in found.people if actor in ("", one.actor)]


def _figures(name: str, one: Figures) -> list[str]:
    target = f" of {one.target_charts}" if one.target_charts else ""
    pace = f"{one.items_an_hour} items, {one.charts_an_hour} charts an hour" if one.items_an_hour is not None else ""
    actions = ", ".join(f"{number} {action}" for action, number in one.actions.items())
    return [name, f"{one.items} items", f"{one.charts}{target} charts", f"{one.hours} hours", pace, actions]


def summary_json(found: DaySummary, actor: str = "") -> Json:
    """The same for programs."""
    return {
        "day": found.day.isoformat(),
        "opened": found.opened,
        "closed": found.closed,
        "left": found.left,
        "overdue": found.overdue,
        "due_tomorrow": found.due_tomorrow,
        "first": item_json(found.oldest) if found.oldest else None,
        "team": _figures_json(found.team),
        "people": [_figures_json(one) for one in found.people if actor in ("", one.actor)],
        "on_desks": [item_json(item) for item in found.on_desks],
    }


def _figures_json(one: Figures) -> Json:
    paces = {"items_an_hour": one.items_an_hour, "charts_an_hour": one.charts_an_hour}
    return asdict(one) | {"hours": str(one.hours)} | {name: _text(pace) for name, pace in paces.items()}


def _text(number: Any) -> str | None:
    return None if number is None else str(number)


def handover_text(found: Handover) -> str:
    """A queue as it is handed over."""
    lines = [f"queue {found.queue}   {found.open} open, {found.overdue} overdue"]
    lines += section("notes", [[cell(note.at), note.actor, note.text] for note in found.notes])
    lines += section("wanted first", [_item(item) for item in found.first])
    lines += section("waits", [[item.status.value, *_item(item)] for item in found.waits])
    lines += section("on a desk", [_item(item) for item in found.on_desks])
    return "\n".join(lines)


def _item(item: WorkItem) -> list[str]:
    until = f"held until {cell(item.held_until)}" if item.status == "held" else f"by {item.due_at.date()}"
    charts = f"{item.charts} chart{'s' * (item.charts != 1)}" if item.charts else ""
    return [f"work item {item.id}", item.kind, item.reason, charts, until, item.taken_by, "; ".join(item.why)]


def handover_json(found: Handover) -> Json:
    """The same for programs."""
    return {
        "queue": found.queue,
        "open": found.open,
        "overdue": found.overdue,
        "notes": [{"at": note.at.isoformat(), "actor": note.actor, "text": note.text} for note in found.notes],
        "first": [item_json(item) for item in found.first],
        "waits": [item_json(item) for item in found.waits],
        "on_desks": [item_json(item) for item in found.on_desks],
    }
