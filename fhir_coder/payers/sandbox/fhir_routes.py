"""The sandbox's FHIR addresses: submissions, reads and searches, subscriptions, what it can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.sandbox.answers import (
    FHIR_JSON,
    fhir_answer,
    made_up,
    not_found,
    refusal,
    spoiled,
    unauthorized,
)
from fhir_coder.payers.sandbox.batch import answer_of, posts_of
from fhir_coder.payers.sandbox.capability import capabilities
from fhir_coder.payers.sandbox.connections import Dropped
from fhir_coder.payers.sandbox.desk import Desk, Post, Reply
from fhir_coder.payers.sandbox.faults import FaultPlan, PlannedFault
from fhir_coder.payers.sandbox.intray import Intray
from fhir_coder.payers.sandbox.notices import Notifier
from fhir_coder.payers.sandbox.search import Search, SearchError, read_search
from fhir_coder.payers.sandbox.store import KeptClaim
from fhir_coder.payers.sandbox.subscriptions import subscription_faults
from fhir_coder.payers.sandbox.tokens import TokenDesk
from fhir_coder.payers.sandbox.validate import operation_outcome

MAX_BODY_BYTES = 16 * 1024 * 1024

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the addresses lead to."""

    desk: Desk
    intray: Intray
    faults: FaultPlan
    tokens: TokenDesk
    notifier: Notifier


Answer = Callable[[Request], Response]
"""Answers a question; runs on a thread."""


def fhir_routes(rooms: Rooms) -> APIRouter:
    """Everything that stands at a FHIR base address."""
    router = APIRouter()
    is_inquired = rooms.desk.dialect.is_inquired
    if not is_inquired:
        router.add_api_route("/", submission(rooms), methods=["POST"])
    for path in ("/Claim/$submit",) if is_inquired else ("/Claim", "/Claim/$submit"):
        router.add_api_route(path, submission(rooms), methods=["POST"])
    if is_inquired:
        router.add_api_route("/Claim/$inquire", _inquiry(rooms), methods=["POST"])
    reads: Sequence[tuple[str, Answer]] = (
        ("/Claim/{id}", lambda request: _read(rooms.desk, request, "Claim")),
        ("/ClaimResponse/{id}", lambda request: _read(rooms.desk, request, "ClaimResponse")),
        ("/Subscription/{id}", lambda request: _read_subscription(rooms.notifier, request)),
    )
    searches: Sequence[tuple[str, Answer]] = (
        ("/Claim", lambda request: _search(rooms.desk, request, "Claim")),
        ("/ClaimResponse", lambda request: _search(rooms.desk, request, "ClaimResponse")),
    )
    # PAS has no search: an adapter that relied on one would pass here and fail at a payer.
    for path, answer in reads if is_inquired else (*reads, *searches):
        router.add_api_route(path, _question(rooms, answer), methods=["GET"])
    router.add_api_route("/Subscription", _subscribing(rooms), methods=["POST"])
    router.add_api_route("/Subscription/{id}", _unsubscribing(rooms), methods=["DELETE"])

    @router.get("/metadata")
    def metadata(request: Request) -> Response:
        return fhir_answer(
            200, capabilities(base_of(request), root_of(request), rooms.desk.dialect, rooms.tokens.is_asked_for)
        )

    return router


def base_of(request: Request) -> str:
    """The FHIR base address as the client wrote it: with `/fhir` or without."""
    return f"{root_of(request)}{'/fhir' if request.url.path.startswith('/fhir/') else ''}"


def root_of(request: Request) -> str:
    """The server's address as the client wrote it."""
    return str(request.base_url).rstrip("/")


