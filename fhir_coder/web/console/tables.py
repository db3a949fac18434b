"""Mapping tables: which are in use, their versions, their rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from fastapi import APIRouter, Request, Response

from fhir_coder.activation import known_versions
from fhir_coder.errors import NotFoundError
from fhir_coder.screens_tables import days_text
from fhir_coder.terminology.rows import cells_of
from fhir_coder.terminology.table import MappingTable, Row
from fhir_coder.web.console.listing import PAGE, Field, Filters, Listing
from fhir_coder.web.console.pages import command_line, page, page_router
from fhir_coder.web.console.site import site_of

_KEPT_SECONDS = 10
_LARGE = 20_000
"""Rows from which on a table's rows are shown by code only."""
_ANSWER = frozenset(
    {"source_code", "display", "target_system", "target_code", "unit_price", "note", "priority", "group"}
)
"""Cells that a page shows in columns of their own, or not; the others are what a row asks for or brings along."""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of a table: what it asks for besides its code (name and text), its answer, the price and the note."""

    line: int
    code: str
    display: str
    asks: tuple[tuple[str, str], ...]
    target: str
    price: str
    note: str


def tables_routes() -> APIRouter:
    """The pages of tables."""
    pages = page_router()
    pages.get("/tables")(_tables)
    pages.get("/tables/{name}")(_table)
    return pages


def _tables(request: Request) -> Response:
    site = site_of(request)
    listed = sorted(site.app.workplace.rulebook().tables.describe(), key=lambda one: (one.layer, one.kind, one.id))
    return page(request, "console/tables.html", "Tables", tables=listed, command=command_line("tables", "list"))


def _table(request: Request, name: str) -> Response:
    site = site_of(request)
    tables = site.app.workplace.rulebook().tables
    summary = next((one for one in tables.describe() if one.id == name), None)
    table = tables.table(name)
    if summary is None or table is None:
        raise NotFoundError("No table in use has this id.")
    is_large = len(table) > _LARGE
    asked = Filters(request, f"/tables/{name}", Field("code", "Source code" if is_large else "Source code begins with"))
    after = request.query_params.get("before", "")
    rows = _rows(table, asked.text("code"), int(after) if after.isdecimal() else 0, is_large=is_large)
    versions = site.counted("versions", lambda: known_versions(site.app.settings), _KEPT_SECONDS, patience=2.0) or []
    return page(
        request,
        "console/table.html",
        name,
        summary=summary,
        header=table.header,
        asked=asked,
        is_large=is_large,
        listing=Listing.of(request, list(islice(map(_shown, rows), PAGE + 1)), lambda row: row.line),
        versions=[(one, days_text(one.days)) for one in versions if one.table.id == name],
        command=command_line("tables", "versions", name),
    )


def _rows(table: MappingTable, code: str, after: int, *, is_large: bool) -> list[Row]:
    """The rows after a line, in the order of their lines: of a large table those of one code alone."""
    if is_large:
        found = list(table.rows.get(code, ()))
    else:
        found = [row for rows in table.by_code() for row in rows if row.source_code.startswith(code)]
    return sorted((row for row in found if row.line > after), key=lambda row: row.line)


def _shown(row: Row) -> ShownRow:
    cells = cells_of(row)
    asks = tuple((name.replace("_", " "), text) for name, text in cells.items() if name not in _ANSWER)
    target = " ".join(filter(None, (cells.get("target_system", ""), cells["target_code"])))
    return ShownRow(row.line, row.source_code, row.display, asks, target, cells.get("unit_price", ""), row.note)
