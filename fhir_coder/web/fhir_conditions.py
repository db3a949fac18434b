"""What the headers of a FHIR request ask for (FHIR R4 section 3.1.0): Prefer, Accept, If-Match, If-None-Exist."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import parse_qsl

from fastapi import Request

from fhir_coder.web.body import FHIR_TYPES, read_body
from fhir_coder.web.refusal import RefusalError

Return = Literal["minimal", "representation", "OperationOutcome"]
"""What an answer holds: nothing, the resource as it was taken, or what was done."""

_RETURN: dict[str, Return] = {
    "minimal": "minimal",
    "representation": "representation",
    "operationoutcome": "OperationOutcome",
}
_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')
_JSON_RANGES = frozenset({"application/fhir+json", "application/json", "text/json", "application/*", "text/*", "*/*"})


async def read_fhir_body(request: Request, limit: int) -> bytes:
    """The body of a FHIR request: JSON, which is UTF-8. Raises RefusalError."""
    _, *parameters = request.headers.get("content-type", "").lower().split(";")
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8", "us-ascii"):
            raise RefusalError(415, "not-supported", "FHIR is UTF-8: no other charset is taken")
    return await read_body(request, FHIR_TYPES, limit)


def check_accept(request: Request) -> None:
    """Raises RefusalError (406) for a sender that takes no JSON."""
    # A `+` that nobody escaped is a blank in an address.
    named = request.query_params.get("_format", "").replace("fhir json", "fhir+json")
    wanted = named or request.headers.get("accept", "") or "*/*"
    ranges = {part.partition(";")[0].strip().lower() for part in wanted.split(",")}
    if not ranges & _JSON_RANGES and "json" not in ranges:
        raise RefusalError(406, "not-supported", "answers are application/fhir+json")


def preferred_return(request: Request) -> Return:
    """What the answer shall hold (Prefer, RFC 7240); nothing where the sender does not say."""
    for preference in request.headers.get("prefer", "").replace(";", ",").split(","):
        name, _, value = preference.partition("=")
        if name.strip().lower() == "return":
            return _RETURN.get(value.strip(' "').lower(), "minimal")
    return "minimal"


def version_wanted(text: str) -> int | None:
    """The version that If-Match names, as `W/"3"`; None where it names none. Raises RefusalError."""
    if not text.strip():
        return None
    found = _ETAG.fullmatch(text.strip())
    if found is None:
        raise RefusalError(400, "value", 'If-Match names one version, as W/"3"')
    return int(found[1])


def identifier_wanted(query: str, resource_type: str) -> str:
    """The identifier that If-None-Exist names as `system|value`, empty where it names none. Raises RefusalError."""
    if not query.strip():
        return ""
    asked = parse_qsl(query.strip().removeprefix(resource_type).removeprefix("?"), keep_blank_values=True)
    system, bar, value = asked[0][1].strip().partition("|") if len(asked) == 1 else ("", "", "")
    if not (bar and value and asked[0][0] == "identifier" and "," not in asked[0][1]):
        text = "If-None-Exist is taken as identifier=system|value only"
        raise RefusalError(400, "not-supported", text)
    return f"{system}|{value.strip()}"
