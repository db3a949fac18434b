"""Requests that are not taken: one exception, told as an OperationOutcome to FHIR senders and as text to others."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from fhir_coder.claims import to_bytes
from fhir_coder.logs import log
from fhir_coder.model import Json

FHIR_JSON = "application/fhir+json"


class RefusalError(Exception):
    """A request that is not taken. `code` is of FHIR's issue-type, `text` never holds what was sent."""

    def __init__(self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.headers = status, code, text, dict(headers or {})


async def refuse(request: Request, error: Exception) -> Response:
    """Tell the sender, and the log; an exception handler."""
    assert isinstance(error, RefusalError)
    log.warning("request_refused", http_status=error.status, reason=error.code)
    # The rest of a body that was not read would be taken for the next request.
    headers = error.headers | ({"Connection": "close"} if error.status == 413 else {})
    if "fhir" in request.url.path.split("/"):
        return outcome(error.status, [issue("error", error.code, error.text)], headers)
    return PlainTextResponse(error.text, error.status, headers)


def issue(severity: str, code: str, text: str) -> Json:
    """One issue of an OperationOutcome."""
    return {"severity": severity, "code": code, "diagnostics": text}


def outcome(status: int, issues: list[Json], headers: Mapping[str, str] | None = None) -> Response:
    """An OperationOutcome as answer."""
    body = to_bytes({"resourceType": "OperationOutcome", "issue": issues})
    return Response(body, status_code=status, media_type=FHIR_JSON, headers=dict(headers or {}))
