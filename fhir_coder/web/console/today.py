"""Today: the flow at a glance, what waits for a person, feeds and payers, the month's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from fhir_coder.model import ItemStatus
from fhir_coder.queries import Denials, Pulse, denials_since, pulse
from fhir_coder.report import Figures, make_report
from fhir_coder.web.console.flow import flow_boxes
from fhir_coder.web.console.pages import command_line, page, page_router
from fhir_coder.web.console.site import ConsoleSite, site_of
from fhir_coder.worklist import Queue, QueueCount, WorkItem, counts_by_status, list_items, queues

_DAYS = 30
_SHOWN_ITEMS = 8


@dataclass(frozen=True, slots=True)
class DayFigure:
    """The share of a day's claims that were coded without a person, None where no claim was coded."""

    day: date
    percent: Decimal | None
    claims: int


@dataclass(frozen=True, slots=True)
class Month:
    """The last thirty days: coded without a person by day, all of them, and denials by payer and reason."""

    days: tuple[DayFigure, ...]
    percent: Decimal | None
    denials: tuple[Denials, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person: how much by status, by queue, and the items that are wanted first."""

    by_status: dict[str, int]
    queues: tuple[QueueCount, ...]
    first: tuple[WorkItem, ...]


def today_routes() -> APIRouter:
    """The first page."""
    pages = page_router()
    pages.get("/")(_today)
    return pages


def _today(request: Request) -> Response:
    return today_page(request, "console/today.html")


def today_page(request: Request, template: str) -> Response:
    """Today as a page, or its parts that change as it is looked at."""
    site = site_of(request)
    now = site.counted("pulse", lambda: count_pulse(site), 2)
    return page(
        request,
        template,
        "Today",
        pulse=now,
        boxes=flow_boxes(now) if now else [],
        midnight=midnight(site.app.settings.site.time_zone).strftime("%Y-%m-%dT%H:%M:%SZ"),
        waiting=site.counted("waiting", lambda: _waiting(site), 2),
        month=site.counted("month", lambda: _month(site), 300),
        command=command_line("status"),
    )


def count_pulse(site: ConsoleSite) -> Pulse:
    """How things are now, counted."""
    settings = site.app.settings
    feeds, payers = [feed.name for feed in settings.feeds], [payer.name for payer in settings.payers]
    return pulse(site.ledger, feeds, payers, midnight(settings.site.time_zone))


def midnight(zone: str) -> datetime:
    """When the day began at the site."""
    now = datetime.now(ZoneInfo(zone))
    return now.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _waiting(site: ConsoleSite) -> Waiting:
    first = list_items(site.ledger, Queue(), _SHOWN_ITEMS)
    by_status = counts_by_status(site.ledger)
    by_status.setdefault(ItemStatus.OPEN.value, 0)
    return Waiting(by_status, tuple(queues(site.ledger)[:_SHOWN_ITEMS]), first.items)


def _month(site: ConsoleSite) -> Month:
    settings = site.app.settings
    zone = settings.site.time_zone
    today = site.ledger.clock().astimezone(ZoneInfo(zone)).date()
    report = make_report(site.ledger, zone, today - timedelta(days=_DAYS - 1), today)
    every, by_day = Figures(), {report.start + timedelta(days=n): Figures() for n in range(_DAYS)}
    for row in report.rows:
        every.add(row.figures)
        by_day[row.day].add(row.figures)
    denials = denials_since(site.ledger, site.ledger.clock() - timedelta(days=_DAYS))
    return Month(tuple(_days(by_day)), every.automatic_percent, tuple(denials))


def _days(by_day: dict[date, Figures]) -> Iterator[DayFigure]:
    for day, counted in by_day.items():
        yield DayFigure(day, counted.automatic_percent, counted.received - counted.waiting)
