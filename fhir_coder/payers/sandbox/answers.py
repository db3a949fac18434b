"""The sandbox's HTTP answers, and what becomes of them under a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from fastapi import Response

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import member, objects, read_json, text
from fhir_coder.payers.sandbox.connections import Dropped, HalfBody
from fhir_coder.payers.sandbox.faults import PlannedFault
from fhir_coder.payers.sandbox.validate import issue, operation_outcome

FHIR_JSON = "application/fhir+json"

_PAGE = b"<!doctype html><title>Maintenance</title><p>This service is being maintained.</p>"
_ISSUE_OF_STATUS = {
    429: "throttled",
    503: "transient",
    401: "login",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
}
_NO_CLAIM = "0"
"""The id of a claim the sandbox never has."""


def fhir_answer(status: int, resource: Json, headers: Mapping[str, str] | None = None) -> Response:
    """A resource as an answer."""
    return Response(to_bytes(resource), status, dict(headers or {}), FHIR_JSON)


def refusal(status: int, code: str, words: str) -> Response:
    """An OperationOutcome with one issue."""
    return fhir_answer(status, operation_outcome([issue(code, "", words)]))


def not_found() -> Response:
    """The answer where there is no such resource."""
    return refusal(404, "not-found", "There is no such resource.")


def unauthorized(error: str = "invalid_token") -> Response:
    """401 as RFC 6750 has it; `error` is empty where no token was shown."""
    answer = refusal(401, "login", "The request needs a token that is in force.")
    answer.headers["WWW-Authenticate"] = (
        f'Bearer realm="sandbox", error="{error}"' if error else 'Bearer realm="sandbox"'
    )
    return answer


def http_date(at: datetime) -> str:
    """A moment as HTTP writes it (RFC 9110 5.6.7)."""
    return format_datetime(at, usegmt=True)


def made_up(fault: PlannedFault, now: datetime) -> Response:
    """The answer of a fault that has nothing to do with what was asked."""
    if fault.name == "drop-before-read":
        return Dropped()
    if fault.name == "html":
        return Response(_PAGE, fault.status, media_type="text/html")
    if fault.name == "expired-token":
        return unauthorized()
    answer = refusal(fault.status, _ISSUE_OF_STATUS.get(fault.status, "exception"), "A fault made on demand.")
    if fault.retry_after is not None:
        # A date has whole seconds: rounded up, so that nobody comes back too early.
        due = (now + timedelta(seconds=fault.retry_after + 1)).replace(microsecond=0)
        answer.headers["Retry-After"] = http_date(due) if fault.is_retry_date else str(fault.retry_after)
    return answer


async def spoiled(answer: Response, fault: PlannedFault, now: datetime) -> Response:
    """What the sender sees of a good answer."""
    if fault.name == "drop-after-read":
        return Dropped()
    if fault.name == "half-body":
        return HalfBody(answer.body, answer.status_code, media_type=FHIR_JSON)
    if fault.name == "slow":
        await asyncio.sleep(fault.seconds)
        return answer
    if fault.name == "content-type":
        answer.headers["Content-Type"] = fault.media_type
        return answer
    if fault.name == "clock-skew":
        answer.headers["Date"] = http_date(now + timedelta(seconds=fault.seconds))
        return answer
    change = _CHANGES.get(fault.name)
    return _changed(answer, change(read_json(bytes(answer.body)))) if change else made_up(fault, now)


def _changed(answer: Response, resource: Json) -> Response:
    headers = {k: v for k, v in answer.headers.items() if k not in ("content-length", "content-type")}
    if resource.get("resourceType") == "Claim" and "location" in headers:
        headers["location"] = f"{headers['location'].rpartition('/')[0]}/{text(resource, 'id')}"
    return fhir_answer(answer.status_code, resource, headers)


def of_another_claim(resource: Json) -> Json:
    """The same answer, for a claim nobody asked about."""
    kind = resource.get("resourceType")
    if kind == "Bundle":
        entries = [e | {"resource": of_another_claim(member(e, "resource"))} for e in objects(resource, "entry")]
        return resource | ({"entry": entries} if entries else {})
    if kind == "Claim":
        return resource | {"id": _NO_CLAIM, "identifier": [_other(i) for i in objects(resource, "identifier")]}
    if kind == "ClaimResponse":
        asked = member(resource, "request")
        reference = {"reference": f"Claim/{_NO_CLAIM}"} if "reference" in asked else {}
        named = {"identifier": [_other(i) for i in objects(resource, "identifier")]} if "identifier" in resource else {}
        request = asked | reference | {"identifier": _other(member(asked, "identifier"))}
        return resource | named | {"id": f"{_NO_CLAIM}-response", "request": request}
    return resource


def _other(identifier: Json) -> Json:
    return identifier | {"value": f"{text(identifier, 'value')}-OTHER"}


def twice(resource: Json) -> Json:
    """The same answer, said twice."""
    if resource.get("resourceType") == "Bundle":
        return resource | {"entry": [entry for entry in objects(resource, "entry") for _ in range(2)]}
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}, {"resource": resource}]}


_CHANGES = {"other-claim": of_another_claim, "duplicate-answer": twice}
"""Fault -> what it makes of the resource that is answered."""
