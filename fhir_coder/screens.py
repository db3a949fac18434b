"""What the terminal shows: conversions, claims, status. Text in, nothing decided here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson

from fhir_coder.conversion import Conversion
from fhir_coder.model import (
    SYSTEM_TITLES,
    ClaimDraft,
    Finding,
    Gap,
    Json,
    MessageStatus,
    PayerState,
    System,
    Trace,
)
from fhir_coder.queries import ClaimStory
from fhir_coder.store.items import OWN_ACTOR


def conversion_text(conversion: Conversion) -> str:
    """The readable summary of a conversion, with what to do next."""
    parts = [claim_text(claim) for claim in conversion.claims]
    parts += [f"{key}   cancelled: nothing is billed" for key in conversion.cancelled]
    parts += [f"{key}   moved: billed under {present}" for key, present in conversion.moved]
    parts += [
        f"{message.id}   {message.header.type}   ignored: {message.reason}"
        for message in conversion.messages
        if message.status is MessageStatus.IGNORED
    ]
    ready = sum(c.status == "ready" for c in conversion.claims)
    held = len(conversion.claims) - ready
    counts = f"{_plural(len(conversion.messages), 'message')}, {_plural(ready, 'claim')} ready, {held} held"
    if conversion.unreadable:
        counts += f", {len(conversion.unreadable)} unreadable"
    parts.append(f"{counts}      --json for the claims and why each code was chosen")
    return "\n\n".join(parts)


def claim_text(draft: ClaimDraft) -> str:
    """One claim: head, diagnoses, procedures, lines, gaps, findings."""
    claim = draft.claim
    total = f"{draft.total.currency} {draft.total.value:,.2f}" if draft.total else "no amount"
    kind = draft.slot if "." in draft.slot else claim["type"]["coding"][0]["code"]
    day = claim.get("billablePeriod", {}).get("start", "no date")
    head = "   ".join([draft.chart_key, payer_title(claim, draft.payer), kind, day, total, draft.status.value])
    traces = {t.path: t for t in draft.traces if t.path}
    sections = [head]
    sections += section("diagnoses", _diagnosis_rows(claim, traces))
    sections += section("procedures", _procedure_rows(claim, traces))
    sections += section("lines", _line_rows(claim, traces))
    groups = [t for t in draft.traces if t.system == System.MS_DRG]
    sections += section("group", [[t.code, t.display, t.note] for t in groups])
    sections += section("not billed", [[_source(t), t.origin.path, _row(t)] for t in draft.traces if not t.path])
    sections += section("gaps", _gap_rows(draft.gaps))
    findings = sorted(draft.findings, key=lambda f: ("reject", "warn", "info").index(f.severity))
    sections += section("findings", [[f.severity.value, f.edit, f"{f.path}: {f.text}"] for f in findings])
    return "\n".join(sections)


def payer_title(claim: Json, name: str) -> str:
    """The insurer's name in a claim, else the payer's short name."""
    names = [r.get("name", "") for r in claim.get("contained", ()) if r["id"] == "insurer"]
    return str(next(filter(None, names), name))


def _diagnosis_rows(claim: Json, traces: dict[str, Trace]) -> list[list[str]]:
    rows = []
    for index, entry in enumerate(claim.get("diagnosis", ())):
        coding = entry["diagnosisCodeableConcept"]["coding"][0]
        kinds = ", ".join(c["coding"][0]["code"] for c in entry.get("type", ()))
        trace = traces[f"Claim.diagnosis[{index}]"]
        rows.append([str(entry["sequence"]), coding["code"], trace.display, kinds, *explained(trace)])
    return rows


def _procedure_rows(claim: Json, traces: dict[str, Trace]) -> list[list[str]]:
    rows = []
    for index, entry in enumerate(claim.get("procedure", ())):
        coding = entry["procedureCodeableConcept"]["coding"][0]
        trace = traces[f"Claim.procedure[{index}]"]
        rows.append(
            [
                str(entry["sequence"]),
                coding["code"],
                trace.display,
                entry.get("date", "")[:10],
                *explained(trace),
            ]
        )
    return rows


def _line_rows(claim: Json, traces: dict[str, Trace]) -> list[list[str]]:
    rows = []
    for index, item in enumerate(claim.get("item", ())):
        coding = item["productOrService"]["coding"][0]
        modifiers = " ".join(m["coding"][0]["code"] for m in item.get("modifier", ()))
        code = f"{coding['code']} {modifiers}".strip()
        price = f"{item['unitPrice']['value']:,.2f}" if "unitPrice" in item else "?"
        net = f"{item['net']['value']:,.2f}" if "net" in item else "no amount"
        pointers = "dx " + " ".join(map(str, item.get("diagnosisSequence", ()))) if "diagnosisSequence" in item else ""
        unit = f" {item['quantity']['unit']}" if "unit" in item["quantity"] else ""
        amount = f"{item['quantity']['value'].normalize():f}{unit} × {price}"
        trace = traces[f"Claim.item[{index}]"]
        rows.append([str(item["sequence"]), code, trace.display, amount, net, pointers, *explained(trace)])
    return rows


def explained(trace: Trace) -> list[str]:
    """Where a code came from: origin, source code, and the row of the table version, or that it came coded."""
    return [trace.origin.path, _source(trace), _row(trace)]


def _source(trace: Trace) -> str:
    return f"{SYSTEM_TITLES.get(trace.source.system, trace.source.system)} {trace.source.code}"


def _row(trace: Trace) -> str:
    return f"{trace.version}  row {trace.row}" if trace.table else trace.note


def _gap_rows(gaps: Iterable[Gap]) -> list[list[str]]:
    return [
        [g.origin.path, f"{SYSTEM_TITLES.get(g.system, g.system)} {g.code}".strip(), g.display, f"{g.reason}: {g.text}"]
        for g in gaps
    ]


def section(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows under a title, nothing where there are none."""
    return ["", f"  {title}", *aligned(rows, indent=3)] if rows else []