async def body_of(request: Request) -> bytes | None:
    """The request's body, None where it is longer than we take."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


def _refused_login(rooms: Rooms, request: Request) -> Response | None:
    shown = request.headers.get("authorization", "")
    if not rooms.tokens.is_asked_for or rooms.tokens.accepts(shown):
        return None
    return unauthorized("invalid_token" if shown else "")


def _unfitting(rooms: Rooms, fault: PlannedFault) -> Response:
    """The answer of a fault that keeps a request from being read."""
    if fault.name == "expired-token":
        rooms.tokens.revoke()
    return made_up(fault, rooms.desk.clock())


# --- submissions


def submission(rooms: Rooms) -> Callable[[Request], object]:
    """The endpoint that takes claims."""

    async def submit(request: Request) -> Response:
        refused = _refused_login(rooms, request)
        if refused:
            return refused
        desk, fault = rooms.desk, rooms.faults.next()
        if fault and fault.name == "drop-before-read":
            await run_in_threadpool(desk.note_unread, _post(request, b""), fault.name)
            return Dropped()
        body = await body_of(request)
        if body is None:
            return refusal(413, "too-long", "The body is too long.")
        post = _post(request, body)
        if fault and not fault.takes_claim:
            await run_in_threadpool(desk.note_unread, post, told(fault))
            return _unfitting(rooms, fault)
        posts = posts_of(post) if post.is_transaction else None
        replies = await rooms.intray.submit(posts or [post], told(fault) if fault else "")
        answer = _answer(answer_of(replies) if posts else replies[0], request)
        return await spoiled(answer, fault, desk.clock()) if fault else answer

    return submit


def told(fault: PlannedFault) -> str:
    """What the books say of a submission that a fault hit."""
    return str(fault.status) if fault.name == "http-status" else fault.name


def _post(request: Request, body: bytes) -> Post:
    headers = {k: "withheld" if k in _SECRET_HEADERS else v for k, v in request.headers.items()}
    return Post(body, request.url.path, headers)


def _answer(reply: Reply, request: Request) -> Response:
    headers = {"Location": f"{base_of(request)}/{reply.location}"} if reply.location else {}
    return Response(reply.body, reply.status, headers, FHIR_JSON)


# --- questions


def _met(rooms: Rooms, request: Request) -> Response | PlannedFault | None:
    """What a question meets before it is read: a refusal, or the fault that its answer will have."""
    refused = _refused_login(rooms, request)
    if refused:
        return refused
    fault = rooms.faults.next("question")
    return _unfitting(rooms, fault) if fault and not fault.takes_claim else fault


def _question(rooms: Rooms, answer: Answer) -> Callable[[Request], object]:
    async def ask(request: Request) -> Response:
        fault = _met(rooms, request)
        if isinstance(fault, Response):
            return fault
        found = await run_in_threadpool(answer, request)
        return await spoiled(found, fault, rooms.desk.clock()) if fault else found

    return ask


def _inquiry(rooms: Rooms) -> Callable[[Request], object]:
    async def inquire(request: Request) -> Response:
        fault = _met(rooms, request)
        if isinstance(fault, Response):
            return fault
        body = await body_of(request)
        if body is None:
            return refusal(413, "too-long", "The body is too long.")
        found = _answer(await run_in_threadpool(rooms.desk.inquire, body), request)
        return await spoiled(found, fault, rooms.desk.clock()) if fault else found

    return inquire


def _read(desk: Desk, request: Request, kind: str) -> Response:
    identity = request.path_params["id"]
    if kind == "Claim":
        kept = desk.books.by_id(identity)
        return fhir_answer(200, kept.claim) if kept else not_found()
    kept = desk.books.by_id(identity.removesuffix("-response")) if identity.endswith("-response") else None
    return fhir_answer(200, desk.response_of(kept)) if kept else not_found()


def _search(desk: Desk, request: Request, kind: str) -> Response:
    is_strict = "handling=strict" in request.headers.get("prefer", "").replace(" ", "")
    try:
        search = read_search(kind, request.query_params.multi_items(), desk.clock(), is_strict)
    except SearchError as error:
        # Parameter names are the sender's words: those of ours are safe to repeat.
        return refusal(400, "invalid", f"{_known_name(error)}: {error}")
    if not search.conditions:
        return refusal(400, "required", "The search needs a parameter, such as identifier.")
    found = desk.books.found(search) if search.count else []
    shown = found[: search.count]
    named = [(f"{kind}/{_id_of(kept, kind)}", _resource_of(desk, kept, kind)) for kept in shown]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": desk.books.count(search.where)}
    after = shown[-1].id if len(found) > search.count and shown else ""
    return fhir_answer(200, bundle | {"link": _links(request, kind, search, after)} | _entries(base_of(request), named))


def _known_name(error: SearchError) -> str:
    return error.parameter if error.parameter.replace(".", "").replace(":", "").replace("_", "").isalpha() else "search"


def _id_of(kept: KeptClaim, kind: str) -> str:
    return kept.id if kind == "Claim" else f"{kept.id}-response"


def _resource_of(desk: Desk, kept: KeptClaim, kind: str) -> Json:
    return kept.claim if kind == "Claim" else desk.response_of(kept)


def _entries(base: str, named: Iterable[tuple[str, Json]]) -> Json:
    entries = [{"fullUrl": f"{base}/{n}", "resource": r, "search": {"mode": "match"}} for n, r in named]
    return {"entry": entries} if entries else {}


def _links(request: Request, kind: str, search: Search, after: str) -> list[Json]:
    """The search as it was understood, and the next page (R4 3.1.1.4.13)."""

    def link(relation: str, more: Sequence[tuple[str, str]]) -> Json:
        return {"relation": relation, "url": f"{base_of(request)}/{kind}?{urlencode([*search.used, *more])}"}

    here = [("_after", str(search.after))] if search.after else []
    return [link("self", here), *([link("next", [("_after", after)])] if after else [])]


# --- subscriptions


def _subscribing(rooms: Rooms) -> Callable[[Request], object]:
    async def subscribe(request: Request) -> Response:
        refused = _refused_login(rooms, request)
        if refused:
            return refused
        body = await body_of(request)
        resource = read_json(body or b"")
        faults = subscription_faults(resource, rooms.desk.clock())
        if faults:
            return fhir_answer(422, operation_outcome(faults))
        made = await run_in_threadpool(rooms.notifier.subscribe, base_of(request), resource)
        return fhir_answer(201, made.resource, {"Location": f"{base_of(request)}/Subscription/{made.id}"})

    return subscribe


def _unsubscribing(rooms: Rooms) -> Callable[[Request], object]:
    def unsubscribe(request: Request) -> Response:
        refused = _refused_login(rooms, request)
        if refused:
            return refused
        is_gone = rooms.notifier.subscriptions.remove(request.path_params["id"])
        return Response(status_code=204) if is_gone else not_found()

    return unsubscribe


def _read_subscription(notifier: Notifier, request: Request) -> Response:
    found = notifier.subscriptions.by_id(request.path_params["id"])
    return fhir_answer(200, found.resource) if found else not_found()
