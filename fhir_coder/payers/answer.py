"""What came back over HTTP, and reading it without ever failing: answers may be of any quality."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fhir_coder.model import Json


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response: header names in lower case, the body as received.

    `whole` is false where the body was cut off or longer than we read. `received_at` is aware. `said` is what the body
    says, where it was read already.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = True
    received_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    said: Json | None = None

    @property
    def resource(self) -> Json | None:
        """The body as a FHIR resource with Decimal numbers, None where it is none."""
        if self.said is not None:
            return self.said
        value = read_json(self.body) if self.whole else None
        return value if isinstance(value, dict) and isinstance(value.get("resourceType"), str) else None


def read_json(body: bytes) -> Any:
    """Any JSON value with its decimals kept, None where the bytes are no JSON."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _refuse(_constant: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")


def resources_in(resource: Json) -> Iterator[Json]:
    """The resource, or what a Bundle or Parameters holds, in its order."""
    kind = resource.get("resourceType")
    if kind == "Bundle":
        yield from (
            entry["resource"] for entry in objects(resource, "entry") if isinstance(entry.get("resource"), dict)
        )
    elif kind == "Parameters":
        yield from (p["resource"] for p in objects(resource, "parameter") if isinstance(p.get("resource"), dict))
    else:
        yield resource


def groups_in(resource: Json) -> Iterator[list[Json]]:
    """The resources that came together: those of a Bundle or Parameters, and those of each Bundle within it."""
    listed = list(resources_in(resource))
    yield [one for one in listed if one.get("resourceType") != "Bundle"]
    for one in listed:
        if one is not resource and one.get("resourceType") == "Bundle":
            yield from groups_in(one)


def objects(holder: Any, name: str) -> list[Json]:
    """The objects in a list member; nothing else that stands there."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def member(holder: Any, *names: str) -> Json:
    """The object down a path of members, empty where there is none."""
    for name in names:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return holder if isinstance(holder, dict) else {}


def text(holder: Any, name: str) -> str:
    """A text member, empty where there is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""


def codes(concept: Any) -> list[str]:
    """The codes of a CodeableConcept."""
    return [code for code in (text(coding, "code") for coding in objects(concept, "coding")) if code]


def has_identifier(resource: Json, system: str, value: str) -> bool:
    """Whether a resource carries exactly this identifier."""
    return any(text(i, "system") == system and text(i, "value") == value for i in objects(resource, "identifier"))
