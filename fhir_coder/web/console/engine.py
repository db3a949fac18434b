"""What the engineer looks at: feeds, payers, the settings in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from fhir_coder.errors import NotFoundError, UsageError
from fhir_coder.feeds_try import try_bytes
from fhir_coder.payers.handshake import is_passed, shake_hands
from fhir_coder.queries import FeedPulse, PayerPulse
from fhir_coder.screens_messages import one_line
from fhir_coder.settings import Feed, FhirFeed, FolderFeed, MllpFeed, PayerSettings
from fhir_coder.settings.shown import ShownKey, settings_shown
from fhir_coder.web.console.pages import command_line, page, page_router
from fhir_coder.web.console.site import ConsoleSite, site_of
from fhir_coder.web.console.today import count_pulse

_MOST_TRIED = 1 << 20
"""Characters of messages that may be pasted at once."""


@dataclass(frozen=True, slots=True)
class ShownFeed:
    """A feed: where it takes messages, and how it does; `pulse` is None while it is being counted."""

    feed: Feed
    where: str
    pulse: FeedPulse | None


@dataclass(frozen=True, slots=True)
class ShownPayer:
    """A payer: its settings, and how it does; `pulse` is None while it is being counted."""

    payer: PayerSettings
    pulse: PayerPulse | None


def engine_routes() -> APIRouter:
    """The pages of feeds, payers and settings."""
    pages = page_router()
    pages.get("/feeds")(_feeds)
    pages.get("/feeds/{name}")(_feed)
    pages.post("/feeds/{name}")(_try)
    pages.get("/payers")(_payers)
    pages.get("/payers/{name}")(_payer)
    pages.post("/payers/{name}/test")(_test)
    pages.get("/settings")(_settings)
    return pages


def _where(feed: Feed, site: ConsoleSite) -> str:
    http = site.app.settings.http
    if isinstance(feed, MllpFeed):
        return f"{feed.host}:{feed.port}{' (TLS)' if feed.tls_cert else ''}"
    if isinstance(feed, FolderFeed):
        return str(feed.path)
    if isinstance(feed, FhirFeed):
        return f"{feed.url}{f' ({feed.bulk} export)' if feed.bulk else ''}"
    return f"{http.host}:{http.port}/feeds/{feed.name}/hl7v2 and /fhir"


def _shown_feeds(site: ConsoleSite) -> list[ShownFeed]:
    now = site.counted("pulse", lambda: count_pulse(site), 2)
    pulses = {one.name: one for one in now.feeds} if now else {}
    return [ShownFeed(feed, _where(feed, site), pulses.get(feed.name)) for feed in site.app.settings.feeds]


def _feeds(request: Request) -> Response:
    site = site_of(request)
    return page(request, "console/feeds.html", "Feeds", feeds=_shown_feeds(site), command=command_line("feeds", "list"))


def _found_feed(site: ConsoleSite, name: str) -> ShownFeed:
    found = next((one for one in _shown_feeds(site) if one.feed.name == name), None)
    if found is None:
        raise NotFoundError("The settings have no feed of this name.")
    return found


def _keys_of(site: ConsoleSite, title: str) -> tuple[ShownKey, ...]:
    """The settings of a feed or payer."""
    return next((one.keys for one in settings_shown(site.app.settings) if one.title == title), ())


def _feed(request: Request, name: str) -> Response:
    return _feed_page(request, name, [])


def _try(request: Request, name: str, messages: Annotated[str, Form(max_length=_MOST_TRIED)] = "") -> Response:
    """What pasted messages say by the feed's rules. Nothing is stored, and nothing of it goes into an address."""
    site = site_of(request)
    _found_feed(site, name)
    if not messages.strip():
        raise UsageError("Paste a message, or several.")
    data = messages.strip().replace("\r\n", "\r").replace("\n", "\r").encode()
    if data.startswith((b"{", b"[")):
        data = messages.strip().encode()
    tried = try_bytes(data, "pasted", site.app.rulebook, name)
    return _feed_page(request, name, ["\n".join(map(one_line, one.lines())) for one in tried], messages)


def _feed_page(request: Request, name: str, tried: list[str], messages: str = "") -> Response:
    site = site_of(request)
    return page(
        request,
        "console/feed.html",
        name,
        shown=_found_feed(site, name),
        keys=_keys_of(site, f"[[feeds]] {name}"),
        tried=tried,
        messages=messages,
        command=command_line("feeds", "try", "FILE", "--feed", name),
    )


def _shown_payers(site: ConsoleSite) -> list[ShownPayer]:
    now = site.counted("pulse", lambda: count_pulse(site), 2)
    pulses = {one.name: one for one in now.payers} if now else {}
    return [ShownPayer(payer, pulses.get(payer.name)) for payer in site.app.settings.payers]


def _payers(request: Request) -> Response:
    payers, command = _shown_payers(site_of(request)), command_line("payers", "list")
    return page(request, "console/payers.html", "Payers", payers=payers, command=command)


def _payer(request: Request, name: str) -> Response:
    return _payer_page(request, name, [])


def _test(request: Request, name: str) -> Response:
    """Try the endpoint step by step, as `payers test` does: nothing is filed there."""
    return _payer_page(request, name, list(shake_hands(site_of(request).app.settings.payer(name))))


def _payer_page(request: Request, name: str, steps: list[Any]) -> Response:
    site = site_of(request)
    found = next((one for one in _shown_payers(site) if one.payer.name == name), None)
    if found is None:
        raise NotFoundError("The settings have no payer of this name.")
    return page(
        request,
        "console/payer.html",
        name,
        shown=found,
        keys=_keys_of(site, f"[[payers]] {name}"),
        steps=steps,
        is_passed=is_passed(steps),
        command=command_line("payers", "test", name),
    )


def _settings(request: Request) -> Response:
    settings = site_of(request).app.settings
    file = str(settings.file) if settings.file else ""
    sections, command = settings_shown(settings), command_line("settings")
    return page(request, "console/settings.html", "Settings", sections=sections, file=file, command=command)
