"""The console's pages. Read only; identifiers of people do not appear in lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape

from fhir_coder.store import Ledger, items
from fhir_coder.store.counts import counts

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=select_autoescape(default=True)
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'",
    "X-Content-Type-Options": "nosniff",
}

FLOW = (
    ("received", "messages", ("received",)),
    ("charted", "messages", ("charted",)),
    ("held", "claims", ("held",)),
    ("ready", "claims", ("ready",)),
    ("sent", "claims", ("sent", "unknown")),
    ("queued", "claims", ("queued",)),
    ("answered", "claims", ("complete", "partial", "denied")),
)
"""The steps of the flow picture: title, and which statuses it counts."""


def console_routes(ledger: Ledger) -> APIRouter:
    """The console's routes."""
    routes = APIRouter()

    @routes.get("/", response_class=HTMLResponse)
    def today() -> HTMLResponse:
        with ledger.reading() as connection:
            page = _PAGES.get_template("today.html").render(
                **_today(counts(connection)), items=items.open_items(connection)
            )
        return HTMLResponse(page, headers=_HEADERS)

    @routes.get("/console.css")
    def style() -> HTMLResponse:
        text = (Path(__file__).parent / "templates" / "console.css").read_text()
        return HTMLResponse(text, media_type="text/css")

    return routes


def _today(counted: dict[str, Any]) -> dict[str, Any]:
    steps = [(title, sum(counted[kind].get(s, 0) for s in statuses)) for title, kind, statuses in FLOW]
    return {"steps": steps, "counted": counted}
