"""FHIR over HTTP: the addresses of one feed. What is answered is on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from fhir_coder.fhir import KNOWN_TYPES
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.store.fhir_resources import Filed
from fhir_coder.store.ledger import utc_now
from fhir_coder.web import fhir_resource
from fhir_coder.web.fhir_answer import Sent
from fhir_coder.web.fhir_capability import Offer, capability_statement
from fhir_coder.web.fhir_checks import FhirFeed
from fhir_coder.web.fhir_conditions import check_accept, preferred_return, read_fhir_body
from fhir_coder.web.refusal import RefusalError, not_stored
from fhir_coder.web.terminology_capability import terminology_capabilities
from fhir_coder.web.terminology_routes import asked, fhir_answer, fhir_version, methods_at, not_done_here
from fhir_coder.web.terminology_service import Terminology

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


def metadata_route(offer: Offer, terminology: Terminology | None = None) -> APIRouter:
    """`GET /fhir/metadata`, which is open to everybody: it shows nothing that was sent."""
    routes, since = APIRouter(), utc_now().date()

    @routes.api_route("/fhir/metadata", methods=["GET", "HEAD"])
    async def metadata(request: Request) -> Response:
        version, mode = fhir_version(request), request.query_params.get("mode", "full")
        if mode not in ("full", "normative", "terminology"):
            raise RefusalError(400, "value", "mode is full, normative or terminology")
        if terminology and mode == "terminology":
            sets = await asked(terminology, terminology.sets)
            return fhir_answer(terminology_capabilities(sets, since, version), version)
        return fhir_answer(capability_statement(offer, since, version), version)

    return routes


def nothing_else(takes_records: bool, has_terminology: bool) -> APIRouter:
    """What is below /fhir and nothing of all this: 405 where something else may be asked there, or 404."""
    routes = APIRouter()

    @routes.api_route("/fhir", methods=_METHODS)
    @routes.api_route("/fhir/{rest:path}", methods=_METHODS)
    async def refuse(rest: str = "") -> Response:
        raise _not_there(rest, takes_records, has_terminology)

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

    return routes


def _not_there(rest: str, takes_records: bool, has_terminology: bool) -> RefusalError:
    allowed = [*_of_records(rest)] if takes_records else []
    allowed += methods_at(rest) if has_terminology else []
    allowed += ["GET", "HEAD"] if rest == "metadata" else []
    if allowed:
        return not_done_here(allowed)
    return RefusalError(404, "not-found", "there is nothing at this address")


def _of_records(rest: str) -> Sequence[str]:
    parts = rest.split("/") if rest else []
    if parts and parts[0] not in KNOWN_TYPES:
        return ()
    is_id = len(parts) == 2 and not parts[1].startswith(("$", "_"))
    return {0: ("POST",), 1: ("POST",), 2: ("PUT", "DELETE") if is_id else ()}.get(len(parts), ())
