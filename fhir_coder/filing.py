"""What a chart's draft or a payer's outcome does to the ledger. Every function runs inside one write transaction."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from fhir_coder.edits import RESOLVES_ITSELF
from fhir_coder.edits.visit import UNUSABLE_PART, problem_path
from fhir_coder.model import (
    IN_FLIGHT,
    SYSTEM_TITLES,
    Chart,
    ClaimDraft,
    ClaimStatus,
    Gap,
    MessageFacts,
    MessageStatus,
    Outcome,
    Severity,
    Verdict,
)
from fhir_coder.payers.decide import Decision
from fhir_coder.store import claims, corrections, items, messages, work
from fhir_coder.store.work import Work

_REPLACES = frozenset({ClaimStatus.QUEUED, ClaimStatus.COMPLETE, ClaimStatus.PARTIAL})
"""Statuses of a replacement with which its prior claim stands no longer. A denied one leaves it as it was."""
_CODE = re.compile(r"(?=.*\d)[A-Za-z0-9.-]{1,18}")


def file_reading(connection: Connection, message_id: str, found: Verdict, at: datetime) -> set[str]:
    """File what became of a message that was read; answers the keys of all charts that may look different now."""
    messages.set_status(connection, message_id, found.status, found.why, at)
    touched = messages.file_facts(connection, found.facts or MessageFacts(message_id, None, (), ()), at)
    if found.status is not MessageStatus.QUARANTINED:
        return touched | corrections.settle(connection, message_id, at)
    item = items.Item(f"quarantine:{message_id}", "quarantine", "unreadable", found.why, message_id=message_id)
    items.open_item(connection, at, item)
    return touched


def file_claim(
    connection: Connection, current: claims.ClaimRow | None, filed: claims.Filed, chart: Chart, at: datetime
) -> str:
    """File what a chart's claim is now; answers what was done, as a fixed word."""
    if current is not None and claims.is_in_flight(current):
        claims.mark_stale(connection, current.id)  # its settling asks for the chart again
        return "deferred"
    if chart.cancelled:
        return _void(connection, current, chart, at)
    if current is not None:
        items.close_identity(connection, at, f"void:{current.id}", "the visit was reinstated")
    if _payer_has_it(connection, filed):
        _withdraw(connection, current, at)
        items.sync_items(connection, at, chart.key, ())
        return "unchanged"
    if current is None:
        claim_id = claims.insert_claim(connection, filed, at)
    elif current.status == ClaimStatus.HELD and current.hold == "refused" and _same(current, filed):
        return "refused"  # what the payer refused is not sent again unchanged
    elif current.status == ClaimStatus.HELD and _same(current, filed) and claims.explains_the_same(current, filed):
        claim_id = current.id
    elif current.status == ClaimStatus.HELD:
        claims.rewrite_held(connection, current, filed, at)
        items.close_identity(connection, at, f"refusal:{current.id}", "its claim changed")
        claim_id = current.id
    elif current.status == ClaimStatus.READY and _same(current, filed) and filed.draft.status is ClaimStatus.READY:
        return "unchanged"
    else:
        if current.status == ClaimStatus.READY:
            claims.move(connection, current, ClaimStatus.REPLACED, "its chart changed before it was sent", at)
        claim_id = claims.insert_claim(connection, filed, at)
    items.sync_items(connection, at, chart.key, _items_of(filed.draft, claim_id))
    return filed.draft.status.value


def _same(current: claims.ClaimRow, filed: claims.Filed) -> bool:
    return bool(current.content_hash == filed.content_hash and current.payer == filed.draft.payer)


def _payer_has_it(connection: Connection, filed: claims.Filed) -> bool:
    """Whether a draft that nothing holds bills what the claim it would replace bills already.

    A draft that is held asks a person, however much its claim is the same: a late charge without a code makes no line.
    """
    prior = claims.by_identifier(connection, filed.replaces) if filed.replaces else None
    return prior is not None and filed.draft.status is ClaimStatus.READY and _same(prior, filed)


def _withdraw(connection: Connection, current: claims.ClaimRow | None, at: datetime) -> None:
    if current is not None and current.status in (ClaimStatus.HELD, ClaimStatus.READY):
        claims.move(connection, current, ClaimStatus.VOIDED, "the payer has the same claim already", at)
        items.close_identity(connection, at, f"refusal:{current.id}", "its claim was withdrawn")


