"""Claims: the list, one claim with the story of each code, its attempts and answer, and what a person may order."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Form, Request, Response

from fhir_coder.errors import NotFoundError, UsageError
from fhir_coder.model import ClaimStatus
from fhir_coder.queries import ClaimSearch, claim_story, list_claims, order_claims, submission_of
from fhir_coder.screens import wire_text
from fhir_coder.store.claim_actions import Order
from fhir_coder.web.console.claim_body import claim_body, steps_of
from fhir_coder.web.console.listing import PAGE, Field, Filters, Listing
from fhir_coder.web.console.pages import DONE, command_line, page, page_router, see_other
from fhir_coder.web.console.sealed import seal
from fhir_coder.web.console.site import site_of
from fhir_coder.web.console.viewer import viewer_of
from fhir_coder.web.console.views import viewed

VIEWS = (("claim", "Claim"), ("fhir", "FHIR JSON"), ("wire", "Requests and answers"))
GROUPS = (
    ("sent,unknown,queued", "at the payer"),
    ("ready,sent,unknown,queued", "on the way"),
    ("complete,partial,denied", "answered"),
)
"""Statuses that are looked for together, with their words."""
ORDERS = {
    "resubmit": "Send again",
    "hold": "Hold",
    "release": "Release",
    "cancel": "Cancel",
    "taken": "The payer has it",
}
"""What a person may order, with the words of its button."""

DONE.update(ordered="Done. The claim's story shows it.", nothing="Nothing was done: see the claim's status.")


def claims_routes() -> APIRouter:
    """The pages of claims."""
    pages = page_router()
    pages.get("/claims")(_claims)
    pages.get("/claims/{name}")(_claim)
    pages.get("/claims/{name}/{action}")(_order_preview)
    pages.post("/claims/{name}/{action}")(_order)
    return pages


def _claims(request: Request) -> Response:
    site = site_of(request)
    payers = [(payer.name, payer.name) for payer in site.app.settings.payers]
    asked = Filters(
        request,
        "/claims",
        Field("status", "Status", [*((s.value, s.value) for s in ClaimStatus), *GROUPS]),
        Field("payer", "Payer", payers),
        Field("claim", "Claim", hint="CLM-…, to go to one"),
    )
    if asked.text("claim"):
        return see_other(request, f"/claims/{claim_story(site.ledger, asked.text('claim')).row.id}")
    status, payer = asked.text("status"), asked.text("payer")
    before = request.query_params.get("before", "")
    rows = [] if asked.faults else list_claims(site.ledger, status, PAGE + 1, payer=payer, before=before)
    listing = Listing.of(request, rows, lambda row: row.id)
    command = command_line("claims", "list", *asked.options("status", "payer"))
    return page(request, "console/claims.html", "Claims", asked=asked, listing=listing, command=command)


def _claim(request: Request, name: str, view: str = "claim") -> Response:
    ledger = site_of(request).ledger
    story = claim_story(ledger, name)
    row = story.row
    view = view if view in dict(VIEWS) else "claim"
    viewed(request, "claim", row.id, view)
    sent = submission_of(ledger, row.id) if view == "wire" else None
    body = sent.body if sent and sent.body is not None else row.body
    option = {"claim": "", "fhir": "--fhir", "wire": "--wire"}[view]
    return page(
        request,
        "console/claim.html",
        "Claim",
        row=row,
        body=claim_body(row),
        steps=steps_of(story.events, story.attempts),
        others=story.others,
        view=view,
        views=VIEWS,
        lines=_lines(view, row.body, wire_text(story.attempts, body) if view == "wire" else ""),
        orders=_orders(request, row.identifier),
        chart=seal(request, row.chart_key),
        command=command_line("claims", "show", row.identifier, option),
    )


def _lines(view: str, body: bytes, wire: str) -> list[str]:
    if view == "fhir":
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode().split("\n")
    return wire.split("\n") if view == "wire" else []


def _orders(request: Request, identifier: str) -> list[tuple[str, str, str]]:
    """The orders that would do something to a claim now: action, button, and what it does."""
    search = ClaimSearch(names=(identifier,))
    order, ledger = Order(viewer_of(request).name), site_of(request).ledger
    found = [(action, words, order_claims(ledger, action, search, order, do=False)) for action, words in ORDERS.items()]
    return [(action, words, ordered[0].step.does) for action, words, ordered in found if ordered[0].step.does]


def _order_preview(request: Request, name: str, action: str, unseen: str = "") -> Response:
    if action not in ORDERS:
        raise NotFoundError("There is no such page.")
    site = site_of(request)
    row = claim_story(site.ledger, name).row
    search = ClaimSearch(names=(row.identifier,))
    ordered = order_claims(site.ledger, action, search, Order(viewer_of(request).name, unseen=bool(unseen)), do=False)
    may_be_unseen = action == "resubmit" and row.status == ClaimStatus.UNKNOWN and not unseen
    why = ["--why", "WHO SAYS SO"] if action == "taken" else []
    words = ["claims", action, row.identifier, "--unseen" if unseen else "", *why, "--yes"]
    return page(
        request,
        "console/claim_order.html",
        f"{ORDERS[action]}?",
        row=row,
        action=action,
        words=ORDERS[action],
        needs_why=action == "taken",
        step=ordered[0].step,
        unseen=bool(unseen),
        may_be_unseen=may_be_unseen,
        command=command_line(*words),
    )


def _order(
    request: Request,
    name: str,
    action: str,
    why: Annotated[str, Form()] = "",
    unseen: Annotated[str, Form()] = "",
) -> Response:
    if action not in ORDERS:
        raise NotFoundError("There is no such page.")
    if action == "taken" and not why.strip():
        raise UsageError("say who says so, and when: the next person reads it")
    site = site_of(request)
    row = claim_story(site.ledger, name).row
    order = Order(viewer_of(request).name, why.strip(), unseen=bool(unseen))
    done = order_claims(site.ledger, action, ClaimSearch(names=(row.identifier,)), order, do=True)
    site.wake()
    return see_other(request, f"/claims/{row.id}", done="ordered" if done[0].step.does else "nothing")
