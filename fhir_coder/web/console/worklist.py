"""The worklist: what waits for a decision, by queue, in the order it is wanted; taking the next item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from fhir_coder.model import Care, ItemStatus
from fhir_coder.web.console.listing import Field, Filters, Listing
from fhir_coder.web.console.pages import DONE, command_line, page, page_router, see_other
from fhir_coder.web.console.sealed import seal
from fhir_coder.web.console.site import site_of
from fhir_coder.web.console.viewer import viewer_of
from fhir_coder.worklist import Queue, QueueCount, list_items, queues, take_next

_NAMES = ("care", "specialty", "payer", "kind", "reason", "status", "taken_by", "assigned_to")
DONE.update({"none-free": "Nothing is free in this queue: it is empty, or others have what is in it."})


def worklist_routes() -> APIRouter:
    """The list of work items."""
    pages = page_router()
    pages.get("/worklist")(_worklist)
    pages.post("/worklist/next")(_next)
    return pages


def _filters(request: Request, found: Sequence[QueueCount]) -> Filters:
    payers = [(payer.name, payer.name) for payer in site_of(request).app.settings.payers]
    me = viewer_of(request).name
    kinds = sorted({one.kind for one in found} | {request.query_params.get("kind", "")} - {""})
    return Filters(
        request,
        "/worklist",
        Field("status", "Status", [(s.value, s.value) for s in ItemStatus if s != ItemStatus.OPEN], unset="open"),
        Field("kind", "Kind", [(kind, kind) for kind in kinds]),
        Field("care", "Care", [(care.value, care.value) for care in Care]),
        Field("payer", "Payer", [*payers, ("several", "several")]),
        Field("specialty", "Specialty", hint="as the queues name it"),
        Field("reason", "Reason", hint="no_table"),
        Field("taken_by", "With", [(me, "me")]),
        Field("assigned_to", "Assigned to", [(me, "me")]),
    )


def queue_of(asked: Filters) -> Queue:
    """The queue that a list was asked for; without a status it is what is open."""
    said = {name: asked.text(name) for name in _NAMES}
    return Queue(**said | {"status": said["status"] or ItemStatus.OPEN.value})


def _worklist(request: Request) -> Response:
    site = site_of(request)
    open_now = queues(site.ledger)
    asked = _filters(request, open_now)
    after = request.query_params.get("after", "")
    found = list_items(site.ledger, queue_of(asked), after=after)
    return page(
        request,
        "console/worklist.html",
        "Worklist",
        asked=asked,
        listing=Listing(found.items, found.after, not after, "after"),
        queues=[(_query(one), one) for one in open_now],
        me=viewer_of(request).name,
        command=command_line("work", "list", *_options(asked)),
        take_command=command_line("work", "take", *_options(asked, "care", "specialty", "payer", "kind")),
    )


def _options(asked: Filters, *names: str) -> list[str]:
    return asked.options(*(names or ("status", "kind", "care", "payer", "specialty", "reason")))


def _query(one: Any) -> dict[str, str]:
    return {name: getattr(one, name) for name in ("care", "specialty", "payer", "kind") if getattr(one, name)}


def _next(
    request: Request,
    care: Annotated[str, Form()] = "",
    specialty: Annotated[str, Form()] = "",
    payer: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    queue = Queue(care, specialty, payer, kind, reason)
    item = take_next(site_of(request).ledger, viewer_of(request).name, queue)
    if item is None:
        said = {"care": care, "specialty": specialty, "payer": payer, "kind": kind, "reason": reason}
        return see_other(request, "/worklist", **said, done="none-free")
    return see_other(request, f"/worklist/{item.id}", chart=seal(request, item.chart_key) if item.chart_key else "")