def aligned(rows: Sequence[Sequence[str]], indent: int = 0, *, has_amounts: bool = True) -> list[str]:
    """Rows as lines with aligned columns; empty columns vanish. Amounts (digits and points) are set right, if any."""
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for cell, width in zip(row, widths, strict=True):
            if width:
                cells.append(
                    cell.rjust(width)
                    if has_amounts and cell.replace(",", "").replace(".", "").isdigit() and "." in cell
                    else cell.ljust(width)
                )
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return lines


def listing(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A list with its column heads."""
    return "\n".join(aligned([list(headers), *[[cell(c) for c in row] for row in rows]]))


def checked_text(checked: Sequence[tuple[str, Sequence[Finding]]]) -> str:
    """Findings by what was checked, and what to do about each edit that has an advice."""
    rows = [[name, f.severity.value, f.edit, f.path, f.text] for name, findings in checked for f in findings]
    if not rows:
        return "nothing found"
    advice = {f.edit: f.advice for _, findings in checked for f in findings if f.advice}
    listed = listing(["checked", "severity", "edit", "where", "rule"], rows)
    return "\n".join([listed, *section("what to do", [[edit, text] for edit, text in advice.items()])])


def cell(value: Any) -> str:
    """A value of the ledger as text."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return "" if value is None else str(value)


def status_text(counted: dict[str, Any]) -> str:
    """Counts by status, feed and payer."""
    lines = [f"work waiting  {counted['work_waiting']}"]
    if counted["oldest_waiting_at"]:
        lines.append(f"oldest due    {counted['oldest_waiting_at']}")
    for title in ("messages", "claims", "work_items"):
        said = ", ".join(f"{n} {s}" for s, n in counted[title].items()) or "none"
        lines.append(f"{title.replace('_', ' '):13} {said}")
    for title in ("feeds", "payers"):
        for name, statuses in counted[title].items():
            lines.append(f"{title[:-1]:5} {name:15} " + ", ".join(f"{n} {s}" for s, n in statuses.items()))
    for name, payer in counted["payer_states"].items():
        if payer["state"] != PayerState.UP:
            lines.append(f"payer {name:15} {payer['state']} ({payer['reason']}) since {payer['since']}")
    for name, server in counted["fhir_servers"].items():
        reason = f" ({server['reason']})" if server["reason"] else ""
        read = server["read_at"] or "never"
        lines.append(f"fhir  {name:15} {server['state']}{reason} since {server['since']}, read {read}")
    return "\n".join(lines)


def stored_claim_text(story: ClaimStory) -> str:
    """A claim of the ledger: head, codes with their stories, findings, gaps, what came before and after, answer."""
    row = story.row
    claim, explained_json = orjson.loads(row.body), orjson.loads(row.explained)
    money = f"{row.currency} {row.total}".strip() or "no amount"
    head = "   ".join([row.identifier, f"revision {row.revision}", payer_title(claim, row.payer), money, row.status])
    about = f"   {_ABOUT[row.purpose]} {row.replaces}" if row.replaces else ""
    file_by = f"   file by {row.file_by.isoformat()}" if row.file_by else ""
    lines = [head + about, f"chart {row.chart_key}   {row.slot}{file_by}"]
    lines += [f"besides {o.identifier}   {o.slot}   {o.payer}   {o.status}" for o in story.others]
    rows = [_stored_trace(t) for t in explained_json["traces"]]
    lines += section("codes", rows)
    lines += section(
        "gaps",
        [_stored_gap(g) for g in explained_json["gaps"]],
    )
    lines += section(
        "findings",
        [[f["severity"], f["edit"], f"{f['path']}: {f['text']}", f["advice"]] for f in explained_json["findings"]],
    )
    lines += section("corrected by people", [[c.field, c.actor, c.at, c.why] for c in story.corrections])
    lines += section("lineage", [_descent(one) for one in story.lineage] if len(story.lineage) > 1 else [])
    history = [(e.at, moved(e), e.why if e.actor == OWN_ACTOR else f"{e.why} ({e.actor})") for e in story.events]
    history += [(a.started_at, a.kind, f"{attempt_text(a)}{_then(a)}") for a in story.attempts]
    lines += section("history", [[cell(at), what, why] for at, what, why in sorted(history, key=lambda h: h[0])])
    lines += _answer(row)
    return "\n".join(lines)


def ordered_text(ordered: Sequence[Any], is_done: bool) -> str:
    """What a person's order does, or did, to each claim; the first hundred by name, then the counts."""
    if not ordered:
        return "no such claims"
    rows = [[o.identifier, o.payer, o.status, o.step.does or f"nothing: {o.step.why}"] for o in ordered]
    lines = [listing(["claim", "payer", "status", "done" if is_done else "would be done"], rows[:_MOST_ORDERED])]
    if len(rows) > _MOST_ORDERED:
        lines.append(f"and {len(rows) - _MOST_ORDERED} more")
    changed = sum(bool(o.step.does) for o in ordered)
    told = f"{_plural(changed, 'claim')} of {len(ordered)}"
    return "\n".join([*lines, f"{told} changed" if is_done else f"nothing was done; {told} with --yes"])


def _descent(row: Any) -> list[str]:
    """One claim of a lineage: what it was sent for, where it stands, and what its payer decided."""
    said = orjson.loads(row.adjudication) if row.adjudication else {}
    denied = {reason: None for line in said.get("lines", ()) if line["denied"] for reason in line["reasons"]}
    told = [f"paid {row.currency} {row.paid}" if row.paid else "", f"denied: {', '.join(denied)}" if denied else ""]
    about = f"{_ABOUT[row.purpose]} {row.replaces}" if row.replaces else "first" if row.revision == 1 else "anew"
    return [row.identifier, about, row.status, cell(row.sent_at), "; ".join(filter(None, told))]


_MOST_ORDERED = 100
_ABOUT = {"bill": "replaces", "late-charge": "adds late charges to", "void": "voids"}


def _stored_gap(gap: Json) -> list[str]:
    system = SYSTEM_TITLES.get(gap["system"], gap["system"])
    return [gap["origin"]["path"], f"{system} {gap['code']}".strip(), f"{gap['reason']}: {gap['text']}"]


def _stored_trace(trace: Json) -> list[str]:
    where = f"{SYSTEM_TITLES.get(trace['source']['system'], trace['source']['system'])} {trace['source']['code']}"
    why = f"{trace['version']}  row {trace['row']}" if trace["table"] else trace["note"]
    code = trace["code"] or "not billable"
    return [
        trace["path"] or "-",
        code,
        trace["display"],
        trace["origin"]["message"],
        trace["origin"]["path"],
        where,
        why,
    ]


def moved(event: Any) -> str:
    """From which status to which an event led."""
    return f"{event.from_status} → {event.to_status}" if event.from_status else str(event.to_status)


def attempt_text(attempt: Any) -> str:
    """What one request to a payer came to: status, outcome, Retry-After, and why."""
    if attempt.ended_at is None:
        return "no answer was written down"
    retry = f", Retry-After {attempt.retry_after:g}" if attempt.retry_after else ""
    reason = f": {attempt.reason}" if attempt.reason not in ("", attempt.outcome) else ""
    took = f" in {(attempt.ended_at - attempt.started_at).total_seconds():.3f} s"
    return f"{attempt.http_status or ''} {attempt.outcome}{retry}{reason}{took}".strip()


def _then(attempt: Any) -> str:
    return f"; then: {attempt.next_action}" if attempt.next_action else ""


def wire_text(attempts: Sequence[Any], sent: bytes) -> str:
    """Each request to the payer as it was sent, and what came back; `sent` is the body of the claim's submission."""
    return "\n\n".join(_wire(number, a, sent) for number, a in enumerate(attempts, start=1)) or "nothing was sent"


def _wire(number: int, attempt: Any, sent: bytes) -> str:
    is_sending = attempt.kind in ("submit", "repeat") and attempt.request_line
    body = sent if is_sending else attempt.request_body or b""
    parts = [f"# {number}  {attempt.kind}  {cell(attempt.started_at)}  {attempt_text(attempt)}"]
    parts += [attempt.request_line, attempt.request_headers, "", body.decode("utf-8", "replace"), ""]
    parts += [f"HTTP {attempt.http_status}" if attempt.http_status else "", attempt.response_headers, ""]
    parts += [attempt.response.decode("utf-8", "replace")]
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in "\n".join(parts))


