"""FHIR over HTTP: the addresses of one feed. What is answered is on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from fhir_coder.claims import to_bytes
from fhir_coder.fhir import KNOWN_TYPES
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.store.fhir_resources import Filed
from fhir_coder.store.ledger import utc_now
from fhir_coder.web import fhir_resource
from fhir_coder.web.fhir_answer import Sent
from fhir_coder.web.fhir_capability import capability_statement
from fhir_coder.web.fhir_checks import FhirFeed
from fhir_coder.web.fhir_conditions import check_accept, preferred_return, read_fhir_body
from fhir_coder.web.refusal import FHIR_JSON, RefusalError, not_stored

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class FhirPlace:
    """Where a feed takes FHIR: its desk, the path that its resources are below, the longest body in bytes."""

    feed: FhirFeed
    desk: IntakeDesk
    base: str
    max_body_bytes: int

    async def answer(self, request: Request, read: Callable[[bytes], Sent]) -> Response:
        """Take a request's body as `read` says, and answer once all of it is on the disk."""
        check_accept(request)
        wanted = preferred_return(request)
        body = await read_fhir_body(request, self.max_body_bytes)
        sent = await asyncio.to_thread(read, body)
        filed = await _done(self.desk.file(sent.asked)) if sent.asked else []
        return await asyncio.to_thread(sent.answer, filed, self.base, wanted)


async def _done(future: Future[Sequence[Filed]]) -> list[Filed]:
    try:
        filed: Sequence[Filed] = await asyncio.wrap_future(future)
    except Exception:  # logged at the desk
        raise not_stored() from None
    return list(filed)


def metadata_route(token_asked: bool) -> APIRouter:
    """`GET /fhir/metadata`, which is open to everybody: it shows nothing that was sent."""
    routes = APIRouter()
    said = to_bytes(capability_statement(token_asked, utc_now().date()))

    @routes.get("/fhir/metadata")
    def metadata(request: Request) -> Response:
        check_accept(request)
        return Response(said, media_type=FHIR_JSON)

    return routes


def fhir_routes(place: FhirPlace) -> APIRouter:
    """The interactions of one feed."""
    routes, feed = APIRouter(), place.feed

    @routes.post("/fhir")
    async def post(request: Request) -> Response:
        unless = request.headers.get("if-none-exist", "")
        return await place.answer(request, lambda body: fhir_resource.posted_to_base(feed, body, unless))

    @routes.post("/fhir/{resource_type}")
    async def create(request: Request, resource_type: str) -> Response:
        unless = request.headers.get("if-none-exist", "")
        return await place.answer(request, lambda body: fhir_resource.posted_to_type(feed, body, resource_type, unless))

    @routes.put("/fhir/{resource_type}/{resource_id}")
    async def update(request: Request, resource_type: str, resource_id: str) -> Response:
        only, name = request.headers.get("if-match", ""), (resource_type, resource_id)
        return await place.answer(request, lambda body: fhir_resource.put(feed, body, name, only))

    @routes.delete("/fhir/{resource_type}/{resource_id}")
    async def delete(request: Request, resource_type: str, resource_id: str) -> Response:
        only, name = request.headers.get("if-match", ""), (resource_type, resource_id)
        return await place.answer(request, lambda _: fhir_resource.deleted(feed, name, only))

    @routes.api_route("/fhir", methods=_METHODS)
    @routes.api_route("/fhir/{rest:path}", methods=_METHODS)
    async def nothing_else(rest: str = "") -> Response:
        raise _not_there(rest)

    return routes


def _not_there(rest: str) -> RefusalError:
    parts = rest.split("/") if rest else []
    takes = {0: "POST", 1: "POST", 2: "PUT, DELETE"}.get(len(parts))
    if takes and (not parts or parts[0] in KNOWN_TYPES):
        text = "this is not done here: see the CapabilityStatement at metadata"
        return RefusalError(405, "not-supported", text, {"Allow": takes})
    return RefusalError(404, "not-found", "there is nothing at this address")
