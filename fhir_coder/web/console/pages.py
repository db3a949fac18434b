"""Rendering a page: templates, links, what a page is told of its viewer, error pages."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from fhir_coder import __version__
from fhir_coder.errors import FhirCoderError, NotFoundError
from fhir_coder.logs import error_name, error_place, log
from fhir_coder.web.console.menu import MENU, entry_of
from fhir_coder.web.console.shown import FILTERS
from fhir_coder.web.console.site import PREFIX
from fhir_coder.web.console.static import static_path
from fhir_coder.web.console.viewer import viewer_of
from fhir_coder.web.refusal import RefusalError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a page: nothing but what this server serves, nothing inline."""
_HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
"""With `no-referrer` a browser would send `Origin: null` with our own forms."""

DONE: dict[str, str] = {"saved": "Saved."}
"""What a page says after a form was sent, by the word in its URL; each family adds its own."""

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters.update(FILTERS)


def page(request: Request, template: str, title: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page from its template. `title` stands in the window's title and never names a person.

    Every template may use `url`, `viewer`, `now`, `menu`, `path`, `here` (its menu entry), `done` and `values`.
    """
    path = request.url.path.removeprefix(request.scope.get("root_path", "")).removeprefix(PREFIX) or "/"
    told = {
        "title": title,
        "url": partial(link, request),
        "static": lambda name: link(request, static_path(name), within=""),
        "viewer": viewer_of(request),
        "now": datetime.now(UTC),
        "menu": MENU,
        "path": path,
        "here": entry_of(path),
        "done": DONE.get(request.query_params.get("done", ""), ""),
        "version": __version__,
    }
    text = _PAGES.get_template(template).render({**told, **values})
    return HTMLResponse(text, status_code=status, headers=_HEADERS)


def link(request: Request, path: str, /, *, within: str = PREFIX, **query: Any) -> str:
    """The address of a page; what is empty of the query is left out."""
    said = {name: text for name, value in query.items() if (text := "" if value is None else str(value))}
    asked = f"?{urlencode(said)}" if said else ""
    return f"{request.scope.get('root_path', '')}{within}{path}{asked}"


def see_other(request: Request, path: str, **query: Any) -> RedirectResponse:
    """The answer to a form that was sent: go and look there. Reloading that page does nothing twice."""
    return RedirectResponse(link(request, path, **query), status_code=303, headers={"Cache-Control": "no-store"})


async def _read_form(request: Request) -> FormData:
    return await request.form()


Form = Annotated[FormData, Depends(_read_form)]
"""What a form sent, for a page that is a plain function (it runs on a thread of its own, not on the loop)."""


def command_line(*words: object) -> str:
    """A command as it is typed into a shell; `None` and empty words are left out."""
    return shlex.join(["fhir-coder", *(str(word) for word in words if word not in (None, ""))])


def error_page(request: Request, status: int, text: str) -> HTMLResponse:
    """A page that says what did not work, and where to go on."""
    titles = {404: "Not found", 403: "Not allowed", 500: "Something failed"}
    return page(request, "console/error.html", titles.get(status, "Not done"), status=status, text=text)


class PageRoute(APIRoute):
    """A route whose faults are pages; a form that was sent from another site is refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler that FastAPI calls, with the faults turned into pages."""
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            if _is_foreign(request):
                return error_page(request, 403, "This form was sent from another site: nothing was done.")
            try:
                return await answer(request)
            except NotFoundError as error:
                return error_page(request, 404, str(error))
            except FhirCoderError as error:
                return error_page(request, 400, str(error))
            except (RequestValidationError, HTTPException) as error:
                return error_page(request, 400, _fault_of(error))
            except RefusalError:
                raise
            except Exception as error:
                log.error("page_failed", error=error_name(error), where=error_place(error))
                return error_page(request, 500, "This page could not be made. The service's log says where it failed.")

        return guarded


def _fault_of(error: RequestValidationError | HTTPException) -> str:
    """What is wrong with a form; the values that it was sent with are not repeated."""
    if isinstance(error, HTTPException):
        return "The form cannot be read: it may be larger than 1 MB."
    fields = ", ".join(str(fault["loc"][-1]) for fault in error.errors())
    return f"The form was sent without what it needs: {fields}."


def page_router(**options: Any) -> APIRouter:
    """A router for pages."""
    return APIRouter(route_class=PageRoute, default_response_class=HTMLResponse, **options)


def _is_foreign(request: Request) -> bool:
    """Whether another site's page had the browser send this; browsers say so (Fetch metadata), older ones by Origin."""
    if request.method in ("GET", "HEAD"):
        return False
    site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "")
    if site:
        return site not in ("same-origin", "none")
    return bool(origin) and urlsplit(origin).netloc != request.headers.get("host", "")
