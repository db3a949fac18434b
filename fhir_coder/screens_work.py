"""What the terminal shows of people's work: the list, an item with all it takes to decide it, previews, what-ifs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from fhir_coder.correcting import Outlook
from fhir_coder.model import Json
from fhir_coder.screens import aligned, cell, listing, section
from fhir_coder.screens_messages import one_line
from fhir_coder.screens_tables import recoding_json, recoding_text
from fhir_coder.store.chart_decisions import codings_of
from fhir_coder.worklist import (
    Case,
    Page,
    Preview,
    PreviewedClaim,
    ProposedRow,
    QueueCount,
    Source,
    Suggestion,
    WhatIf,
    WorkItem,
)

_LIST = ["item", "charts", "amount", "kind", "reason", "payer", "care", "wanted by", "who", "why", "about"]
_SHOWN_PARTS = 20


def page_text(page: Page) -> str:
    """Items as a list, what is wanted first in front."""
    if not page.items:
        return "none"
    lines = [listing(_LIST, [_row(item) for item in page.items])]
    if page.after:
        lines.append(f"more: --after {page.after}")
    return "\n".join(lines)


def _row(item: WorkItem) -> list[Any]:
    day = f"{item.due_at.date()}{' overdue' if item.is_overdue else ''}"
    who = item.taken_by or (f"for {item.assigned_to}" if item.assigned_to else "")
    care = " ".join(filter(None, (item.care, item.specialty)))
    why = "; ".join(item.why)
    asked = [item.kind, item.reason, item.payer, care]
    return [item.id, item.charts or "", _money(item), *asked, day, who, why, _about(item)]


def _about(item: WorkItem) -> str:
    if item.charts > 1:
        return one_line(item.text)
    return item.chart_key or item.message_id or one_line(item.text)


def _money(item: WorkItem) -> str:
    return f"{item.currency} {item.amount:,.2f}".strip() if item.amount else ""


def item_json(item: WorkItem) -> Json:
    """An item for `--json` and the API."""
    said = asdict(item)
    return said | {"status": item.status.value, "why": list(item.why), "amount": str(item.amount)} | _times(item)


def _times(item: WorkItem) -> Json:
    names = ("opened_at", "due_at", "taken_until", "held_until", "file_by", "answer_by")
    return {name: _iso(getattr(item, name)) for name in names}


def _iso(value: Any) -> str | None:
    return value.isoformat() if value else None


def queues_text(found: Sequence[QueueCount]) -> str:
    """The queues with how much is open in each."""
    heads = ["care", "specialty", "payer", "kind", "items", "first wanted by"]
    rows = [[q.care, q.specialty, q.payer, q.kind, q.items, q.first_due_at.date()] for q in found]
    return listing(heads, rows) if rows else "nothing is open"


def queues_json(found: Sequence[QueueCount]) -> list[Json]:
    """The queues for `--json` and the API."""
    return [asdict(one) | {"first_due_at": one.first_due_at.isoformat()} for one in found]


def case_text(case: Case) -> str:
    """An item with its charts, what is asked, where that stands, what was tried, and what may be meant."""
    item = case.item
    lines = [f"work item {item.id}   {item.kind} {item.reason}   {item.status}", f"  {one_line(item.text)}"]
    lines.append("  " + "; ".join([f"wanted by {item.due_at.date()}", *item.why]))
    about = [_count(item.charts, "chart") if item.charts else "", _money(item), item.payer, item.care, item.specialty]
    lines.append("  " + "   ".join(filter(None, about)))
    lines += _desk(item)
    lines += _asked(case)
    if case.source:
        lines += _source(case.source)
    lines += section("rows tried", [[f"{t.table}:{t.line}", _gives(t), t.why, t.note] for t in case.tried])
    lines += section("suggestions", [_suggestion(one) for one in case.suggestions])
    lines += section("decided for this chart", [_decision(row) for row in case.decisions])
    if case.proposal:
        lines += proposal_lines(case.proposal)
    if item.charts > 1:
        shown = [[p.chart_key, str(p.amount), cell(p.opened_at)] for p in case.parts[:_SHOWN_PARTS]]
        lines += section("charts", shown)
        if item.charts > len(shown):
            lines.append(f"   and {item.charts - len(shown)} more")
    lines += section("history", [[cell(e.at), e.to_status, e.why, e.actor] for e in case.history])
    return "\n".join(lines)


def _desk(item: WorkItem) -> list[str]:
    said = [f"with {item.taken_by} until {cell(item.taken_until)} UTC"] if item.taken_by else []
    said += [f"assigned to {item.assigned_to}"] if item.assigned_to else []
    said += [f"held until {cell(item.held_until)} UTC"] if item.status == "held" else []
    return [f"  {'; '.join(said)}"] if said else []


def _asked(case: Case) -> list[str]:
    asked = case.question
    if asked is None:
        found = section("chart", [[case.part.chart_key or case.part.message_id]]) if case.part else []
        rows = [[one_line(f.name), f.kind.value, ", ".join(f.billed) or f.reason or "not billable"] for f in case.facts]
        return found + section("codes of the chart", rows)
    context = asked.context
    rows = [
        ["chart", asked.chart_key],
        ["code", one_line(asked.name)],
        ["words", one_line(asked.display or asked.words)],
        ["billed as", ", ".join(asked.billed)],
        ["kind", asked.kind.value],
        ["service date", cell(context.service_date)],
        ["visit", ", ".join(filter(None, (context.encounter_class, context.sex, context.use, context.laterality)))],
        ["gap", one_line(f"{asked.reason}: {asked.text}") if asked.reason else ""],
    ]
    return section("asked", [row for row in rows if row[1]])


def _source(source: Source) -> list[str]:
    rows = [
        [">>" if line.is_marked else "", one_line(line.path), line.name, one_line(line.value)] for line in source.lines
    ]
    return section(f"message {source.message_id} {one_line(source.path)}", rows)


def _gives(tried: Any) -> str:
    return tried.gives.code if tried.gives else "needs detail" if tried.needs_detail else "not billable"


def _suggestion(one: Suggestion) -> list[str]:
    return [one.name, one.title, one.why]


def _decision(row: Any) -> list[str]:
    codes = ", ".join(target.code for target in codings_of(row.targets)) or "not billable"
    return [f"decision {row.id}", one_line(row.code or row.text), codes, row.actor, cell(row.decided_at), row.why]


def proposal_lines(row: ProposedRow) -> list[str]:
    """A row that waits for another person."""
    return section(f"proposed by {row.by}", [[name, text] for name, text in row.cells.items()])


def preview_text(shown: Preview) -> str:
    """The claims of a chart before and after a decision."""
    lines = [f"chart {shown.question.chart_key}   {one_line(shown.question.name)}"]
    lines += _claims("as it is", shown.before)
    lines += _claims("with this decision", shown.after)
    return "\n".join(lines)


def _claims(title: str, claims: Sequence[PreviewedClaim]) -> Iterator[str]:
    for one in claims:
        state = "ready" if one.is_ready else "held"
        total = f"{one.currency} {one.total:,.2f}".strip()
        yield from ("", f"  {title}: {one.slot}   {one.payer}   {total}   {state}")
        rows = [list(code) for code in one.codes]
        rows += [["gap", gap.reason, gap.text] for gap in one.gaps]
        rows += [[f.severity.value, f.edit, f"{f.path}: {f.text}"] for f in one.findings]
        yield from aligned(rows, indent=5)


def preview_json(shown: Preview) -> Json:
    """A preview for `--json` and the API: amounts are texts."""
    return {
        "chart_key": shown.question.chart_key,
        "source": {"system": shown.question.system, "code": shown.question.code},
        "targets": [{"system": t.system, "code": t.code} for t in shown.decision.targets],
        "before": [_claim_json(one) for one in shown.before],
        "after": [_claim_json(one) for one in shown.after],
    }


def _claim_json(one: PreviewedClaim) -> Json:
    said = asdict(one)
    return said | {
        "total": str(one.total),
        "codes": [{"path": path, "code": code, "why": why} for path, code, why in one.codes],
        "findings": [asdict(f) | {"severity": f.severity.value} for f in one.findings],
        "gaps": [asdict(g) for g in one.gaps],
    }


def case_json(case: Case) -> Json:
    """An item with all it takes to decide it, for `--json` and the API."""
    asked = case.question
    return {
        "item": item_json(case.item),
        "charts": [asdict(p) | {"amount": str(p.amount), **_part_times(p)} for p in case.parts],
        "question": None if asked is None else _question_json(asked),
        "source": asdict(case.source) if case.source else None,
        "tried": [asdict(t) | {"why": t.why} for t in case.tried],
        "suggestions": [asdict(s) | {"name": s.name} for s in case.suggestions],
        "proposal": None if case.proposal is None else asdict(case.proposal),
        "facts": [_question_json(one) for one in case.facts],
        "decisions": [_decision_json(row) for row in case.decisions],
        "history": [
            {"at": _iso(e.at), "from": e.from_status, "to": e.to_status, "why": e.why, "actor": e.actor}
            for e in case.history
        ],
    }


def _part_times(part: Any) -> Json:
    return {"opened_at": _iso(part.opened_at), "file_by": _iso(part.file_by)}


def _question_json(asked: Any) -> Json:
    context = asked.context
    return {
        "chart_key": asked.chart_key,
        "kind": asked.kind.value,
        "system": asked.system,
        "code": asked.code,
        "words": asked.words,
        "display": asked.display,
        "origin": asdict(asked.origin),
        "billed": list(asked.billed),
        "reason": asked.reason,
        "text": asked.text,
        "service_date": _iso(context.service_date),
        "encounter_class": context.encounter_class,
        "sex": context.sex,
        "payer": context.payer,
    }


def _decision_json(row: Any) -> Json:
    return {
        "number": row.id,
        "system": row.system,
        "code": row.code,
        "targets": [{"system": t.system, "code": t.code} for t in codings_of(row.targets)],
        "actor": row.actor,
        "at": _iso(row.decided_at),
        "why": row.why,
    }


def what_if_text(found: WhatIf) -> str:
    """What approving a row would change."""
    lines = [f"work item {found.proposal.item_id}", *proposal_lines(found.proposal), ""]
    return "\n".join([*lines, recoding_text(list(found.changes), found.looked_at)])


def what_if_json(found: WhatIf) -> Json:
    """The same for `--json` and the API."""
    return {"proposal": asdict(found.proposal), **recoding_json(list(found.changes), found.looked_at)}


def amount_text(amount: Decimal, currency: str = "") -> str:
    """An amount as lists show it."""
    return f"{currency} {amount:,.2f}".strip()


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


_BECOMES = {
    "ready": "it goes to the payer",
    "held": "it is made again, and held",
    "refused": "nothing: it bills what the payer refused",
    "voiding": "the payer's claim is taken back, then it is billed anew",
    "person": "a work item asks a person to correct it at the payer",
    "deferred": "it waits until the outcome of what is on its way is known",
    "waiting": "it waits for another claim of the visit",
    "unchanged": "nothing is sent: it bills the same",
    "cancelled": "nothing: the visit has no such claim any more",
}
"""What becomes of a corrected claim, by the word of its plan."""


def outlook_text(seen: Outlook, *, is_done: bool, note_stays: bool = False) -> str:
    """What becomes of a claim that a person corrects. `note_stays`: its payer takes no notes."""
    becomes = _BECOMES.get(seen.word, seen.word)
    if seen.replaces and seen.word == "ready":
        becomes += f" in the place of {seen.replaces}"
    lines = [f"{seen.identifier}   {seen.payer}   {seen.status}", f"then: {becomes}"]
    lines += section("changes", [[path] for path in seen.paths])
    lines += section("gaps", [[gap.reason, gap.text] for gap in seen.gaps])
    lines += section("findings", [[f.severity.value, f.edit, f"{f.path}: {f.text}"] for f in seen.findings])
    lines += section("the visit's other claims that change", [[slot] for slot in seen.others])
    if note_stays:
        lines += ["", f"the note stays here: {seen.payer} takes none ([[payers]] notes)"]
    told = "kept; a running service does the rest" if is_done else "nothing was done; --yes does it"
    return "\n".join([*lines, "", told])
