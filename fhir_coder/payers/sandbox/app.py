"""The sandbox payer's HTTP face: FHIR R4 claims at `/` and at `/fhir`, what it holds and its faults at `/_sandbox`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from fhir_coder.claims.wire import to_bytes
from fhir_coder.payers.sandbox.answers import made_up, spoiled
from fhir_coder.payers.sandbox.connections import Dated, QuietErrors
from fhir_coder.payers.sandbox.control import PAGE_ADDRESS, control_routes
from fhir_coder.payers.sandbox.desk import Desk
from fhir_coder.payers.sandbox.dialect import DIALECTS
from fhir_coder.payers.sandbox.faults import CONNECTION, FaultPlan, parse_faults
from fhir_coder.payers.sandbox.fhir_routes import Rooms, body_of, fhir_routes, root_of, submission
from fhir_coder.payers.sandbox.intray import Intray
from fhir_coder.payers.sandbox.notices import Notifier
from fhir_coder.payers.sandbox.pages import page_routes
from fhir_coder.payers.sandbox.rules import PUBLISHED_RULES, Rules
from fhir_coder.payers.sandbox.store import Books
from fhir_coder.payers.sandbox.tokens import TOKEN_PATH, TokenDesk, TokenRequest, smart_configuration


def utc_now() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


def create_app(
    *,
    faults: Sequence[str] = (),
    rules: Rules = PUBLISHED_RULES,
    store_path: str | Path | None = None,
    clock: Callable[[], datetime] = utc_now,
    profile: str = "base",
) -> FastAPI:
    """Make the sandbox; `profile` is one of `DIALECTS`. Without `store_path` it forgets its claims when it ends.

    Raises SettingsError for faults that cannot be read, FhirCoderError for a file that cannot be used.
    """
    plan = FaultPlan(parse_faults(faults))
    books = Books(store_path)
    dialect = DIALECTS[profile]
    notifier = Notifier(books, plan, clock, dialect)
    desk = Desk(books, rules, clock, notifier.plan, dialect)
    intray = Intray(desk)
    rooms = Rooms(desk, intray, plan, TokenDesk(rules, clock), notifier)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        notifier.start()
        intray.start()
        yield
        await run_in_threadpool(intray.stop)
        await run_in_threadpool(notifier.stop)
        books.close()

    app = FastAPI(title="Sandbox payer", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.shows_wrong_certificate = lambda: plan.next(CONNECTION) is not None
    app.add_middleware(QuietErrors)
    app.add_middleware(Dated, clock=clock)
    app.router.redirect_slashes = False  # a redirected submission is a lost one
    for prefix in ("", "/fhir"):
        app.include_router(fhir_routes(rooms), prefix=prefix)
        app.include_router(_well_known(rooms), prefix=prefix)
    # The base address may be written without a slash at its end.
    if not dialect.is_inquired:
        app.add_api_route("/fhir", submission(rooms), methods=["POST"])
    app.include_router(_tokens(rooms))
    app.include_router(control_routes(desk, plan, notifier), prefix="/_sandbox")
    app.include_router(page_routes(desk, plan, notifier), prefix="/_sandbox")
    return app


def _well_known(rooms: Rooms) -> APIRouter:
    router = APIRouter()

    @router.get("/.well-known/smart-configuration")
    def configuration(request: Request) -> Response:
        if not rooms.tokens.is_asked_for:
            return Response(status_code=404)
        return Response(to_bytes(smart_configuration(root_of(request))), media_type="application/json")

    return router


def _tokens(rooms: Rooms) -> APIRouter:
    router = APIRouter()

    @router.post(TOKEN_PATH)
    async def token(request: Request) -> Response:
        fault = rooms.faults.next("token")
        if fault and not fault.takes_claim:
            return made_up(fault, rooms.desk.clock())
        root, body = root_of(request), await body_of(request) or b""
        named = frozenset({f"{root}{TOKEN_PATH}", root, f"{root}/fhir"})
        asked = TokenRequest(body, request.headers.get("authorization", ""), named)
        status, said = await run_in_threadpool(rooms.tokens.issue, asked)
        headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": "Basic"} if status == 401 else {})
        answer = Response(to_bytes(said), status, headers, "application/json")
        return await spoiled(answer, fault, rooms.desk.clock()) if fault else answer

    @router.get("/")
    @router.get("/_sandbox")
    def front() -> Response:
        return RedirectResponse(PAGE_ADDRESS)

    return router
