"""HTTP feeds, health, status and metrics."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from fhir_coder.claims import to_bytes
from fhir_coder.intake.answer import acknowledge, incoming_v2
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.payloads import header_or_fault, payloads_in
from fhir_coder.metrics import metrics_text
from fhir_coder.model import Header, Json, MessageFormat
from fhir_coder.store import Ledger
from fhir_coder.store.counts import counts
from fhir_coder.store.ledger import utc_now
from fhir_coder.store.messages import Incoming, Kept
from fhir_coder.web.console import console_routes

_FHIR_JSON = "application/fhir+json"
MAX_BODY_BYTES = 16 * 1024 * 1024


def create_app(ledger: Ledger, desk: IntakeDesk, feeds: tuple[str, ...]) -> FastAPI:
    """The web application. `feeds` are the names of the HTTP feeds; the first one has the short paths."""
    web = FastAPI(title="fhir_coder", docs_url=None, redoc_url=None)
    web.include_router(_machine_routes(ledger))
    web.include_router(console_routes(ledger))
    for prefix, feed in [("", feeds[0])] * bool(feeds) + [(f"/feeds/{name}", name) for name in feeds]:
        web.include_router(_feed_routes(feed, desk), prefix=prefix)
    return web


def _feed_routes(feed: str, desk: IntakeDesk) -> APIRouter:
    routes = APIRouter()

    @routes.post("/hl7v2")
    async def post_hl7v2(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return PlainTextResponse("the body is too large", 413)
        incoming = [incoming_v2(feed, payload) for payload in list(payloads_in(body)) or [body]]
        kept = await _kept(desk, incoming)
        answers = [a for one, known in zip(incoming, kept, strict=True) for a in acknowledge(one, known, utc_now())]
        return Response(b"".join(answers), media_type="application/hl7-v2", status_code=200 if answers else 204)

    @routes.post("/fhir")
    @routes.post("/fhir/{resource_type}")
    async def post_fhir(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _outcome(413, [_issue("error", "too-long", "the body is too large")])
        incoming = [_incoming_fhir(feed, payload) for payload in list(payloads_in(body)) or [body]]
        kept = await _kept(desk, incoming)
        issues = [_told(one, known) for one, known in zip(incoming, kept, strict=True)]
        return _outcome(400 if any(one.fault for one in incoming) else 200, issues)

    return routes


async def _kept(desk: IntakeDesk, incoming: list[Incoming]) -> list[Kept]:
    return [await asyncio.wrap_future(future) for future in desk.keep_together(incoming)]


def _incoming_fhir(feed: str, body: bytes) -> Incoming:
    header, fault = header_or_fault(body)
    if not fault and header.format is not MessageFormat.FHIR:
        header, fault = Header(MessageFormat.UNKNOWN), "not FHIR JSON"
    return Incoming(feed, header, body, fault)


def _told(incoming: Incoming, kept: Kept) -> Json:
    if incoming.fault:
        return _issue("error", "structure", f"{incoming.fault} (kept as message {kept.id})")
    text = f"already kept as message {kept.id}" if kept.repeat else f"kept as message {kept.id}"
    return _issue("information", "informational", text)


def _machine_routes(ledger: Ledger) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health")
    def health() -> Json:
        with ledger.reading() as connection:
            counts(connection)
        return {"status": "ok"}

    @routes.get("/status")
    def status() -> Any:
        with ledger.reading() as connection:
            return counts(connection)

    @routes.get("/metrics")
    def metrics() -> Response:
        with ledger.reading() as connection:
            return Response(metrics_text(counts(connection)), media_type="text/plain; version=0.0.4")

    return routes


async def _body(request: Request) -> bytes | None:
    """The request's body, None where it is larger than is taken."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _issue(severity: str, code: str, text: str) -> Json:
    return {"severity": severity, "code": code, "diagnostics": text}


def _outcome(status: int, issues: list[Json]) -> Response:
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    return Response(to_bytes(outcome), status_code=status, media_type=_FHIR_JSON)
