"""What the sandbox tells about itself and lets be set: claims, submissions and faults, as JSON at `/_sandbox`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from fhir_coder.claims.wire import to_bytes
from fhir_coder.errors import SettingsError
from fhir_coder.model import Json
from fhir_coder.payers.answer import read_json, text
from fhir_coder.payers.sandbox.desk import Desk
from fhir_coder.payers.sandbox.faults import FaultPlan, parse_faults
from fhir_coder.payers.sandbox.fhir_routes import body_of
from fhir_coder.payers.sandbox.notices import Notifier

PAGE_ADDRESS = "/_sandbox/"


def control_routes(desk: Desk, plan: FaultPlan, notifier: Notifier) -> APIRouter:
    """The routes below `/_sandbox` that programs use."""
    router = APIRouter()

    @router.get("/claims")
    def claims_held() -> Response:
        return _json(200, desk.claims_held())

    @router.get("/requests")
    def requests_seen() -> Response:
        return _json(200, desk.requests_seen())

    @router.get("/subscriptions")
    def subscriptions() -> Response:
        return _json(200, shown_subscriptions(notifier))

    @router.get("/faults")
    def faults_waiting() -> Response:
        return _json(200, shown_faults(plan))

    @router.post("/faults")
    async def set_faults(request: Request) -> Response:
        if is_from_elsewhere(request):
            return _json(403, {"errors": ["The request comes from a page of another site."]})
        body = await body_of(request)
        return await run_in_threadpool(_set, plan, body or b"", request.headers.get("content-type", ""))

    @router.delete("/faults")
    def remove_faults(request: Request) -> Response:
        if is_from_elsewhere(request):
            return _json(403, {"errors": ["The request comes from a page of another site."]})
        return _json(200, {"removed": plan.remove()})

    @router.delete("/faults/{fault_id}")
    def remove_fault(request: Request, fault_id: str) -> Response:
        if is_from_elsewhere(request):
            return _json(403, {"errors": ["The request comes from a page of another site."]})
        is_gone = fault_id.isdecimal() and len(fault_id) < 10 and plan.remove(int(fault_id))
        return Response(status_code=204) if is_gone else _json(404, {"errors": ["No fault of this id waits."]})

    return router


def shown_faults(plan: FaultPlan) -> list[Json]:
    """The faults that are not spent."""
    return [{"id": number, "spec": fault.spec, "hits": hits} for number, fault, hits in plan.waiting()]


def shown_subscriptions(notifier: Notifier) -> list[Json]:
    """Every subscription: what it is about, how often it was told, and how often each notice that waits was tried."""
    return [
        {
            "id": one.id,
            "criteria": text(one.resource, "criteria"),
            "status": text(one.resource, "status"),
            "error": text(one.resource, "error"),
            "told": one.events,
            "waiting": notifier.subscriptions.waiting(one.id),
        }
        for one in notifier.subscriptions.all()
    ]


def is_from_elsewhere(request: Request) -> bool:
    """Whether a browser sends this for a page of another site: such a page must not set faults."""
    origin = request.headers.get("origin", "")
    return bool(origin) and urlsplit(origin).netloc != request.headers.get("host", "")


def _set(plan: FaultPlan, body: bytes, media_type: str) -> Response:
    """Set the faults of a form (`spec`, or `clear` for none at all) or of JSON (`spec`, or a list `specs`)."""
    said = read_json(body)
    # curl calls JSON a form where it is not told better.
    is_form = not isinstance(said, dict) and media_type.startswith("application/x-www-form-urlencoded")
    if is_form:
        said = dict(parse_qsl(body.decode("utf-8", "replace")))
    if is_form and "clear" in said:
        plan.remove()
        return _to_page()
    specs = _specs(said)
    if not specs:
        return _json(400, {"errors": ['The body is {"spec": "..."} or {"specs": ["...", ...]}.']})
    try:
        ids = plan.add(parse_faults(specs))
    except SettingsError as error:
        return _json(400, {"errors": [str(fault) for fault in error.faults]})
    return _to_page() if is_form else _json(201, [one for one in shown_faults(plan) if one["id"] in ids])


def _specs(said: Any) -> list[str]:
    listed = said.get("specs") if isinstance(said, dict) else None
    if isinstance(listed, list) and all(isinstance(spec, str) for spec in listed):
        return list(listed)
    return [text(said, "spec")] if text(said, "spec").strip() else []


def _to_page() -> Response:
    return RedirectResponse(PAGE_ADDRESS, 303)


def _json(status: int, value: Any) -> Response:
    return Response(to_bytes(value), status, media_type="application/json")
