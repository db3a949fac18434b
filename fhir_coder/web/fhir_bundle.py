"""Transactions and batches (FHIR R4 section 3.1.0.11): entries to interactions, and the Bundle that answers them.

The Bundle is one message. Of a batch, entries that cannot be taken are left out of it and kept in quarantine beside it;
of a transaction they refuse it all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Response

from fhir_coder import fhir
from fhir_coder.claims import to_bytes
from fhir_coder.model import Header, Json, MessageFormat
from fhir_coder.store.fhir_resources import REFUSED, Asked, Done, Filed, Interaction, Method
from fhir_coder.store.messages import Incoming
from fhir_coder.web.fhir_answer import (
    REASON,
    as_taken,
    etag_of,
    instant_of,
    place_of,
    refusal_of,
    status_of,
    told_of,
)
from fhir_coder.web.fhir_checks import FhirFeed, faults_of, identifiers_of, is_id
from fhir_coder.web.fhir_conditions import Return, identifier_wanted, version_wanted
from fhir_coder.web.fhir_payloads import quarantined
from fhir_coder.web.refusal import FHIR_JSON, RefusalError, issue, outcome, outcome_of

_ORDER = ("DELETE", "POST", "PUT")
_TO_TYPE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]*)/?")
_TO_RESOURCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]*)/([^/?]+)")
_URN = re.compile(r"urn:[A-Za-z0-9-]+:(\S+)")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry: what it asks for, or why it is refused. `is_content`: for what its resource is, which is kept."""

    index: int
    resource: Json
    interaction: Interaction | None = None
    status: int = 0
    faults: tuple[Json, ...] = ()
    is_content: bool = False


