"""What a chart's draft or a payer's outcome does to the ledger. Every function runs inside one write transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal

import orjson
from sqlalchemy import Connection

from fhir_coder.billing import SlotPlan
from fhir_coder.edits import RESOLVES_ITSELF
from fhir_coder.edits.visit import UNUSABLE_PART, problem_path
from fhir_coder.model import (
    DECIDED,
    GONE,
    IN_FLIGHT,
    SYSTEM_TITLES,
    TAKEN_BY_PAYER,
    Adjudication,
    Chart,
    ClaimDraft,
    ClaimStatus,
    Gap,
    MessageFacts,
    MessageStatus,
    Outcome,
    Purpose,
    Severity,
    Verdict,
    is_code_shaped,
)
from fhir_coder.payers.decide import Decision
from fhir_coder.store import (
    chart_decisions,
    claim_corrections,
    claims,
    corrections,
    items,
    line_decisions,
    messages,
    work,
)
from fhir_coder.store.work import Work

_REPLACES = frozenset({ClaimStatus.QUEUED, ClaimStatus.COMPLETE, ClaimStatus.PARTIAL})
_PRIOR_BECOMES: Mapping[str, tuple[ClaimStatus, Collection[ClaimStatus]]] = {
    Purpose.BILL: (ClaimStatus.REPLACED, _REPLACES),
    Purpose.VOID: (ClaimStatus.VOIDED, _REPLACES - {ClaimStatus.QUEUED}),
}
"""What a claim's prior one becomes, and with which statuses. A denied one leaves it as it was; a void that is not
decided yet does too: what it takes back must not be billed anew before that."""

_ABOUT_ONE_CLAIM = ("refusal", "denial", "delivery", "documents", "no-answer")
"""Work items that ask about a claim itself: there is nothing to do about one that was replaced or withdrawn."""


def file_reading(connection: Connection, message_id: str, found: Verdict, at: datetime) -> set[str]:
    """File what became of a message that was read; answers the keys of all charts that may look different now."""
    messages.set_status(connection, message_id, found.status, found.why, at)
    touched = messages.file_facts(connection, found.facts or MessageFacts(message_id, None, (), ()), at)
    if found.status is not MessageStatus.QUARANTINED:
        return touched | corrections.settle(connection, message_id, at)
    item = items.Item(f"quarantine:{message_id}", "quarantine", "unreadable", found.why, message_id=message_id)
    items.open_item(connection, at, item)
    return touched


def file_plans(connection: Connection, plans: Sequence[SlotPlan], chart: Chart, at: datetime) -> list[str]:
    """Carry out what is planned for a chart's claims; answers what was done about each, as a fixed word."""
    words, asked = [], list[items.Item]()
    for plan in plans:
        word, claim_id = _file_plan(connection, plan, at)
        words.append(word)
        if plan.draft and word != "unchanged":
            found = _items_of(plan.draft, claim_id, plan.slot == plans[0].slot)
            if found:
                claims.mark_asked(connection, claim_id)
            asked += found
    items.sync_items(connection, at, chart.key, asked)
    _sync_questions(connection, at, plans, chart.key)
    return words


def _file_plan(connection: Connection, plan: SlotPlan, at: datetime) -> tuple[str, str]:
    """Carry out one slot's plan; answers the word for what was done, and the claim it is about."""
    for row in plan.by_hand:
        claims.move(connection, row, ClaimStatus.VOIDED, "a person voided it at the payer", at)
    if plan.withdrawn is not None:
        claims.move(connection, plan.withdrawn, ClaimStatus.VOIDED, plan.why, at)
        _close_items_of(connection, plan.withdrawn, "its claim was withdrawn", at)
    current = plan.current
    if plan.word == "deferred" and current is not None:
        claims.mark_stale(connection, current.id)  # its settling asks for the chart again
    if plan.filed is None:
        return plan.word, current.id if current is not None else ""
    if current is not None and current.id == getattr(plan.withdrawn, "id", ""):
        current = None
    return _file(connection, current, plan.filed, plan.word, at)


def _file(
    connection: Connection, current: claims.ClaimRow | None, filed: claims.Filed, word: str, at: datetime
) -> tuple[str, str]:
    """File what a slot's claim is now over the newest one there is."""
    if current is None:
        return word, claims.insert_claim(connection, filed, at)
    if current.status == ClaimStatus.HELD:
        return _file_over_held(connection, current, filed, word, at)
    if current.status == ClaimStatus.READY:
        if _same(current, filed) and filed.draft.status is ClaimStatus.READY:
            return "unchanged", current.id
        claims.move(connection, current, ClaimStatus.REPLACED, "its chart changed before it was sent", at)
        _close_items_of(connection, current, "its claim was replaced", at)
    return word, claims.insert_claim(connection, filed, at)


def _file_over_held(
    connection: Connection, current: claims.ClaimRow, filed: claims.Filed, word: str, at: datetime
) -> tuple[str, str]:
    if current.hold == "refused" and _same(current, filed):
        return "refused", current.id  # what the payer refused is not sent again unchanged
    if not (_same(current, filed) and claims.explains_the_same(current, filed)):
        claims.rewrite_held(connection, current, filed, at)
        items.close_identity(connection, at, f"refusal:{current.id}", "its claim changed")
    return word, current.id


