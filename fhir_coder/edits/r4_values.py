"""The primitive types of FHIR R4 (2.24.0.1) as JSON: what a value of each looks like."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from fhir_coder.edits.r4_rows import CURRENCIES

IsValue = Callable[[Any], bool]

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-\d\d)?)?")
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_ZONE = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_DATE_TIME = re.compile(rf"\d{{4}}(-(0[1-9]|1[0-2])(-\d\d(T{_CLOCK}{_ZONE})?)?)?")
_INSTANT = re.compile(rf"\d{{4}}-\d\d-\d\dT{_CLOCK}{_ZONE}")
_LARGEST = 2**31 - 1
_MOST_DIGITS = 18
_TOO_LARGE = 10**_MOST_DIGITS

NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
"""Types that are JSON numbers."""


def is_text(value: Any) -> bool:
    """Text with more than white space in it and no control characters."""
    if type(value) is not str or not value or value.isspace():
        return False
    return value.isprintable() or _CONTROL.search(value) is None


def is_decimal(value: Any) -> bool:
    """A JSON number of up to 18 digits before and after its point: what R4 asks all to hold (2.24.0.1)."""
    if type(value) is Decimal:
        return value.is_finite() and -_MOST_DIGITS < value.adjusted() < _MOST_DIGITS
    return type(value) in (int, float) and -_TOO_LARGE < value < _TOO_LARGE


def is_currency(value: Any) -> bool:
    """A currency of ISO 4217."""
    return type(value) is str and value in CURRENCIES


def _is_day(text: str) -> bool:
    """Whether a date that is known to the day is one of the calendar."""
    if len(text) < 10:
        return text[:4] != "0000"
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _formed(pattern: str) -> IsValue:
    fits = re.compile(pattern).fullmatch
    return lambda value: type(value) is str and fits(value) is not None


def _dated(form: re.Pattern[str]) -> IsValue:
    fits = form.fullmatch
    return lambda value: type(value) is str and fits(value) is not None and _is_day(value)


def _whole(smallest: int) -> IsValue:
    return lambda value: type(value) is int and smallest <= value <= _LARGEST


_is_uri = _formed(r"\S+")

PRIMITIVES: Mapping[str, IsValue] = {
    "base64Binary": _formed(r"\s*[0-9a-zA-Z+/=][0-9a-zA-Z+/=\s]*"),
    "boolean": lambda value: type(value) is bool,
    "canonical": _is_uri,
    "code": _formed(r"[^\s]+(\s[^\s]+)*"),
    "date": _dated(_DATE),
    "dateTime": _dated(_DATE_TIME),
    "decimal": is_decimal,
    "id": _formed(r"[A-Za-z0-9.-]{1,64}"),
    "instant": _dated(_INSTANT),
    "integer": _whole(-_LARGEST - 1),
    "markdown": is_text,
    "oid": _formed(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+"),
    "positiveInt": _whole(1),
    "string": is_text,
    "time": _formed(_CLOCK),
    "unsignedInt": _whole(0),
    "uri": _is_uri,
    "url": _is_uri,
    "uuid": _formed(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "xhtml": _formed(r"(?s)\s*<div\b.*</div>\s*"),
}
"""Every primitive type with what says whether a JSON value is one. None of them raises."""


_EXAMPLES: Mapping[str, str] = {
    "boolean": "true or false, without quotes",
    "code": "no white space at its ends, one space at most between words",
    "date": "2026-11-03, 2026-11 or 2026",
    "dateTime": "2026-11-03, or with time and zone 2026-11-03T10:00:00Z",
    "decimal": "a number of up to 18 digits",
    "id": "up to 64 letters, digits, hyphens and points",
    "instant": "2026-11-03T10:00:00Z",
    "integer": "a whole number",
    "positiveInt": "a whole number from 1",
    "time": "10:00:00",
    "unsignedInt": "a whole number from 0",
    "uri": "no white space",
}


def form_of(type_name: str) -> str:
    """What a primitive type looks like, in words."""
    example = _EXAMPLES.get(type_name)
    return f"an R4 {type_name} ({example})" if example else f"an R4 {type_name}"


def is_code_of(codes: frozenset[str]) -> IsValue:
    """What says whether a value is one of the codes."""
    return lambda value: type(value) is str and value in codes
