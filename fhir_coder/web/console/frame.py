"""What is around the pages: light or dark, the viewer's zone, and the answer for a path that is no page."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request, Response

from fhir_coder.errors import NotFoundError
from fhir_coder.web.console.pages import page, page_router, see_other
from fhir_coder.web.console.site import PREFIX
from fhir_coder.web.console.viewer import THEME_COOKIE, THEMES, ZONE_COOKIE, zones

_YEAR = 365 * 86400


def frame_routes() -> APIRouter:
    """Display settings, and the page for what is not there."""
    pages = page_router()

    @pages.get("/display")
    def display(request: Request) -> Response:
        return page(request, "console/display.html", "Display", themes=THEMES, zones=zones())

    @pages.post("/display")
    def set_display(
        request: Request,
        theme: Annotated[str, Form()] = "",
        zone: Annotated[str, Form()] = "",
        back: Annotated[str, Form()] = "",
    ) -> Response:
        answer = see_other(request, _page_of(back), done="saved")
        chosen = ((THEME_COOKIE, theme, THEMES), (ZONE_COOKIE, zone, zones()))
        for cookie, value, known in chosen:
            if value in known:
                answer.set_cookie(cookie, value, max_age=_YEAR, path=PREFIX, samesite="lax", secure=_is_tls(request))
        return answer

    @pages.get("/{path:path}")
    def nothing_there() -> Response:
        raise NotFoundError("There is no such page.")

    return pages


def _page_of(path: str) -> str:
    """The console's page that a form was sent from; the display page where it does not say."""
    return path if path.startswith("/") and not urlsplit(path).netloc else "/display"


def _is_tls(request: Request) -> bool:
    return request.url.scheme == "https"