def _same(current: claims.ClaimRow, filed: claims.Filed) -> bool:
    return bool(current.content_hash == filed.content_hash and current.payer == filed.draft.payer)


def _sync_questions(connection: Connection, at: datetime, plans: Sequence[SlotPlan], chart_key: str) -> None:
    """Make the open void and correction items of a chart exactly those that are asked now."""
    wanted = [plan.question for plan in plans if plan.question]
    items.sync_items(connection, at, chart_key, wanted, ("void", "correction"))


def _items_of(draft: ClaimDraft, claim_id: str, is_first: bool) -> list[items.Item]:
    """A work item for each gap and each rejecting finding; none while a later message may settle it all by itself.

    Where a visit has several claims, those after the first name their slot: the same edit and place may stand on each.
    """
    rejecting = [f for f in draft.findings if f.severity is Severity.REJECT]
    if any(f.edit in RESOLVES_ITSELF for f in rejecting):
        return []
    found = [
        items.Item(
            gap_identity(gap),
            "gap",
            gap.reason,
            _gap_text(gap),
            draft.chart_key,
            claim_id,
            gap.origin.message,
            solved_by=_row_for(gap),
        )
        for gap in draft.gaps
    ]
    if draft.gaps:
        return found  # a claim without lines or diagnoses because of its gaps asks no second question
    for finding in rejecting:
        slot = "" if is_first or finding.edit == UNUSABLE_PART else draft.slot
        identity = finding_identity(draft.chart_key, finding.edit, finding.path, slot)
        text = f"{finding.path}: {finding.text}. {finding.advice}".strip()
        found.append(items.Item(identity, "finding", finding.edit, text, draft.chart_key, claim_id))
    return found


_SETTLED_BY_A_ROW = {"no_row": "row", "no_table": "row", "no_row_fits": "fits", "target_not_valid": "valid"}
"""Gap reasons that one row settles for every chart, and what the row has to do; the others ask about one visit."""


def _row_for(gap: Gap) -> str:
    """What one row would settle: the code and the reason; empty where each chart has an answer of its own."""
    is_code = bool(gap.system and gap.code) and not any(map(str.isspace, gap.code))
    wanted = _SETTLED_BY_A_ROW.get(gap.reason, "") if is_code else ""
    return f"{gap.system}|{gap.code}:{wanted}" if wanted else ""


def gap_identity(gap: Gap) -> str:
    """What makes a gap's work item the same one: chart, code, reason and place."""
    return f"gap:{gap.chart_key}:{gap.system}|{gap.code}:{gap.reason}:{gap.origin.path}"


def finding_identity(chart_key: str, edit: str, path: str, slot: str = "") -> str:
    """What makes a finding's work item the same one: chart, slot where it is not the first, edit and place."""
    return ":".join(filter(None, ("finding", chart_key, slot, edit, path)))


def as_decided(connection: Connection, chart: Chart) -> Chart:
    """The chart with what people decided of its codes and claims, and without the problems whose items they closed."""
    decided = chart_decisions.of_chart(connection, chart.key)
    told = claim_corrections.of_charts(connection, (chart.key, *chart.moved_from))
    if decided or told:
        chart = replace(chart, decisions=decided, corrections=told)
    if not chart.problems:
        return chart
    aside = items.settled_by_a_person(connection, chart.key)
    kept = tuple(p for p in chart.problems if finding_identity(chart.key, UNUSABLE_PART, problem_path(p)) not in aside)
    return replace(chart, problems=kept)


def _gap_text(gap: Gap) -> str:
    """What is missing, with the code where it is one: senders put words, and names, where codes belong."""
    title = SYSTEM_TITLES.get(gap.system, "code of an unknown system")
    shown = gap.code if is_code_shaped(gap.code) else "(claims show names it)"
    words = f" {gap.display}" if gap.display else ""
    return f"{title} {shown}{words}: {gap.text}"


def apply_decision(
    connection: Connection, row: claims.ClaimRow, outcome: Outcome, decision: Decision, todo: Work, at: datetime
) -> None:
    """Move a claim as decided, keep what the payer said, leave the next work.

    An answer to a question that was on its way while the claim was replaced or voided is kept and changes nothing.
    """
    claims.set_reference(connection, row.id, outcome.reference)
    if outcome.adjudication:
        claims.set_adjudication(connection, row.id, outcome.adjudication)
        line_decisions.keep(connection, row, outcome.adjudication, at)
    if ClaimStatus(row.status) in GONE:
        work.finish(connection, todo)
        return
    why = (
        outcome.kind.value if outcome.reason in ("", outcome.kind.value) else f"{outcome.kind.value}: {outcome.reason}"
    )
    if row.hold == claims.CANCELLED and decision.status in (ClaimStatus.READY, ClaimStatus.HELD):
        claims.move(connection, row, ClaimStatus.VOIDED, f"a person cancelled it; {why}", at)
        work.finish(connection, todo)
        work.ask(connection, "chart", row.chart_key, at)
        return
    if decision.hold:
        claims.hold(connection, row, decision.hold, why, at)
    else:
        claims.move(connection, row, decision.status, why, at)
    _settle_prior(connection, row, decision.status, at)
    is_denied_void = row.purpose == Purpose.VOID and decision.item == "denial"
    if decision.item and not is_denied_void:  # the chart asks to void it by hand
        items.open_item(connection, at, _item_of(row, outcome, decision.item, why))
    if decision.status in DECIDED:
        items.close_identity(connection, at, f"no-answer:{row.id}", "the payer has decided")
    if outcome.adjudication:
        _ask_for_documents(connection, row, outcome.adjudication, at)
    _leave_work(connection, row, decision, todo, at)


