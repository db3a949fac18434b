"""The sandbox payer's HTTP face: FHIR R4 claims at `/` and at `/fhir`, and what it holds at `/_sandbox`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.outcomes import claim_name
from fhir_coder.payers.sandbox.adjudicate import PUBLISHED_RULES, Rules
from fhir_coder.payers.sandbox.connections import Dropped, HalfBody, QuietErrors
from fhir_coder.payers.sandbox.desk import Desk, Post, Reply, token
from fhir_coder.payers.sandbox.faults import FaultPlan, PlannedFault, parse_faults
from fhir_coder.payers.sandbox.store import Books, KeptClaim
from fhir_coder.payers.sandbox.validate import issue, operation_outcome

FHIR_JSON = "application/fhir+json"
MAX_BODY_BYTES = 16 * 1024 * 1024

_PAGE = b"<!doctype html><title>Maintenance</title><p>This service is being maintained.</p>"


def utc_now() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


def create_app(
    *,
    faults: Sequence[str] = (),
    rules: Rules = PUBLISHED_RULES,
    store_path: str | Path | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """Make the sandbox. Without `store_path` it forgets its claims when it ends.

    Raises SettingsError for faults that cannot be read.
    """
    plan = FaultPlan(parse_faults(faults))
    desk = Desk(Books(store_path), rules, clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.books.close()

    app = FastAPI(title="Sandbox payer", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(QuietErrors)
    for prefix in ("", "/fhir"):
        app.include_router(_submissions(desk, plan), prefix=prefix)
        app.include_router(_questions(desk), prefix=prefix)
    app.include_router(_inside(desk), prefix="/_sandbox")
    return app


# --- submissions


def _submissions(desk: Desk, plan: FaultPlan) -> APIRouter:
    router = APIRouter()

    @router.post("/Claim")
    @router.post("/Claim/$submit")
    async def submit(request: Request) -> Response:
        fault = plan.next()
        if fault and fault.name == "drop-before-read":
            await run_in_threadpool(desk.note_unread, b"", fault.name)
            return Dropped()
        body = await _body(request)
        if body is None:
            return _fhir(413, operation_outcome([issue("too-long", "", "The body is too long.")]))
        operation = request.url.path.endswith("$submit")
        post = Post(body, operation, request.headers.get("if-none-exist", ""))
        if fault and not fault.takes_claim:
            await run_in_threadpool(desk.note_unread, body, _told(fault))
            return _made_up(fault)
        reply = await run_in_threadpool(desk.submit, post, _told(fault) if fault else "")
        answer = _answer(reply, request)
        return await _spoiled(answer, fault) if fault else answer

    return router


async def _body(request: Request) -> bytes | None:
    """The request's body, None where it is longer than we take."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _told(fault: PlannedFault) -> str:
    return str(fault.status) if fault.name == "http-status" else fault.name


def _answer(reply: Reply, request: Request) -> Response:
    headers = {"Location": f"{_base(request)}/{reply.location}"} if reply.location else {}
    return Response(reply.body, reply.status, headers, FHIR_JSON)


async def _spoiled(answer: Response, fault: PlannedFault) -> Response:
    """What the sender sees of an answer to a claim that was taken."""
    if fault.name == "drop-after-read":
        return Dropped()
    if fault.name == "half-body":
        return HalfBody(answer.body, answer.status_code, media_type=FHIR_JSON)
    if fault.name == "slow":
        await asyncio.sleep(fault.seconds)
        return answer
    return _made_up(fault)


def _made_up(fault: PlannedFault) -> Response:
    if fault.name == "html":
        return Response(_PAGE, fault.status, media_type="text/html")
    code = {429: "throttled", 503: "transient", 401: "login", 403: "forbidden", 404: "not-found", 409: "conflict"}
    outcome = operation_outcome([issue(code.get(fault.status, "exception"), "", "A fault made on demand.")])
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    return Response(to_bytes(outcome), fault.status, headers, FHIR_JSON)


