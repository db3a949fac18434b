"""What changes while a page is looked at, told by server-sent events (HTML living standard, 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from fhir_coder.errors import NotFoundError
from fhir_coder.queries import newest
from fhir_coder.web.console.pages import page_router
from fhir_coder.web.console.site import ConsoleSite, site_of
from fhir_coder.web.console.today import today_page

_EVERY = 1.0
"""Seconds between two looks; a stream ends within it once the service is to stop."""
_LISTS = ("messages", "claims")
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def live_routes() -> APIRouter:
    """The streams that pages listen to."""
    pages = page_router()

    @pages.get("/live/today")
    async def today(request: Request) -> StreamingResponse:
        return _stream(_today(request))

    @pages.get("/live/{what}")
    async def news(request: Request, what: str, since: str = "") -> StreamingResponse:
        if what not in _LISTS:
            raise NotFoundError("There is no such page.")
        return _stream(_news(request, what, since))

    return pages


def _stream(events: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)


async def _today(request: Request) -> AsyncIterator[str]:
    """The parts of Today, whenever they are others than before."""
    shown = ""
    async for _ in _looks(request, site_of(request)):
        answer = await asyncio.to_thread(today_page, request, "console/today_parts.html")
        text = bytes(answer.body).decode()
        if text != shown:
            shown = text
            yield _event("parts", text)
        else:
            yield ":\n\n"


async def _news(request: Request, what: str, since: str) -> AsyncIterator[str]:
    """That a list has newer rows than the one it begins with; said once."""
    site = site_of(request)
    async for _ in _looks(request, site):
        if await asyncio.to_thread(newest, site.ledger, what) > since:
            yield _event("news", what)
            return
        yield ":\n\n"


async def _looks(request: Request, site: ConsoleSite) -> AsyncIterator[None]:
    while not site.is_over() and not await request.is_disconnected():
        yield None
        await asyncio.sleep(_EVERY)


def _event(name: str, text: str) -> str:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n"
