"""The sandbox's pages: the claims it holds, each as it came and as it was answered. No scripts, nothing foreign."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import codes, member, objects, read_json, text
from fhir_coder.payers.review import review_of
from fhir_coder.payers.sandbox.adjudicate import DECISIONS, decision_of
from fhir_coder.payers.sandbox.control import shown_faults, shown_subscriptions
from fhir_coder.payers.sandbox.desk import Desk
from fhir_coder.payers.sandbox.faults import FaultPlan
from fhir_coder.payers.sandbox.notices import Notifier
from fhir_coder.payers.sandbox.search import Condition, Search, token
from fhir_coder.payers.sandbox.store import KeptClaim, Submission

_FOLDER = Path(__file__).parent / "templates"
_PAGES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_SHOWN = 50


def page_routes(desk: Desk, plan: FaultPlan, notifier: Notifier) -> APIRouter:
    """The routes below `/_sandbox` that people use."""
    router = APIRouter()

    @router.get("/")
    def overview(request: Request) -> Response:
        told = _overview(desk, request)
        told |= {"faults": shown_faults(plan), "subscriptions": shown_subscriptions(notifier)}
        return _page("overview.html", told)

    @router.get("/claims/{claim_id}")
    def claim(claim_id: str) -> Response:
        kept = desk.books.by_id(claim_id)
        return _page("claim.html", _claim(desk, kept)) if kept else _page("missing.html", {}, 404)

    @router.get("/submissions/{number}")
    def submission(number: str) -> Response:
        wanted = int(number) if number.isdecimal() and len(number) < 16 else 0
        found = desk.books.submissions("number = ?", wanted)
        return _page("submission.html", _submission(found[0])) if found else _page("missing.html", {}, 404)

    @router.get("/sandbox.css")
    def style() -> Response:
        return Response((_FOLDER / "sandbox.css").read_bytes(), media_type="text/css")

    return router


def _page(template: str, told: Json, status: int = 200) -> Response:
    return HTMLResponse(_PAGES.get_template(template).render(told), status, _HEADERS)


def _overview(desk: Desk, request: Request) -> Json:
    asked = {name: request.query_params.get(name, "").strip() for name in ("identifier", "decision")}
    before = request.query_params.get("before", "")
    now = desk.clock()
    conditions = list(_conditions(asked, now.isoformat()))
    total = desk.books.count(Search(conditions, ()).where)
    if before.isdecimal() and len(before) < 16:
        conditions.append(Condition("number < ?", (int(before),)))
    found = desk.books.latest(Search(conditions, ()).where, _SHOWN + 1)
    older = [(name, value) for name, value in asked.items() if value]
    return {
        "asked": asked,
        "decisions": DECISIONS,
        "counts": desk.books.decisions(now),
        "total": total,
        "claims": [_row(desk, kept) for kept in found[:_SHOWN]],
        "older": urlencode([*older, ("before", found[_SHOWN - 1].id)]) if len(found) > _SHOWN else "",
        "submissions": desk.books.submissions("1", limit=20),
        "rules": _rules(desk),
        "now": _time(now.isoformat()),
    }


def _conditions(asked: Json, now: str) -> list[Condition]:
    found = []
    if asked["identifier"]:
        system, value = token(asked["identifier"])
        found.append(Condition("value = ?", (value,)) if system is None else _named(system, value))
    if asked["decision"] == "queued":
        found.append(Condition("decided_at > ?", (now,)))
    elif asked["decision"]:
        found.append(Condition("decided_at <= ? AND decision = ?", (now, asked["decision"])))
    return found


def _named(system: str, value: str) -> Condition:
    return Condition("system = ? AND value = ?", (system, value))


def _row(desk: Desk, kept: KeptClaim) -> Json:
    response, times = desk.response_of(kept), desk.books.arrivals(kept.name)
    return {
        "id": kept.id,
        "system": kept.name[0],
        "value": kept.name[1],
        "use": text(kept.claim, "use"),
        "lines": len(objects(kept.claim, "item")),
        "received": len(times),
        "at": _time(times[-1]) if times else "",
        "decision": decision_of(response),
        "paid": _money(member(response, "payment", "amount")),
        "replaced_by": kept.replaced_by,
    }


def _claim(desk: Desk, kept: KeptClaim) -> Json:
    response = desk.response_of(kept)
    return _row(desk, kept) | {
        "disposition": text(response, "disposition"),
        "decided_at": _time(kept.decided_at.isoformat()),
        "items": [_line(line, response) for line in objects(kept.claim, "item")],
        "submissions": desk.books.submissions("system = ? AND value = ?", *kept.name),
        "claim_json": _pretty(kept.claim),
        "response_json": _pretty(response),
    }


def _line(line: Json, response: Json) -> Json:
    decided = next((i for i in objects(response, "item") if i.get("itemSequence") == line.get("sequence")), {})
    told = {code: entry for entry in objects(decided, "adjudication") for code in codes(entry.get("category"))}
    reasons = [c for entry in objects(decided, "adjudication") for c in codes(entry.get("reason"))]
    review = review_of(decided)
    return {
        "sequence": line.get("sequence"),
        "codes": ", ".join(codes(line.get("productOrService"))),
        "net": _money(member(line, "net")),
        "allowed": _money(member(told.get("eligible"), "amount")),
        "paid": _money(member(told.get("benefit"), "amount")),
        "reasons": ", ".join(reasons) or " ".join(_notes(decided, response)),
        "review": " ".join(filter(None, (review.code, review.number))),
    }


def _notes(decided: Json, response: Json) -> list[str]:
    """The words of the notes that a line of the response names."""
    wanted = decided.get("noteNumber") or []
    return [text(note, "text") for note in objects(response, "processNote") if note.get("number") in wanted]


def _submission(one: Submission) -> Json:
    return {
        "one": one,
        "at": _time(one.at.isoformat()),
        "headers": sorted(one.headers.items()),
        "body": _as_text(one.body),
        "reply": _as_text(one.reply),
    }


def _as_text(body: bytes) -> str:
    value = read_json(body)
    return body.decode("utf-8", "replace") if value is None else _pretty(value)


def _pretty(value: Any) -> str:
    return to_bytes(value, indent=True).decode("utf-8", "replace")


def _money(amount: Json) -> str:
    return f"{amount['value']} {text(amount, 'currency')}".strip() if "value" in amount else ""


def _time(moment: str) -> str:
    """To the second, as people read it; UTC."""
    return moment[:19].replace("T", " ")


def _rules(desk: Desk) -> list[tuple[str, str]]:
    """The rules in force, in words; lists by how long they are."""
    rules = desk.rules
    return [
        ("paid of what is allowed", f"{rules.paid_percent} %"),
        ("members", f"{len(rules.members)} listed" if rules.members else "everyone"),
        ("covered codes", f"{len(rules.covered_codes)} listed" if rules.covered_codes else "all"),
        ("denied codes", ", ".join(sorted(rules.denied_codes)) or "none"),
        ("codes with a fee", str(len(rules.fees)) if rules.fees else "none"),
        ("codes that need an authorization", ", ".join(sorted(rules.authorization_codes)) or "none"),
        ("repeated services", "denied" if rules.deny_duplicates else "not looked for"),
        ("waits for its decision", f"{rules.pend_seconds:g} s" if rules.pend_seconds else "never"),
        ("login", f"{len(rules.clients)} clients, tokens for {rules.token_seconds} s" if rules.clients else "none"),
    ]
