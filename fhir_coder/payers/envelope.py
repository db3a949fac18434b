"""A claim with its parties contained, put into the envelope that a payer asks for. Bytes in, bytes out.

What is made is the same however often it is made: a repeat sends the same bytes under the same names.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Identifier, Json
from fhir_coder.payers.answer import objects, read_json, text

_NAMES = uuid.UUID("8f6b7b0e-0a55-5f0e-9c9c-6d7f3e0a2b11")
"""The namespace of the names given to a claim's parties (RFC 9562 5.5)."""


def bundled(claim: bytes, identifier: Identifier, *, transaction: bool = False) -> bytes:
    """A Bundle with the claim first and its parties after it, of type collection or transaction.

    In a transaction the claim is created only where no claim has its identifier (R4 3.1.0.11.2), and so is a party that
    has an identifier of its own.
    """
    entries = entries_of(read_json(claim), identifier)
    if transaction:
        entries = [entry | {"request": _request(entry["resource"])} for entry in entries]
    made: Json = {
        "resourceType": "Bundle",
        "identifier": {"system": identifier.system, "value": identifier.value},
        "type": "transaction" if transaction else "collection",
        "timestamp": timestamp_of(entries[0]["resource"]),
        "entry": entries,
    }
    return to_bytes(made)


def referring(claim: bytes) -> bytes:
    """The claim with each party that has an identifier named by it (R4 2.3.0.2), the others still contained.

    For a payer whose server holds the parties already. The reference tells the type of what it names.
    """
    told: Json = read_json(claim)
    known = {f"#{r['id']}": _logical(r) for r in objects(told, "contained")}
    named = {reference: logical for reference, logical in known.items() if logical}
    kept = [r for r in objects(told, "contained") if f"#{r['id']}" not in named]
    rest = {k: v for k, v in told.items() if k != "contained"}
    changed: Json = with_references({"contained": kept, **rest} if kept else rest, named.get)
    return to_bytes({"resourceType": "Claim", **changed})


def entries_of(claim: Json, identifier: Identifier) -> list[Json]:
    """The claim and what it contains as entries of a Bundle: each has a name, and references go by names."""
    names = {f"#{r['id']}": full_url(identifier, r["id"]) for r in objects(claim, "contained")}
    rest = {k: v for k, v in claim.items() if k != "contained"}
    listed = [(full_url(identifier, ""), rest)]
    listed += [(names[f"#{r['id']}"], {k: v for k, v in r.items() if k != "id"}) for r in objects(claim, "contained")]
    return [{"fullUrl": url, "resource": with_references(resource, _by_name(names))} for url, resource in listed]


def full_url(identifier: Identifier, local_id: str) -> str:
    """The name of a claim (empty `local_id`) or of one of its parties within its Bundle."""
    return f"urn:uuid:{uuid.uuid5(_NAMES, f'{identifier.system}|{identifier.value}#{local_id}')}"


def with_references(element: Any, change: Callable[[str], Json | None]) -> Any:
    """The element with every reference that `change` knows replaced by what it gives."""
    if isinstance(element, list):
        return [with_references(one, change) for one in element]
    if not isinstance(element, dict):
        return element
    reference = element.get("reference")
    changed = change(reference) if isinstance(reference, str) else None
    if changed is not None:
        return {k: v for k, v in element.items() if k != "reference"} | changed
    return {k: with_references(v, change) for k, v in element.items()}


def timestamp_of(claim: Json) -> str:
    """The instant a Bundle bears: the claim's own date, so that a repeat is the same Bundle."""
    created = text(claim, "created")
    return created if "T" in created else f"{created}T00:00:00Z"


def _by_name(names: Mapping[str, str]) -> Callable[[str], Json | None]:
    return lambda reference: {"reference": names[reference]} if reference in names else None


def _logical(resource: Json) -> Json | None:
    """A reference by the first identifier that has a system."""
    found = (i for i in objects(resource, "identifier") if text(i, "system") and text(i, "value"))
    identifier = next(found, None)
    return {"type": resource["resourceType"], "identifier": identifier} if identifier else None


def _request(resource: Json) -> Json:
    kind = resource["resourceType"]
    known = (_logical(resource) or {}).get("identifier")
    request = {"method": "POST", "url": kind}
    if known is None:
        return request
    return request | {"ifNoneExist": f"identifier={search_token(Identifier(known['value'], known['system']))}"}


def search_token(identifier: Identifier) -> str:
    """`system|value` as a search parameter: FHIR's separators escaped (R4 3.1.1.4.5), then percent-encoded."""
    parts = (identifier.system, identifier.value)
    return "|".join(quote(_escaped(part), safe=":/-._~") for part in parts)


def _escaped(part: str) -> str:
    for sign in ("\\", "|", ",", "$"):
        part = part.replace(sign, f"\\{sign}")
    return part
