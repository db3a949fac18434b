"""What came of an interaction as a FHIR server tells it: status, version, place, body."""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from typing import Protocol

from fastapi import Response

from fhir_coder.claims import to_bytes
from fhir_coder.model import Json
from fhir_coder.store.fhir_resources import REFUSED, Asked, Came, Done, Filed, Interaction
from fhir_coder.store.messages import Kept
from fhir_coder.web.fhir_conditions import Return
from fhir_coder.web.refusal import FHIR_JSON, issue, outcome, outcome_of

STATUS: dict[Came, int] = {
    "created": 201,
    "updated": 200,
    "deleted": 204,
    "repeated": 200,
    "matched": 200,
    "several_match": 412,
    "other_version": 412,
}
REASON = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found"}
REASON |= {405: "Method Not Allowed", 412: "Precondition Failed", 422: "Unprocessable Entity"}
_CONDITION = {
    "several_match": ("multiple-matches", "several resources have the identifier of If-None-Exist"),
    "other_version": ("conflict", "the version of If-Match is not the newest"),
}


class Sent(Protocol):
    """What one request sent: what is to be filed of it, and how it is answered once that is done."""

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What is to be filed."""

    def answer(self, filed: list[Filed], base: str, wanted: Return) -> Response:
        """The answer. `base` is the address that resources are below."""


def status_of(one: Interaction, done: Done) -> int:
    """The HTTP status of what came of an interaction."""
    return 204 if one.method == "DELETE" and done.came == "repeated" else STATUS[done.came]


def refusal_of(done: Done, expression: str = "") -> Json:
    """The issue of a condition that did not hold."""
    code, text = _CONDITION[done.came]
    return issue("error", code, text, expression)


def place_of(one: Interaction, done: Done) -> str:
    """Where a version is, below the base."""
    return f"{one.type}/{done.id}/_history/{done.version}"


def etag_of(done: Done) -> str:
    """A version as an entity tag."""
    return f'W/"{done.version}"'


def instant_of(at: datetime) -> str:
    """A moment as a FHIR instant."""
    return at.isoformat(timespec="milliseconds")


def told_of(kept: Kept | None) -> Json:
    """What was done with a payload, as an issue."""
    if kept is None:
        return issue("information", "informational", "nothing was to be done")
    text = f"already kept as message {kept.id}" if kept.repeat else f"kept as message {kept.id}"
    return issue("information", "informational", text)


def as_taken(resource: Json, done: Done) -> Json:
    """A resource with the id and the version it was given."""
    meta = resource.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    meta["versionId"] = str(done.version)
    if done.changed_at:
        meta["lastUpdated"] = instant_of(done.changed_at)
    return {"resourceType": resource["resourceType"], "id": done.id, "meta": meta} | {
        name: value for name, value in resource.items() if name not in ("resourceType", "id", "meta")
    }


def answer_one(one: Interaction, resource: Json, filed: Filed, base: str, wanted: Return) -> Response:
    """The answer to a request about one resource."""
    (done,) = filed.done
    status = status_of(one, done)
    if done.came in REFUSED:
        return outcome(status, [refusal_of(done)])
    headers = {"ETag": etag_of(done)}
    if status != 204:
        headers["Location"] = f"{base}/{place_of(one, done)}"
    if done.changed_at:
        headers["Last-Modified"] = format_datetime(done.changed_at, usegmt=True)
    if status == 204:
        return Response(status_code=204, headers=headers)
    if wanted == "OperationOutcome":
        return _preferred(to_bytes(outcome_of([told_of(filed.kept)])), status, headers, wanted)
    if wanted == "representation" and done.came != "matched":  # what matches was sent by another message
        return _preferred(to_bytes(as_taken(resource, done)), status, headers, wanted)
    return Response(status_code=status, headers=headers, media_type=FHIR_JSON)


def _preferred(body: bytes, status: int, headers: dict[str, str], wanted: Return) -> Response:
    applied = headers | {"Preference-Applied": f"return={wanted}"}
    return Response(body, status_code=status, headers=applied, media_type=FHIR_JSON)
