"""Bytes to FHIR JSON: one resource, a Bundle, or NDJSON lines.

Numbers come from orjson as floats. A float's shortest text has every digit the sender wrote up to fifteen of them, so
`Decimal(str(x))` is exact for money and quantities; orjson reads a Synthea Bundle in half the time that `json` takes
with `parse_float=Decimal`. Only zeros at the end are lost; amounts of money get their cents back (336.5: 336.50).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from fhir_coder.errors import UnreadableError
from fhir_coder.model import Header, Json, MessageFormat

_BOM = b"\xef\xbb\xbf"
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{1,63}")
_NOT_JSON = object()
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_START = re.compile(rb"[\s\xef\xbb\xbf]*\{")

BILLED_TYPES = frozenset(
    {
        "Account",
        "Bundle",
        "ChargeItem",
        "Condition",
        "Coverage",
        "Encounter",
        "ExplanationOfBenefit",
        "Immunization",
        "Location",
        "Organization",
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
    }
)
"""Resource types that can say something about a bill."""


DELETE = "DELETE "
"""Before the resource type, in the type of a message that takes one resource back."""


def is_billed(message_type: str) -> bool:
    """Whether a message of this type is read for facts; all others are acknowledged and ignored."""
    return message_type.removeprefix(DELETE) in BILLED_TYPES


def looks_like_json(body: bytes) -> bool:
    """Whether a payload starts as a JSON object."""
    return _START.match(body) is not None


def looks_like_fhir(body: bytes) -> bool:
    """Whether a payload starts as a JSON object and names a resourceType; it may still be unreadable."""
    return looks_like_json(body) and b'"resourceType"' in body


def load(body: bytes) -> Json:
    """Read one resource.

    Raises UnreadableError: `not_json` (also for nesting deeper than 1024), `no_resource_type`, `nul_character` (not
    allowed by FHIR R4 section 2.24.0.1, and no database takes it).
    """
    resource = _parsed(body)
    if resource is _NOT_JSON:
        raise UnreadableError("", "not_json", "the payload is not JSON")
    if b"\\u0000" in body and _NUL.search(body):
        raise UnreadableError("", "nul_character", "the payload holds a character that FHIR does not allow")
    if not isinstance(resource, dict):
        raise UnreadableError("resourceType", "no_resource_type", "the payload is not a FHIR resource")
    name = resource.get("resourceType")
    if not isinstance(name, str) or not _TYPE_NAME.fullmatch(name):
        raise UnreadableError("resourceType", "no_resource_type", "the payload names no resource type")
    return resource


def read_header(body: bytes) -> Header:
    """What must be known of a payload before it is kept; FHIR has no control id and names no sender.

    Raises UnreadableError as `load` does.
    """
    return Header(MessageFormat.FHIR, type=load(body)["resourceType"])


def split_ndjson(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of an NDJSON file with their numbers from 1; blank lines are skipped but counted."""
    number, start = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        number += 1
        line = _without_bom(data[start:end]).strip()
        if line:
            yield number, line
        start = end + 1


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(_without_bom(body))
    except (ValueError, RecursionError):
        # Raised anew by the caller: the parser's exception holds the whole body and must not stay as a context.
        return _NOT_JSON


def _without_bom(body: bytes) -> bytes:
    # Files joined by `cat` keep the mark of each part, so a line may have one, and an export script two.
    while body.startswith(_BOM):
        body = body[len(_BOM) :]
    return body