def _void(connection: Connection, current: claims.ClaimRow | None, chart: Chart, at: datetime) -> str:
    items.sync_items(connection, at, chart.key, ())
    if current is None:
        return "cancelled"
    if claims.is_taken(current) or current.replaces:
        text = "the visit was cancelled after the payer took its claim: void it at the payer"
        item = items.Item(f"void:{current.id}", "void", "cancelled_after_claim", text, chart.key, current.id)
        items.open_item(connection, at, item)
    if claims.is_taken(current) or current.status == ClaimStatus.VOIDED:
        return "cancelled"
    claims.move(connection, current, ClaimStatus.VOIDED, "the visit was cancelled", at)
    items.close_identity(connection, at, f"refusal:{current.id}", "the visit was cancelled")
    return "voided"


def _items_of(draft: ClaimDraft, claim_id: str) -> list[items.Item]:
    """A work item for each gap and each rejecting finding; none while a later message may settle it all by itself."""
    rejecting = [f for f in draft.findings if f.severity is Severity.REJECT]
    if any(f.edit in RESOLVES_ITSELF for f in rejecting):
        return []
    found = [
        items.Item(
            f"gap:{draft.chart_key}:{gap.system}|{gap.code}:{gap.reason}:{gap.origin.path}",
            "gap",
            gap.reason,
            _gap_text(gap),
            draft.chart_key,
            claim_id,
            gap.origin.message,
        )
        for gap in draft.gaps
    ]
    if draft.gaps:
        return found  # a claim without lines or diagnoses because of its gaps asks no second question
    for finding in rejecting:
        identity = finding_identity(draft.chart_key, finding.edit, finding.path)
        text = f"{finding.path}: {finding.text}. {finding.advice}".strip()
        found.append(items.Item(identity, "finding", finding.edit, text, draft.chart_key, claim_id))
    return found


def finding_identity(chart_key: str, edit: str, path: str) -> str:
    """What makes a finding's work item the same one: chart, edit and place."""
    return f"finding:{chart_key}:{edit}:{path}"


def without_set_aside(connection: Connection, chart: Chart) -> Chart:
    """The chart without the problems that a person has settled by closing their work items."""
    if not chart.problems:
        return chart
    aside = items.set_aside(connection, chart.key, UNUSABLE_PART)
    kept = tuple(p for p in chart.problems if finding_identity(chart.key, UNUSABLE_PART, problem_path(p)) not in aside)
    return replace(chart, problems=kept)


def _gap_text(gap: Gap) -> str:
    """What is missing, with the code where it is one: senders put words, and names, where codes belong."""
    title = SYSTEM_TITLES.get(gap.system, "code of an unknown system")
    shown = gap.code if _CODE.fullmatch(gap.code) else "(claims show names it)"
    words = f" {gap.display}" if gap.display else ""
    return f"{title} {shown}{words}: {gap.text}"


def apply_decision(
    connection: Connection, row: claims.ClaimRow, outcome: Outcome, decision: Decision, todo: Work, at: datetime
) -> None:
    """Move a claim as decided, keep what the payer said, leave the next work."""
    claims.set_reference(connection, row.id, outcome.reference)
    if outcome.adjudication:
        claims.set_adjudication(connection, row.id, outcome.adjudication)
    why = (
        outcome.kind.value if outcome.reason in ("", outcome.kind.value) else f"{outcome.kind.value}: {outcome.reason}"
    )
    if decision.hold:
        claims.hold(connection, row, decision.hold, why, at)
    else:
        claims.move(connection, row, decision.status, why, at)
    if row.replaces and decision.status in _REPLACES:
        prior = claims.by_identifier(connection, row.replaces)
        if prior is not None:
            claims.move(connection, prior, ClaimStatus.REPLACED, f"the payer took {row.identifier}", at)
    if decision.item:
        item = items.Item(f"{decision.item}:{row.id}", decision.item, outcome.kind.value, why, row.chart_key, row.id)
        items.open_item(connection, at, item)
    _leave_work(connection, row, decision, todo, at)


def _leave_work(connection: Connection, row: claims.ClaimRow, decision: Decision, todo: Work, at: datetime) -> None:
    due_at = at + timedelta(seconds=decision.after)
    if decision.next_stage == todo.stage and decision.again:
        work.postpone(connection, todo, due_at)
    else:
        work.finish(connection, todo)
        if decision.next_stage:
            work.ask(connection, decision.next_stage, row.id, due_at)
    if row.stale and decision.status not in IN_FLIGHT:
        work.ask(connection, "chart", row.chart_key, at)