def _item_of(row: claims.ClaimRow, outcome: Outcome, kind: str, why: str) -> items.Item:
    """What a person is asked about a claim that did not go well; of a denial with its reasons and what it costs."""
    item = items.Item(f"{kind}:{row.id}", kind, outcome.kind.value, why, row.chart_key, row.id)
    if kind != "denial" or outcome.adjudication is None:
        return item
    reasons, text, amount = denial_of(row.body, outcome.adjudication)
    return replace(item, reason=next(filter(None, reasons), item.reason), text=text, amount=amount)


def denial_of(claim: bytes, said: Adjudication) -> tuple[tuple[str, ...], str, Decimal | None]:
    """Why a payer denied a claim or lines of it: reasons, words without a value, the money unless it is all of it."""
    denied = [line for line in said.lines if line.denied]
    told = [(f"line {line.sequence}", line_decisions.reasons_of(line.reasons)) for line in denied]
    if not told:
        told = [("it", line_decisions.reasons_of([error.partition(" ")[0] for error in said.errors]))]
    shown = "; ".join(f"{what} ({', '.join(filter(None, why)) or 'no reason given'})" for what, why in told)
    reasons = tuple(dict.fromkeys(reason for _, why in told for reason in why))
    billed = {item["sequence"]: item.get("net", {}).get("value", 0) for item in orjson.loads(claim).get("item", ())}
    amount = sum((Decimal(str(billed.get(line.sequence, 0))) for line in denied), Decimal(0))
    text = f"the payer denied {shown}: correct the claim (claims correct), or let it be and close this"
    return reasons, text, amount if said.status is not ClaimStatus.DENIED else None


def _ask_for_documents(connection: Connection, row: claims.ClaimRow, said: Adjudication, at: datetime) -> None:
    """Ask a person for what the payer wants before it decides, once for each time it wants something else."""
    if said.status in DECIDED:
        items.close_identity(connection, at, f"documents:{row.id}", "the payer has decided")
        return
    before = orjson.loads(row.adjudication).get("requests", []) if row.adjudication else []
    if not said.requests or orjson.loads(orjson.dumps([asdict(one) for one in said.requests])) == before:
        return
    codes = dict.fromkeys(code for one in said.requests for code in one.codes if is_code_shaped(code))
    due = min((one.due for one in said.requests if one.due), default="")
    wanted = ", ".join(codes) or "documents"
    text = f"the payer asks for {wanted}{f' by {due}' if due else ''} before it decides: send it to the payer"
    item = items.Item(f"documents:{row.id}", "documents", "asked_for", text, row.chart_key, row.id)
    items.open_item(connection, at, item)


def _settle_prior(connection: Connection, row: claims.ClaimRow, status: ClaimStatus, at: datetime) -> None:
    """What a claim that is about a prior one makes of it, once the payer took it, or for a void has decided for it."""
    became, statuses = _PRIOR_BECOMES.get(row.purpose, (None, ()))
    prior = claims.by_identifier(connection, row.replaces) if row.replaces and status in statuses else None
    if became and prior is not None and ClaimStatus(prior.status) in TAKEN_BY_PAYER:
        claims.move(connection, prior, became, f"the payer took {row.identifier}", at)
        _close_items_of(connection, prior, f"the payer took {row.identifier}", at)


def _close_items_of(connection: Connection, row: claims.ClaimRow, why: str, at: datetime) -> None:
    """Close what is asked of a person about a claim that is over."""
    for kind in _ABOUT_ONE_CLAIM:
        items.close_identity(connection, at, f"{kind}:{row.id}", why)


def _leave_work(connection: Connection, row: claims.ClaimRow, decision: Decision, todo: Work, at: datetime) -> None:
    due_at = at + timedelta(seconds=decision.after)
    if decision.next_stage == todo.stage and decision.again:
        work.postpone(connection, todo, due_at)
    else:
        work.finish(connection, todo)
        if decision.next_stage:
            claims.ask_delivery(connection, decision.next_stage, row, due_at)
    is_awaited = decision.status in DECIDED and (row.purpose == Purpose.VOID or claims.has_other_slots(connection, row))
    if is_awaited or (row.stale and decision.status not in IN_FLIGHT):
        work.ask(connection, "chart", row.chart_key, at)
