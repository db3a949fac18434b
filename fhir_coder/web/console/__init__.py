"""The console: pages for people, rendered on the server, the same functions behind them as behind the commands.

How a page is added:

1. A module of this package for the page's family, with one function `NAME_routes() -> APIRouter`, made by
   `page_router()`, listed in `_FAMILIES` below. A page is a plain function that returns `page(request, TEMPLATE, TITLE,
   Shown(...), **values)`; what has happened after a form was sent is answered by `see_other(request, PATH, done=WORD)`
   where WORD is one of `pages.DONE`. `site_of(request)` gives the `App` (settings, ledger, stages, tables) and `wake()`
   for the workers; `viewer_of(request)` who asks. An exception of `fhir_coder.errors` becomes an error page by itself.
2. A place in the menu: one line in `menu.MENU` (title, path, shortcut).
3. A template in `web/templates/console/`, which extends `base.html` and draws by the macros of `ui.html`:
   `{% extends "console/base.html" %}{% import "console/ui.html" as ui with context %}`. No inline script, no `style`.
   Links by `url("/feeds", feed=name)` (empty values are left out), forms that change something with `ui.csrf()`.
4. A list is `Listing.of(rows, limit, key)`; it pages by key: `before` in the URL. A filter form is a `Filters`, whose
   state is the URL. What names a person (chart key, record number) goes into a URL sealed: `seal(request, text)`,
   `unseal(request, text)`; in lists it is shown by `ui.masked(text)`.
5. Styles: tokens and components of `web/static/console.css`; scripts: `web/static/console.js`, by `data-` attributes.
6. Tests: `tests/browser` (fixtures `site`, `browser_page`; each page is in `PAGES` there, which are all checked by axe
   and at 360 and 1440 px), and a line in `tests/bench/console.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from fhir_coder.web.console.charts import charts_routes
from fhir_coder.web.console.claims import claims_routes
from fhir_coder.web.console.engine import engine_routes
from fhir_coder.web.console.frame import frame_routes
from fhir_coder.web.console.live import live_routes
from fhir_coder.web.console.messages import messages_routes
from fhir_coder.web.console.pages import page_router
from fhir_coder.web.console.reports import report_routes
from fhir_coder.web.console.site import PREFIX, ConsoleSite
from fhir_coder.web.console.static import static_routes
from fhir_coder.web.console.tables import tables_routes
from fhir_coder.web.console.today import today_routes
from fhir_coder.web.console.work_item import work_item_routes
from fhir_coder.web.console.worklist import worklist_routes

_FAMILIES: tuple[Callable[[], APIRouter], ...] = (
    today_routes,
    live_routes,
    worklist_routes,
    work_item_routes,
    claims_routes,
    charts_routes,
    messages_routes,
    report_routes,
    tables_routes,
    engine_routes,
    frame_routes,
)
"""The pages by family. `frame_routes` is the last one: it answers for every path that no other has."""


def console_routes() -> APIRouter:
    """All pages, and what they load."""
    routes = page_router(prefix=PREFIX)
    for family in _FAMILIES:
        routes.include_router(family())
    every = APIRouter()
    every.include_router(static_routes())
    every.include_router(routes)
    return every


__all__ = ["ConsoleSite", "console_routes"]
