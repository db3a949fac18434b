"""HTTP feeds, health, status and metrics."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from fhir_coder.intake.answer import FrameContent, answer_frame, frame_content, incoming_v2
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.metrics import metrics_text
from fhir_coder.model import Json
from fhir_coder.store import Ledger, work
from fhir_coder.store.counts import counts, measured
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept
from fhir_coder.web.auth import SecurityHeaders, token_needed
from fhir_coder.web.body import HL7V2_TYPES, read_body
from fhir_coder.web.console import ConsoleSite, console_routes
from fhir_coder.web.console.site import PREFIX
from fhir_coder.web.fhir_capability import Offer
from fhir_coder.web.fhir_checks import FhirFeed
from fhir_coder.web.fhir_routes import FhirPlace, fhir_routes, metadata_route, nothing_else
from fhir_coder.web.payer_routes import PayerAccess, jwks_route, notification_routes
from fhir_coder.web.refusal import RefusalError, not_stored, refuse
from fhir_coder.web.terminology_routes import openapi_route, terminology_routes
from fhir_coder.web.terminology_service import Terminology
from fhir_coder.web.work_routes import work_routes


@dataclass(frozen=True, slots=True)
class FeedAccess:
    """An HTTP feed: its name, its token (empty where none is asked for), whether invalid FHIR is refused."""

    name: str
    token: str = ""
    rejects_invalid: bool = False


@dataclass(frozen=True, slots=True)
class WebAccess:
    """What the web application lets in: the token of its pages, its feeds, the longest body in bytes.

    The first feed has the short paths. `is_working`: whether what was taken is worked on.
    """

    token: str
    feeds: tuple[FeedAccess, ...]
    max_body_bytes: int
    payers: PayerAccess | None = None
    is_working: Callable[[], bool] = lambda: True


def create_app(
    ledger: Ledger,
    desk: IntakeDesk,
    access: WebAccess,
    terminology: Terminology | None = None,
    console: ConsoleSite | None = None,
) -> FastAPI:
    """The web application. `terminology`: the tables and code sets that others may ask too; `console`: its pages."""
    web = FastAPI(title="fhir_coder", docs_url=None, redoc_url=None, openapi_url=None)
    web.add_middleware(SecurityHeaders)
    web.add_exception_handler(RefusalError, refuse)
    guard = [Depends(token_needed(access.token, with_basic=True))]
    web.include_router(_health_routes(ledger, desk, access.is_working))
    web.include_router(_machine_routes(ledger), dependencies=guard)
    if console:
        web.include_router(_front_door(), dependencies=guard)
        web.state.console = console
        web.include_router(console_routes(), dependencies=guard)
        web.include_router(work_routes(console), dependencies=guard)
    if access.payers:
        _include_payers(web, ledger, access.payers, access.max_body_bytes)
    if terminology:
        web.include_router(openapi_route())
        web.include_router(terminology_routes(terminology), dependencies=[Depends(token_needed(access.token))])
        if not access.feeds:
            web.include_router(metadata_route(Offer(False, True, bool(access.token)), terminology))
            web.include_router(nothing_else(False, True))
    short = [("", feed) for feed in access.feeds[:1]]
    for prefix, feed in short + [(f"/feeds/{feed.name}", feed) for feed in access.feeds]:
        routes = _feed_routes(feed.name, desk, access.max_body_bytes)
        place = FhirPlace(FhirFeed(feed.name, feed.rejects_invalid), desk, f"{prefix}/fhir", access.max_body_bytes)
        guarded = [Depends(token_needed(feed.token))]
        asked = terminology if not prefix else None
        web.include_router(metadata_route(Offer(True, bool(asked), bool(feed.token)), asked), prefix=prefix)
        web.include_router(routes, prefix=prefix, dependencies=guarded)
        web.include_router(fhir_routes(place), prefix=prefix, dependencies=guarded)
        web.include_router(nothing_else(True, bool(asked)), prefix=prefix, dependencies=guarded)
    return web


def _front_door() -> APIRouter:
    routes = APIRouter()

    @routes.get("/")
    def front_door(request: Request) -> Response:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PREFIX}/", status_code=303)

    return routes


def _include_payers(web: FastAPI, ledger: Ledger, access: PayerAccess, limit: int) -> None:
    if access.keys:
        web.include_router(jwks_route(access.keys))
    for payer in access.tokens:
        web.include_router(notification_routes(ledger, payer, access, limit))


def _feed_routes(feed: str, desk: IntakeDesk, limit: int) -> APIRouter:
    routes = APIRouter()

    @routes.post("/hl7v2")
    async def post_hl7v2(request: Request) -> Response:
        body = await read_body(request, HL7V2_TYPES, limit)
        content = await asyncio.to_thread(_content, feed, body, request.client.host if request.client else "")
        kept = await _kept(desk, content.messages)
        answers = answer_frame(content, kept, utc_now(), "auto")
        return Response(b"".join(answers), media_type="application/hl7-v2", status_code=200 if answers else 204)

    return routes


async def _kept(desk: IntakeDesk, incoming: Sequence[Incoming]) -> Sequence[Kept]:
    """Keep what belongs to one body with one commit. Raises RefusalError where it cannot be stored."""
    try:
        return await asyncio.wrap_future(desk.keep_together(incoming))
    except Exception:  # logged at the desk
        raise not_stored() from None


def _content(feed: str, body: bytes, host: str) -> FrameContent:
    content = frame_content(feed, body, host)
    return FrameContent((incoming_v2(feed, body),)) if content.is_blank else content


_LOOK_EVERY = 5.0
"""Seconds that a trial of the disk counts for: whoever asks more often costs nothing more."""
_TRIAL = 20.0
"""Seconds that a trial may take."""


class _Health:
    """Whether a message could be taken now: the ledger can be read, and a write to the inbox reaches the disk."""

    def __init__(self, ledger: Ledger, desk: IntakeDesk) -> None:
        self._ledger, self._desk = ledger, desk
        self._lock = threading.Lock()
        self._is_kept, self._until = False, 0.0

    def check(self) -> None:
        """Raise RefusalError where the ledger cannot be read or nothing can be kept."""
        try:
            with self._ledger.reading() as connection:
                work.next_due_at(connection)
        except Exception:
            raise RefusalError(503, "exception", "the ledger cannot be read") from None
        with self._lock:
            if time.monotonic() >= self._until:
                self._is_kept = self._try()
                self._until = time.monotonic() + _LOOK_EVERY
        if not self._is_kept:
            raise RefusalError(503, "exception", "nothing can be written: messages cannot be kept")

    def _try(self) -> bool:
        try:
            self._desk.keep_together(()).result(_TRIAL)
        except Exception:  # logged at the desk
            return False
        return True


def _health_routes(ledger: Ledger, desk: IntakeDesk, is_working: Callable[[], bool]) -> APIRouter:
    """Whether the service lives, is ready to take messages (`/health` too), and works on what it took."""
    routes, known = APIRouter(), _Health(ledger, desk)

    @routes.get("/health/live")
    async def live() -> Json:
        return {"status": "ok"}

    @routes.get("/health")
    @routes.get("/health/ready")
    def ready() -> Json:
        known.check()
        return {"status": "ok"}

    @routes.get("/health/working")
    def working() -> Json:
        if not is_working():
            raise RefusalError(503, "exception", "the workers' process is down: it is started again")
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
            return Response(metrics_text(measured(connection)), media_type="text/plain; version=0.0.4")

    return routes