class _EntryError(Exception):
    """An entry that asks for something that is not done."""

    def __init__(self, status: int, code: str, text: str, where: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.where = status, code, text, where


class BundleSent:
    """A transaction or a batch."""

    def __init__(self, feed: FhirFeed, body: bytes, bundle: Json) -> None:
        self._is_whole = bundle["type"] == "transaction"
        self._entries = _entries(feed, bundle)
        if self._is_whole:
            self._entries = _without_overlap(self._entries)
        self._refused = [entry for entry in self._entries if entry.faults]
        self._ordered = [entry for entry in self._entries if not entry.faults]
        if self._is_whole:
            self._ordered.sort(key=lambda e: _ORDER.index(e.interaction.method) if e.interaction else 0)
        self.asked = tuple(self._asked(feed, body, bundle))

    def _asked(self, feed: FhirFeed, body: bytes, bundle: Json) -> Iterator[Asked]:
        content = [entry for entry in self._refused if entry.is_content]
        if self._is_whole and self._refused:
            if content:
                yield quarantined(feed, body, bundle, [fault for entry in self._refused for fault in entry.faults])
            return
        interactions = tuple(entry.interaction for entry in self._ordered if entry.interaction)
        if interactions:
            incoming = Incoming(feed.name, Header(MessageFormat.FHIR, "Bundle"), body)
            left_out = frozenset(path for entry in self._refused for path in _paths(entry.index))
            yield Asked(incoming, interactions, self._is_whole, left_out, feed.rejects_invalid)
        for entry in content:
            yield quarantined(feed, to_bytes(entry.resource), entry.resource, entry.faults)

    def answer(self, filed: list[Filed], base: str, wanted: Return) -> Response:  # noqa: ARG002 as `Sent` says
        """The Bundle of responses, in the order of the entries; an OperationOutcome where a transaction is refused."""
        if self._is_whole and self._refused:
            faults = [fault for entry in self._refused for fault in entry.faults]
            kept = [told_of(one.kept) for one in filed]
            return outcome(422 if kept else 400, [*faults, *kept])
        done = dict(zip([e.index for e in self._ordered], filed[0].done, strict=True)) if self._ordered else {}
        if self._is_whole and any(one.came in REFUSED for one in done.values()):
            failed = [(index, one) for index, one in sorted(done.items()) if one.came in REFUSED]
            return outcome(412, [refusal_of(one, f"Bundle.entry[{index}].request") for index, one in failed])
        told = [_response(entry, done.get(entry.index), wanted) for entry in self._entries]
        kind = "transaction-response" if self._is_whole else "batch-response"
        body: Json = {"resourceType": "Bundle", "type": kind}
        return Response(to_bytes(body | {"entry": told} if told else body), media_type=FHIR_JSON)


def _entries(feed: FhirFeed, bundle: Json) -> list[_Entry]:
    return [_entry(feed, index, entry) for index, entry in enumerate(bundle.get("entry", []))]


def _entry(feed: FhirFeed, index: int, entry: Any) -> _Entry:
    path = f"Bundle.entry[{index}]"
    resource = entry.get("resource") if isinstance(entry, dict) else None
    resource = resource if isinstance(resource, dict) else {}
    try:
        one = _interaction(entry, resource, path)
    except _EntryError as error:
        fault = issue("error", error.code, error.text, error.where)
        return _Entry(index, resource, None, error.status, (fault,))
    except RefusalError as error:
        fault = issue("error", error.code, error.text, f"{path}.request")
        return _Entry(index, resource, None, error.status, (fault,))
    if one.method == "DELETE":
        return _Entry(index, resource, one)
    faults = tuple(faults_of(resource, one.path, feed))
    if faults:
        return _Entry(index, resource, one, 422, faults, is_content=True)
    return _Entry(index, resource, one)


def _interaction(entry: Any, resource: Json, path: str) -> Interaction:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        raise _EntryError(400, "required", "an entry says in its request what is asked for", f"{path}.request")
    for name in ("method", "url", "ifMatch", "ifNoneExist"):
        if not isinstance(request.get(name, ""), str):
            raise _EntryError(400, "structure", "this is text", f"{path}.request.{name}")
    method: Method
    if request.get("method") == "DELETE":
        resource_type, resource_id = _address(request, path)
        only = version_wanted(request.get("ifMatch", ""))
        return Interaction("DELETE", resource_type, f"{path}.request", resource_id, only_version=only)
    if request.get("method") == "POST":
        method, resource_type, resource_id = "POST", _type_address(request, path), _given_id(entry, resource)
    elif request.get("method") == "PUT":
        method = "PUT"
        resource_type, resource_id = _address(request, path)
    else:
        text = "entries are POST, PUT or DELETE: see the CapabilityStatement"
        raise _EntryError(405, "not-supported", text, f"{path}.request.method")
    _check_resource(resource, resource_type, path)
    if method == "PUT" and resource.get("id") != resource_id:
        raise _EntryError(400, "value", "the id of the resource is not that of the request", f"{path}.resource.id")
    return Interaction(
        method,
        resource_type,
        f"{path}.resource",
        resource_id,
        identifiers_of(resource),
        version_wanted(request.get("ifMatch", "")) if method == "PUT" else None,
        identifier_wanted(request.get("ifNoneExist", ""), resource_type) if method == "POST" else "",
    )


def _check_resource(resource: Json, resource_type: str, path: str) -> None:
    if not resource:
        raise _EntryError(400, "required", "there is no resource", f"{path}.resource")
    if resource.get("resourceType") != resource_type:
        text = "the type of the resource is not that of the request"
        raise _EntryError(400, "value", text, f"{path}.resource.resourceType")


def _type_address(request: Json, path: str) -> str:
    found = _TO_TYPE.fullmatch(request.get("url", ""))
    if found is None or found[1] not in fhir.KNOWN_TYPES:
        raise _EntryError(404, "not-found", "this is no resource type", f"{path}.request.url")
    return found[1]


def _address(request: Json, path: str) -> tuple[str, str]:
    found = _TO_RESOURCE.fullmatch(request.get("url", ""))
    if found is None or found[1] not in fhir.KNOWN_TYPES or not is_id(found[2]):
        text = "this is no address of a resource, which is its type and id"
        raise _EntryError(404, "not-found", text, f"{path}.request.url")
    return found[1], found[2]


def _given_id(entry: Json, resource: Json) -> str:
    """The id that references in the Bundle lead to: the resource's own, else that of its fullUrl."""
    if "id" in resource:
        return resource["id"] if is_id(resource["id"]) else ""
    full_url = entry.get("fullUrl")
    if not isinstance(full_url, str):
        return ""
    if urn := _URN.fullmatch(full_url.strip()):
        return urn[1] if is_id(urn[1]) else ""
    named = _TO_RESOURCE.fullmatch(full_url.strip())
    return named[2] if named and named[1] == resource.get("resourceType") and is_id(named[2]) else ""


def _without_overlap(entries: Sequence[_Entry]) -> list[_Entry]:
    """The entries of a transaction, those refused that change one resource twice."""
    named = [(e.interaction.type, e.interaction.id) for e in entries if e.interaction and e.interaction.id]
    twice = {name for name, times in Counter(named).items() if times > 1}
    return [
        _overlapping(e) if e.interaction and (e.interaction.type, e.interaction.id) in twice else e for e in entries
    ]


def _overlapping(entry: _Entry) -> _Entry:
    text = "another entry of the transaction changes the same resource"
    fault = issue("error", "duplicate", text, f"Bundle.entry[{entry.index}]")
    return replace(entry, status=400, faults=(*entry.faults, fault))


def _paths(index: int) -> tuple[str, str]:
    return f"Bundle.entry[{index}].resource", f"Bundle.entry[{index}].request"


def _response(entry: _Entry, done: Done | None, wanted: Return) -> Json:
    if done is None or entry.interaction is None:
        return {"response": {"status": _status(entry.status), "outcome": outcome_of(entry.faults)}}
    one, status = entry.interaction, status_of(entry.interaction, done)
    if done.came in REFUSED:
        fault = refusal_of(done, f"Bundle.entry[{entry.index}].request")
        return {"response": {"status": _status(status), "outcome": outcome_of([fault])}}
    response: Json = {"status": _status(status), "etag": etag_of(done)}
    if status != 204:
        response["location"] = place_of(one, done)
    if done.changed_at:
        response["lastModified"] = instant_of(done.changed_at)
    if wanted == "OperationOutcome":
        response["outcome"] = outcome_of([issue("information", "informational", done.came)])
    if wanted == "representation" and status != 204 and done.came != "matched":
        return {"resource": as_taken(entry.resource, done), "response": response}
    return {"response": response}


def _status(status: int) -> str:
    return f"{status} {REASON[status]}"
