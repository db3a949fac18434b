"""What a person may do over HTTP with work items, each by its name: a visible table of small functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from fhir_coder.errors import UsageError
from fhir_coder.model import Json
from fhir_coder.moments import read_moment
from fhir_coder.payers.answer import read_json
from fhir_coder.screens_reviews import handover_json, summary_json
from fhir_coder.screens_work import item_json, preview_json
from fhir_coder.web.refusal import RefusalError
from fhir_coder.worklist import (
    Answer,
    Queue,
    Sample,
    WorkItem,
    Workplace,
    agreement,
    approve,
    ask_clinician,
    assign,
    close,
    day_summary,
    decide,
    draw,
    escalate,
    find_item,
    give_back,
    hand_over,
    handover_of,
    hold,
    preview,
    propose,
    reject,
    review,
    review_of,
    skip,
    take,
    take_answer,
    take_next,
    withdraw,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted: the item (0: none), by whom, and what the body says. Values are asked for by their names."""

    item_id: int
    actor: str
    said: Mapping[str, Any]

    def text(self, name: str, default: str = "") -> str:
        """A text. Raises RefusalError where something else stands there."""
        return str(self._of(name, str, default))

    def flag(self, name: str) -> bool:
        """Whether something is so. Raises RefusalError where no boolean stands there."""
        return bool(self._of(name, bool, False))

    def number(self, name: str) -> int:
        """A whole number. Raises RefusalError where none stands there."""
        return int(self._of(name, int, 0))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts. Raises RefusalError where something else stands there."""
        listed = self._of(name, list, [])
        if not all(isinstance(one, str) for one in listed):
            raise RefusalError(400, "structure", f"{name}: a list of texts is wanted")
        return tuple(listed)

    def pairs(self, name: str) -> dict[str, str]:
        """An object of texts. Raises RefusalError where something else stands there."""
        named = self._of(name, dict, {})
        if not all(isinstance(one, str) for one in named.values()):
            raise RefusalError(400, "structure", f"{name}: an object of texts is wanted")
        return dict(named)

    def moment(self, name: str) -> datetime | None:
        """A time, None where none is said. Raises RefusalError where something else stands there."""
        text = self.text(name)
        try:
            return read_moment(text) if text else None
        except ValueError as error:
            raise RefusalError(400, "value", f"{name}: {error}") from None

    def _of(self, name: str, kind: type[Any], default: Any) -> Any:
        value = self.said.get(name, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RefusalError(400, "structure", f"{name}: {_KINDS[kind]} is wanted")
        return value


_KINDS = {str: "a text", bool: "true or false", int: "a whole number", list: "a list", dict: "an object"}


def wanted_of(body: bytes, item_id: int, actor: str) -> Wanted:
    """What a body says; an empty one says nothing. Raises RefusalError where it is no JSON object."""
    said = read_json(body) if body.strip() else {}
    if not isinstance(said, dict) or (not said and body.strip() not in (b"", b"{}")):
        raise RefusalError(400, "structure", "the body is no JSON object")
    return Wanted(item_id, actor, said)


def _after(change: Callable[[Workplace, Wanted], object]) -> Callable[[Workplace, Wanted], Json]:
    """An action that answers with the item as it is then."""

    def act(place: Workplace, wanted: Wanted) -> Json:
        change(place, wanted)
        return {"item": item_json(find_item(place.ledger, wanted.item_id))}

    return act


def _answer(wanted: Wanted) -> Answer:
    return Answer(
        wanted.texts("codes"),
        wanted.text("why"),
        wanted.texts("modifiers"),
        wanted.texts("pointers"),
        wanted.text("source"),
        wanted.text("chart"),
    )


def _hold(place: Workplace, wanted: Wanted) -> None:
    until = wanted.moment("until")
    if until is None:
        raise UsageError("until: until when?")
    hold(place.ledger, wanted.item_id, until, wanted.text("why"), wanted.actor)


def _decide(place: Workplace, wanted: Wanted) -> Json:
    shown = preview(place, wanted.item_id, _answer(wanted), wanted.actor)
    made = decide(place, wanted.item_id, _answer(wanted), wanted.actor)
    return {**preview_json(shown), "decision": made.number, "charts_left": made.charts_left}


def _preview(place: Workplace, wanted: Wanted) -> Json:
    return preview_json(preview(place, wanted.item_id, _answer(wanted), wanted.actor))


def _propose(place: Workplace, wanted: Wanted) -> Json:
    to, why = wanted.text("to"), wanted.text("why")
    return {"proposal": asdict(propose(place, wanted.item_id, to, why, wanted.actor, wanted.pairs("set")))}


def _approve(place: Workplace, wanted: Wanted) -> Json:
    return asdict(approve(place, wanted.item_id, wanted.actor, wanted.text("why")))


def _review(place: Workplace, wanted: Wanted) -> Json:
    codes, why = wanted.pairs("codes"), wanted.text("why")
    done = review(place, wanted.item_id, codes, wanted.actor, why=why, correct=wanted.flag("correct"))
    return {"review": asdict(done)}


ACTIONS: Mapping[str, Callable[[Workplace, Wanted], Json]] = {
    "take": _after(lambda place, w: take(place.ledger, w.item_id, w.actor)),
    "give-back": _after(lambda place, w: give_back(place.ledger, w.item_id, w.actor)),
    "assign": _after(lambda place, w: assign(place.ledger, w.item_id, w.text("to"), w.actor)),
    "skip": _after(lambda place, w: skip(place.ledger, w.item_id, w.text("why"), w.actor)),
    "hold": _after(_hold),
    "escalate": _after(lambda place, w: escalate(place.ledger, w.item_id, w.text("why"), w.actor, w.text("to"))),
    "query": _after(lambda place, w: ask_clinician(place.ledger, w.item_id, w.text("text"), w.actor)),
    "answer": _after(lambda place, w: take_answer(place.ledger, w.item_id, w.text("text"), w.actor)),
    "close": _after(lambda place, w: close(place.ledger, w.item_id, w.text("why"), w.actor)),
    "preview": _preview,
    "decide": _decide,
    "propose": _propose,
    "approve": _approve,
    "reject": _after(lambda place, w: reject(place, w.item_id, w.text("why"), w.actor)),
    "review": _review,
    "codes": lambda place, w: {"review": asdict(review_of(place.ledger, w.item_id))},
}
"""What is done with one item: `POST /api/work/items/{number}/{action}`."""


def _queue(wanted: Wanted) -> Queue:
    return Queue(*(wanted.text(name) for name in ("care", "specialty", "payer", "kind", "reason")))


def _take_next(place: Workplace, wanted: Wanted) -> Json:
    found: WorkItem | None = take_next(place.ledger, wanted.actor, _queue(wanted))
    return {"item": item_json(found) if found else None}


def _draw(place: Workplace, wanted: Wanted) -> Json:
    sample = Sample(
        _decimal(wanted, "rate") or Decimal(1),
        wanted.text("coder"),
        wanted.text("payer"),
        wanted.text("code"),
        _decimal(wanted, "least_amount"),
        wanted.moment("since"),
        wanted.moment("until"),
        wanted.flag("blind"),
    )
    found = draw(place.ledger, sample, wanted.actor, do=wanted.flag("yes"))
    return {"claims": [asdict(one) | {"amount": str(one.amount)} for one in found]}


def _decimal(wanted: Wanted, name: str) -> Decimal | None:
    text = wanted.text(name)
    try:
        number = Decimal(text) if text else None
    except InvalidOperation:
        raise RefusalError(400, "value", f"{name}: a number as text is wanted, such as 0.05") from None
    if number is not None and not number.is_finite():
        raise RefusalError(400, "value", f"{name}: a number as text is wanted, such as 0.05")
    return number


def _agreement(place: Workplace, wanted: Wanted) -> Json:
    since, until = wanted.moment("since"), wanted.moment("until") or place.ledger.clock()
    if since is None:
        raise UsageError("since: since when?")
    return {"figures": [asdict(one) for one in agreement(place.ledger, since, until)]}


def _summary(place: Workplace, wanted: Wanted) -> Json:
    zone, target = place.settings.site.time_zone or "UTC", place.settings.worklist.target_charts
    day = wanted.moment("day") or place.ledger.clock().astimezone(ZoneInfo(zone))
    found = day_summary(place.ledger, day.date(), zone, target)
    return summary_json(found, "" if wanted.flag("people") else wanted.actor)


def _handover(place: Workplace, wanted: Wanted) -> Json:
    if wanted.text("text"):
        hand_over(place.ledger, _queue(wanted), wanted.text("text"), wanted.actor)
    return handover_json(handover_of(place.ledger, _queue(wanted)))


def _withdraw(place: Workplace, wanted: Wanted) -> Json:
    return {"chart_key": withdraw(place, wanted.number("decision"), wanted.actor)}


DESK_ACTIONS: Mapping[str, Callable[[Workplace, Wanted], Json]] = {
    "take": _take_next,
    "withdraw": _withdraw,
    "sample": _draw,
    "agreement": _agreement,
    "summary": _summary,
    "handover": _handover,
}
"""What is done without naming an item: `POST /api/work/{action}`."""
