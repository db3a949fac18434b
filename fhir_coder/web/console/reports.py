"""Reports: what became of the claims of some days, and what payers deny."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from fhir_coder.denials import MOST_CHECKED, make_denials
from fhir_coder.errors import FhirCoderError
from fhir_coder.report import COLUMNS, MONEY, Report, charts_of, legend, make_report, shown, svg
from fhir_coder.report.page import TITLES
from fhir_coder.web.console.listing import Field, Filters
from fhir_coder.web.console.pages import command_line, page, page_router
from fhir_coder.web.console.site import ConsoleSite, site_of

_DAYS = 30
_DENIED_DAYS = (30, 90, 365)
_KEPT_SECONDS = 300
"""How long denials stay as they were counted: some hundred claims are checked again for them."""


def report_routes() -> APIRouter:
    """The pages of reports."""
    pages = page_router()
    pages.get("/report")(_report)
    pages.get("/denials")(_denials)
    return pages


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise FhirCoderError("write a day as 2026-11-03") from None


def _payers(site: ConsoleSite) -> list[tuple[str, str]]:
    return [(payer.name, payer.name) for payer in site.app.settings.payers]


def _report(request: Request) -> Response:
    site = site_of(request)
    asked = Filters(
        request,
        "/report",
        Field("from", "From", hint="2026-11-01", read=_day),
        Field("to", "To", hint="2026-11-30", read=_day),
        Field("payer", "Payer", _payers(site)),
    )
    zone = site.app.settings.site.time_zone
    end = asked["to"] or site.ledger.clock().astimezone(ZoneInfo(zone)).date()
    start = asked["from"] or end - timedelta(days=_DAYS - 1)
    made = make_report(site.ledger, zone, start, end, asked.text("payer"))
    options = ("--from", start.isoformat(), "--to", end.isoformat(), *asked.options("payer"))
    return page(
        request,
        "console/report.html",
        "Report",
        asked=asked,
        report=made,
        charts=_drawn(made),
        heads=[TITLES[name] for name in COLUMNS],
        columns=COLUMNS,
        money=MONEY,
        rows=_rows(made),
        command=command_line("report", *options),
    )


def _drawn(made: Report) -> list[tuple[str, str, Markup]]:
    """Each chart's title, what it says, and its picture: made of numbers and fixed words alone."""
    found = enumerate(charts_of(made), start=1)
    return [(one.title, one.says, Markup(legend(one) + svg(one, f"chart-{number}"))) for number, one in found]


def _rows(made: Report) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Day, payer, currency and figures: all of them, then by payer, then by day."""
    rows = [("all", "", currency, shown(found)) for currency, found in made.totals()]
    rows += [("all", name, currency, shown(found)) for name, currency, found in made.summed("payer")]
    return rows + [(row.day.isoformat(), row.payer, row.currency, shown(row.figures)) for row in reversed(made.rows)]


def _denials(request: Request) -> Response:
    site = site_of(request)
    spans = [(f"{days}d", f"{days} days") for days in _DENIED_DAYS]
    fields = (Field("since", "Decided within", spans, unset="90 days"), Field("payer", "Payer", _payers(site)))
    asked = Filters(request, "/denials", *fields)
    span, payer = asked.text("since") or "90d", asked.text("payer")

    def count() -> Any:
        since = site.ledger.clock() - timedelta(days=int(span.removesuffix("d")))
        return make_denials(site.ledger, site.app.checked_again.findings, since, payer, MOST_CHECKED)

    return page(
        request,
        "console/denials.html",
        "Denials",
        asked=asked,
        found=site.counted(f"denials {span} {payer}", count, _KEPT_SECONDS, patience=5.0),
        command=command_line("denials", "--since", span, *asked.options("payer")),
    )
