"""What a person does with a claim on its way: send it again, hold it, let it go, cancel it. Each leaves an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, update

from fhir_coder.model import DECIDED, GONE, IN_FLIGHT, ClaimStatus, Purpose
from fhir_coder.store import attempts, claims, items, work
from fhir_coder.store.claims import BY_A_PERSON, CANCELLED, ClaimRow
from fhir_coder.store.events import Change, record
from fhir_coder.store.schema import claims as claim_table


@dataclass(frozen=True, slots=True)
class Order:
    """Who orders it, and why. `unseen` sends a claim of unknown outcome without looking it up: the person has.

    Of a claim that the payer says it has: `reference` is the payer's name for it, `unasked` are the payers that cannot
    be asked for their decision.
    """

    actor: str
    why: str = ""
    unseen: bool = False
    reference: str = ""
    unasked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """What an order does to a claim; where it does nothing, `does` is empty and `why` says the reason."""

    does: str = ""
    why: str = ""


def step_of(action: str, row: ClaimRow, order: Order) -> Step:
    """What an order would do to a claim now. `action` is one of `ACTIONS`."""
    return ACTIONS[action].step(row, order)


def take(connection: Connection, action: str, row: ClaimRow, order: Order, at: datetime) -> Step:
    """Carry out an order on a claim, as far as its status allows; answers what was done."""
    step = step_of(action, row, order)
    if step.does:
        ACTIONS[action].take(connection, row, order, at)
    return step


# --- what an order would do


def _over(row: ClaimRow) -> str:
    """Why nothing can be done about a claim that is over or decided, empty where it is neither."""
    if ClaimStatus(row.status) in GONE:
        return f"it is {row.status}"
    return "the payer has decided" if ClaimStatus(row.status) in DECIDED else ""


def _resubmit_step(row: ClaimRow, order: Order) -> Step:
    status = ClaimStatus(row.status)
    if status is ClaimStatus.HELD:
        if row.hold == "refused":
            return Step("send again unchanged")
        told = "a person holds it: claims release lets it go" if row.hold == BY_A_PERSON else "gaps or findings hold it"
        return Step(why=told)
    if status in IN_FLIGHT and order.unseen:
        is_settled = status is ClaimStatus.UNKNOWN
        return Step("send again without looking it up") if is_settled else Step(why="its answer is awaited")
    words = {
        ClaimStatus.READY: "send now",
        ClaimStatus.SENT: "look it up, send it if it is not there",
        ClaimStatus.UNKNOWN: "look it up, send it if it is not there",
        ClaimStatus.QUEUED: "ask for the decision now",
    }
    return Step(words.get(status, ""), _over(row))


def _hold_step(row: ClaimRow, _order: Order) -> Step:
    if row.status == ClaimStatus.READY or (row.status == ClaimStatus.HELD and row.hold == "edits"):
        return Step("hold until a person releases it")
    if row.status == ClaimStatus.HELD:
        return Step(why="a person holds it" if row.hold == BY_A_PERSON else "the payer refused it: it is held already")
    return Step(why=_over(row) or "the payer has it, or may have it")


def _release_step(row: ClaimRow, _order: Order) -> Step:
    if row.hold == CANCELLED:
        return Step("bill the visit again")
    if row.status == ClaimStatus.HELD and row.hold == BY_A_PERSON:
        return Step("let go: its gaps and findings hold it still" if claims.held_by(row.explained) else "send")
    return Step(why="no person holds it")


def _cancel_step(row: ClaimRow, _order: Order) -> Step:
    status = ClaimStatus(row.status)
    if row.hold == CANCELLED:
        return Step(why="it is cancelled already")
    if row.purpose != Purpose.BILL:
        return Step(why=f"it is a {row.purpose} claim: cancel the claim it is about")
    if status in (ClaimStatus.HELD, ClaimStatus.READY):
        return Step("withdraw: it is not sent")
    if status in IN_FLIGHT:
        return Step("take back once it is known whether the payer has it")
    if status is ClaimStatus.DENIED:
        return Step(why="the payer denied it: there is nothing to take back")
    return Step(why=f"it is {status}") if status in GONE else Step("take back at the payer")


def _taken_step(row: ClaimRow, order: Order) -> Step:
    status = ClaimStatus(row.status)
    if status is not ClaimStatus.UNKNOWN:
        words = {ClaimStatus.SENT: "its answer is awaited", ClaimStatus.QUEUED: "the payer has it already"}
        return Step(why=_over(row) or words.get(status, "it was not sent"))
    then = "wait for the decision" if row.payer in order.unasked else "ask for the decision"
    return Step(f"count it as taken by the payer, {then}")


# --- doing it


def _resubmit(connection: Connection, row: ClaimRow, order: Order, at: datetime) -> None:
    is_refused = row.status == ClaimStatus.HELD
    if is_refused or (order.unseen and row.status == ClaimStatus.UNKNOWN):
        if is_refused:  # it was surely not taken: settings of how it is sent may have changed
            attempts.forget_submission(connection, row.id)
        _become(connection, row, ClaimStatus.READY, "", at)
    _note(connection, row, order, "resubmitted", at)
    stage = "poll" if row.status == ClaimStatus.QUEUED else "submit"
    claims.ask_delivery(connection, stage, claims.by_id(connection, row.id), at)
    for kind in ("refusal", "parked", "delivery", "no-answer"):
        items.close_identity(connection, at, f"{kind}:{row.id}", f"resubmitted by {order.actor}")


def _hold(connection: Connection, row: ClaimRow, order: Order, at: datetime) -> None:
    _become(connection, row, ClaimStatus.HELD, BY_A_PERSON, at)
    _note(connection, row, order, "held by a person", at)


def _release(connection: Connection, row: ClaimRow, order: Order, at: datetime) -> None:
    if row.hold == CANCELLED:
        _become(connection, row, ClaimStatus(row.status), "", at)
        work.ask(connection, "chart", row.chart_key, at)
    elif claims.held_by(row.explained):
        _become(connection, row, ClaimStatus.HELD, "edits", at)
    else:
        _become(connection, row, ClaimStatus.READY, "", at)
        claims.ask_delivery(connection, "submit", row, at)
    _note(connection, row, order, "released", at)


def _cancel(connection: Connection, row: ClaimRow, order: Order, at: datetime) -> None:
    never_sent = row.status in (ClaimStatus.HELD, ClaimStatus.READY)
    _become(connection, row, ClaimStatus.VOIDED if never_sent else ClaimStatus(row.status), CANCELLED, at)
    _note(connection, row, order, "cancelled", at)
    if ClaimStatus(row.status) in IN_FLIGHT:
        claims.mark_stale(connection, row.id)  # its settling asks for the chart
    else:
        work.ask(connection, "chart", row.chart_key, at)
    for kind in ("refusal", "delivery"):
        items.close_identity(connection, at, f"{kind}:{row.id}", f"cancelled by {order.actor}")


def _taken(connection: Connection, row: ClaimRow, order: Order, at: datetime) -> None:
    _become(connection, row, ClaimStatus.QUEUED, row.hold, at)
    claims.set_reference(connection, row.id, order.reference)
    _note(connection, row, order, "the payer has it, a person says", at)
    if row.payer not in order.unasked:
        claims.ask_delivery(connection, "poll", claims.by_id(connection, row.id), at)
    for kind in ("parked", "delivery", "no-answer"):
        items.close_identity(connection, at, f"{kind}:{row.id}", f"taken by the payer, says {order.actor}")


def _become(connection: Connection, row: ClaimRow, status: ClaimStatus, hold: str, at: datetime) -> None:
    values = {"status": status.value, "hold": hold, "updated_at": at}
    connection.execute(update(claim_table).where(claim_table.c.id == row.id).values(values))


def _note(connection: Connection, row: ClaimRow, order: Order, what: str, at: datetime) -> None:
    """Write down who did it, with the status before and after."""
    now = claims.by_id(connection, row.id).status
    why = f"{what}: {order.why}" if order.why else what
    record(connection, at, Change("claim", row.id, row.status, now, why, order.actor))


@dataclass(frozen=True, slots=True)
class _Action:
    step: Callable[[ClaimRow, Order], Step]
    take: Callable[[Connection, ClaimRow, Order, datetime], None]


ACTIONS: Mapping[str, _Action] = {
    "resubmit": _Action(_resubmit_step, _resubmit),
    "hold": _Action(_hold_step, _hold),
    "release": _Action(_release_step, _release),
    "cancel": _Action(_cancel_step, _cancel),
    "taken": _Action(_taken_step, _taken),
}
"""Every order there is, by the name of its command."""