def _answer(row: Any) -> list[str]:
    if not row.adjudication:
        return []
    answer = orjson.loads(row.adjudication)
    days = " to ".join(filter(None, (answer.get("authorized_from"), answer.get("authorized_to"))))
    payment = answer.get("payment") or {}
    rows = [
        ["outcome", answer["outcome"] + (", pended" if answer.get("pended") else "")],
        ["said", answer["disposition"]],
        ["paid", _money(answer["paid"])],
        ["patient owes", _money(answer.get("patient"))],
        ["payment", " ".join(filter(None, (payment.get("day"), payment.get("number"))))],
        ["authorised", " ".join(filter(None, (answer.get("authorization"), days)))],
    ]
    rows += [[f"line {n['sequence']}", _decision(n)] for n in answer["lines"]]
    rows += [["errors", ", ".join(answer["errors"])], ["notes", "; ".join(answer.get("texts", ()))]]
    rows += [["asked for", _request(request)] for request in answer.get("requests", ())]
    return section("answer", [r for r in rows if r[1]])


def _money(amount: Json | None) -> str:
    return f"{amount['currency']} {amount['value']}".strip() if amount else ""


def _decision(line: Json) -> str:
    """What was decided on a line: denied or pended, the review code, amounts, number, reasons with their words."""
    amounts = [f"{word} {line[key]['value']}" for key, word in _LINE_AMOUNTS if line.get(key)]
    words = ["denied" if line["denied"] else "pended" if line.get("pended") else "", line.get("review", "")]
    reasons = [", ".join(line["reasons"]), "; ".join(line.get("texts", ()))]
    return " ".join(filter(None, [*words, *amounts, line.get("authorization", ""), *reasons]))


_LINE_AMOUNTS = (("allowed", "allowed"), ("paid", "paid"), ("patient", "patient owes"))


def _request(request: Json) -> str:
    """What a payer asks for: documents or a questionnaire, for which lines, and by when."""
    lines = f"for line {', '.join(map(str, request['lines']))}" if request["lines"] else ""
    due = f"by {request['due']}" if request["due"] else ""
    return " ".join(filter(None, [request["kind"], ", ".join(request["codes"]), lines, due]))


def _plural(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
