"""HTTP feeds, health, status and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from fhir_coder.intake.answer import FrameContent, answer_frame, frame_content, incoming_v2
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.metrics import metrics_text
from fhir_coder.model import Header, Json, MessageFormat
from fhir_coder.store import Ledger, work
from fhir_coder.store.counts import counts
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept
from fhir_coder.web.auth import SecurityHeaders, token_needed
from fhir_coder.web.body import FHIR_TYPES, HL7V2_TYPES, read_body
from fhir_coder.web.console import console_routes
from fhir_coder.web.refusal import RefusalError, issue, outcome, refuse

_RETRY_AFTER = "30"


@dataclass(frozen=True, slots=True)
class FeedAccess:
    """An HTTP feed: its name and its token, empty where none is asked for."""

    name: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class WebAccess:
    """What the web application lets in: the token of its pages, its feeds, the longest body in bytes.

    The first feed has the short paths.
    """

    token: str
    feeds: tuple[FeedAccess, ...]
    max_body_bytes: int


def create_app(ledger: Ledger, desk: IntakeDesk, access: WebAccess) -> FastAPI:
    """The web application."""
    web = FastAPI(title="fhir_coder", docs_url=None, redoc_url=None, openapi_url=None)
    web.add_middleware(SecurityHeaders)
    web.add_exception_handler(RefusalError, refuse)
    guard = [Depends(token_needed(access.token, with_basic=True))]
    web.include_router(_health_route(ledger))
    web.include_router(_machine_routes(ledger), dependencies=guard)
    web.include_router(console_routes(ledger), dependencies=guard)
    short = [("", feed) for feed in access.feeds[:1]]
    for prefix, feed in short + [(f"/feeds/{feed.name}", feed) for feed in access.feeds]:
        routes = _feed_routes(feed.name, desk, access.max_body_bytes)
        web.include_router(routes, prefix=prefix, dependencies=[Depends(token_needed(feed.token))])
    return web


def _feed_routes(feed: str, desk: IntakeDesk, limit: int) -> APIRouter:
    routes = APIRouter()

    @routes.post("/hl7v2")
    async def post_hl7v2(request: Request) -> Response:
        body = await read_body(request, HL7V2_TYPES, limit)
        content = await asyncio.to_thread(_content, feed, body)
        kept = await _kept(desk, content.messages)
        answers = answer_frame(content, kept, utc_now(), "auto")
        return Response(b"".join(answers), media_type="application/hl7-v2", status_code=200 if answers else 204)

    @routes.post("/fhir")
    @routes.post("/fhir/{resource_type}")
    async def post_fhir(request: Request) -> Response:
        body = await read_body(request, FHIR_TYPES, limit)
        incoming = await asyncio.to_thread(_incoming_fhir, feed, body)
        kept = await _kept(desk, incoming)
        issues = [_told(one, known) for one, known in zip(incoming, kept, strict=True)]
        return outcome(400 if any(one.fault for one in incoming) else 200, issues)

    return routes


async def _kept(desk: IntakeDesk, incoming: Sequence[Incoming]) -> list[Kept]:
    """Keep what belongs to one body with one commit. Raises RefusalError where it cannot be stored."""
    try:
        return [await asyncio.wrap_future(future) for future in desk.keep_together(incoming)]
    except Exception:  # logged at the desk
        raise RefusalError(
            503, "transient", "nothing was stored: send it again", {"Retry-After": _RETRY_AFTER}
        ) from None


def _content(feed: str, body: bytes) -> FrameContent:
    content = frame_content(feed, body)
    return FrameContent((incoming_v2(feed, body),)) if content.is_blank else content


def _incoming_fhir(feed: str, body: bytes) -> list[Incoming]:
    return [_one_fhir(feed, payload) for payload in list(payloads_in(body)) or [body]]


def _one_fhir(feed: str, body: bytes) -> Incoming:
    header, fault = header_or_fault(body)
    if not fault and header.format is not MessageFormat.FHIR:
        header, fault = Header(MessageFormat.UNKNOWN), "not FHIR JSON"
    return Incoming(feed, header, body, fault)


def _told(incoming: Incoming, kept: Kept) -> Json:
    if incoming.fault:
        return issue("error", "structure", f"{incoming.fault} (kept as message {kept.id})")
    text = f"already kept as message {kept.id}" if kept.repeat else f"kept as message {kept.id}"
    return issue("information", "informational", text)


def _health_route(ledger: Ledger) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health")
    def health() -> Json:
        try:
            with ledger.reading() as connection:
                work.next_due_at(connection)
        except Exception:
            raise RefusalError(503, "exception", "the ledger cannot be read") from None
        return {"status": "ok"}

    return routes


def _machine_routes(ledger: Ledger) -> APIRouter:
    routes = APIRouter()

    @routes.get("/status")
    def status() -> Any:
        with ledger.reading() as connection:
            return counts(connection)

    @routes.get("/metrics")
    def metrics() -> Response:
        with ledger.reading() as connection:
            return Response(metrics_text(counts(connection)), media_type="text/plain; version=0.0.4")

    return routes
