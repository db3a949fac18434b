"""Requests that are not taken: one exception, told as an OperationOutcome to FHIR senders and as text to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from fhir_coder.claims import to_bytes
from fhir_coder.logs import log
from fhir_coder.model import Json

FHIR_JSON = "application/fhir+json"
_MOST_ISSUES = 100
_RETRY_AFTER = "30"


class RefusalError(Exception):
    """A request that is not taken. `code` is of FHIR's issue-type, `text` never holds what was sent.

    `expression` is the FHIRPath of what is at fault, where that is one element or parameter.
    """

    def __init__(
        self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None, *, expression: str = ""
    ) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.headers = status, code, text, dict(headers or {})
        self.expression = expression


def not_stored() -> RefusalError:
    """What could not be written to the disk: the sender is told to send it again."""
    return RefusalError(503, "transient", "nothing was stored: send it again", {"Retry-After": _RETRY_AFTER})


async def refuse(request: Request, error: Exception) -> Response:
    """Tell the sender, and the log; an exception handler."""
    assert isinstance(error, RefusalError)
    log.warning("request_refused", http_status=error.status, reason=error.code)
    # The rest of a body that was not read would be taken for the next request.
    headers = error.headers | ({"Connection": "close"} if error.status == 413 else {})
    if "fhir" in request.url.path.split("/"):
        return outcome(error.status, [issue("error", error.code, error.text, error.expression)], headers)
    return PlainTextResponse(error.text, error.status, headers)


def issue(severity: str, code: str, text: str, expression: str = "") -> Json:
    """One issue of an OperationOutcome; `expression` is the FHIRPath of the element it is about."""
    said: Json = {"severity": severity, "code": code, "diagnostics": text}
    return said | {"expression": [expression]} if expression else said


def outcome_of(issues: Sequence[Json]) -> Json:
    """An OperationOutcome with the first hundred of these issues; the rest is counted."""
    more = len(issues) - _MOST_ISSUES
    told = [*issues[:_MOST_ISSUES], *([issue("information", "informational", f"and {more} more")] if more > 0 else [])]
    return {"resourceType": "OperationOutcome", "issue": told}


def outcome(status: int, issues: list[Json], headers: Mapping[str, str] | None = None) -> Response:
    """An OperationOutcome as answer."""
    body = to_bytes(outcome_of(issues))
    return Response(body, status_code=status, media_type=FHIR_JSON, headers=dict(headers or {}))