# --- questions


def _questions(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.get("/Claim")
    def search_claims(request: Request) -> Response:
        parameter = request.query_params.get("identifier")
        if not parameter:
            return _fhir(400, operation_outcome([issue("required", "", "The search needs identifier.")]))
        return _found(request, ((f"Claim/{k.id}", k.claim) for k in desk.books.named(*token(parameter))))

    @router.get("/Claim/{claim_id}")
    def read_one_claim(claim_id: str) -> Response:
        kept = desk.books.by_id(claim_id)
        return _fhir(200, kept.claim) if kept else _not_found()

    @router.get("/ClaimResponse")
    def search_responses(request: Request) -> Response:
        kept = _asked_for(desk, request)
        if kept is None:
            return _fhir(400, operation_outcome([issue("required", "", "The search needs request.")]))
        responses = (desk.response_of(k) for k in kept)
        return _found(request, ((f"ClaimResponse/{r['id']}", r) for r in responses))

    @router.get("/ClaimResponse/{response_id}")
    def read_one_response(response_id: str) -> Response:
        kept = desk.books.by_id(response_id.removesuffix("-response")) if response_id.endswith("-response") else None
        return _fhir(200, desk.response_of(kept)) if kept else _not_found()

    @router.get("/metadata")
    def metadata(request: Request) -> Response:
        return _fhir(200, _capabilities(_base(request)))

    return router


def _asked_for(desk: Desk, request: Request) -> list[KeptClaim] | None:
    """The claims a search for responses means, None where it names none."""
    asked = request.query_params
    if "request" in asked:
        kept = desk.books.by_id(claim_name(asked["request"]).removeprefix("Claim/"))
        return [kept] if kept else []
    name = next((asked[n] for n in ("request.identifier", "request:Claim.identifier", "identifier") if n in asked), "")
    return desk.books.named(*token(name)) if name else None


def _found(request: Request, named: Iterable[tuple[str, Json]]) -> Response:
    base = _base(request)
    entries = [{"fullUrl": f"{base}/{n}", "resource": r, "search": {"mode": "match"}} for n, r in named]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries)}
    return _fhir(200, bundle | ({"entry": entries} if entries else {}))


def _capabilities(base: str) -> Json:
    def resource(kind: str, interactions: Sequence[str], search: Sequence[tuple[str, str]]) -> Json:
        parameters = [{"name": name, "type": sort} for name, sort in search]
        return {"type": kind, "interaction": [{"code": code} for code in interactions], "searchParam": parameters}

    submit = {"name": "submit", "definition": "http://hl7.org/fhir/OperationDefinition/Claim-submit"}
    claim = resource("Claim", ("create", "read", "search-type"), [("identifier", "token")])
    response = resource("ClaimResponse", ("read", "search-type"), [("request", "reference")])
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-01",
        "kind": "instance",
        "implementation": {"description": "Sandbox payer", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {"mode": "server", "resource": [claim | {"conditionalCreate": True, "operation": [submit]}, response]}
        ],
    }


# --- what it holds


def _inside(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.get("/claims")
    def claims_held() -> Response:
        return Response(to_bytes(desk.claims_held()), media_type="application/json")

    @router.get("/requests")
    def requests_seen() -> Response:
        return Response(to_bytes(desk.requests_seen()), media_type="application/json")

    return router


def _base(request: Request) -> str:
    """The FHIR base address as the client wrote it: with `/fhir` or without."""
    prefix = "/fhir" if request.url.path.startswith("/fhir/") else ""
    return f"{str(request.base_url).rstrip('/')}{prefix}"


def _not_found() -> Response:
    return _fhir(404, operation_outcome([issue("not-found", "", "There is no such resource.")]))


def _fhir(status: int, resource: Json) -> Response:
    return Response(to_bytes(resource), status, media_type=FHIR_JSON)
