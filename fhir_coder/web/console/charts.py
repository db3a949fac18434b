"""Charts: the list, and one visit as a timeline of its messages and claims."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from fhir_coder.charts import ChartStatus, TimelineEntry
from fhir_coder.queries import ChartSearch, ChartStory, chart_story, list_charts, request_claims
from fhir_coder.screens_charts import in_place
from fhir_coder.web.console.listing import PAGE, Field, Filters, Listing, read_time
from fhir_coder.web.console.pages import DONE, command_line, page, page_router, see_other
from fhir_coder.web.console.sealed import seal, unseal
from fhir_coder.web.console.site import ConsoleSite, site_of
from fhir_coder.web.console.viewer import viewer_of
from fhir_coder.web.console.views import viewed

DONE.update(billed="Asked for: the visit's claims are made within seconds.")


def charts_routes() -> APIRouter:
    """The pages of charts."""
    pages = page_router()
    pages.get("/charts")(_charts)
    pages.post("/charts/find")(_find)
    pages.get("/charts/{sealed}")(_chart)
    pages.post("/charts/{sealed}/bill")(_bill)
    return pages


def _filters(request: Request) -> Filters:
    time = read_time(viewer_of(request).zone)
    return Filters(
        request,
        "/charts",
        Field("status", "Status", [(s.value, s.value) for s in ChartStatus]),
        Field("since", "Folded since", hint="2h, 3d, 2026-11-03", read=time),
        Field("until", "Folded until", hint="2026-11-03T18:00", read=time),
        Field("patient", "Patient", hint="record number, Patient/1", read=partial(unseal, request), is_secret=True),
    )


def _charts(request: Request) -> Response:
    asked = _filters(request)
    sealed = request.query_params.get("before", "")
    before = unseal(request, sealed) if sealed else ""
    search = ChartSearch(asked.text("status"), asked["since"], asked["until"], asked.text("patient"), before)
    rows = [] if asked.faults else list_charts(site_of(request).ledger, search, PAGE + 1)
    listing = Listing.of(request, rows, lambda row: seal(request, row.key))
    return page(
        request,
        "console/charts.html",
        "Charts",
        asked=asked,
        listing=listing,
        seal=partial(seal, request),
        command=command_line("charts", "list", *asked.options()),
    )


def _find(
    request: Request,
    patient: Annotated[str, Form()] = "",
    status: Annotated[str, Form()] = "",
    since: Annotated[str, Form()] = "",
    until: Annotated[str, Form()] = "",
) -> Response:
    """Search by what names a person: it goes into the URL sealed."""
    sealed = seal(request, patient.strip()) if patient.strip() else ""
    return see_other(request, "/charts", patient=sealed, status=status, since=since, until=until)


def story_of(site: ConsoleSite, key: str, as_of: datetime | None = None) -> ChartStory:
    """A visit as of a time, by default now. Raises NotFoundError."""
    folding = site.app.stages.folding
    return chart_story(site.ledger, folding.chart_anew(key, as_of), folding.messages_of(key, as_of), as_of)


def steps_of(story: ChartStory) -> list[tuple[bool, Any]]:
    """What a timeline shows: whether it is a message, and the message or claim."""
    return [(isinstance(one, TimelineEntry), one) for one in in_place(story)]


def _chart(request: Request, sealed: str, at: str = "") -> Response:
    site, key = site_of(request), unseal(request, sealed)
    as_of = read_time(viewer_of(request).zone)(at) if at else None
    story = story_of(site, key, as_of)
    viewed(request, "chart", key, "timeline")
    return page(
        request,
        "console/chart.html",
        "Chart",
        story=story,
        sealed=sealed,
        moved_to=seal(request, story.moved_to) if story.moved_to else "",
        steps=steps_of(story),
        at=at,
        command=command_line("charts", "show", key, *(("--at", at) if at else ())),
    )


def _bill(request: Request, sealed: str) -> Response:
    site = site_of(request)
    request_claims(site.ledger, unseal(request, sealed), viewer_of(request).name)
    site.wake()
    return see_other(request, f"/charts/{sealed}", done="billed")
