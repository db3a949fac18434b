"""One FHIR resource: created, updated, or deleted (FHIR R4 section 3.1.0)."""

from __future__ import annotations

import orjson
from fastapi import Response

from fhir_coder import fhir
from fhir_coder.intake.payloads import payloads_in
from fhir_coder.model import Header, Json, MessageFormat
from fhir_coder.store.fhir_resources import Asked, Filed, Interaction
from fhir_coder.store.messages import Incoming
from fhir_coder.web.fhir_answer import Sent, answer_one
from fhir_coder.web.fhir_bundle import BundleSent
from fhir_coder.web.fhir_checks import FhirFeed, faults_of, identifiers_of, is_id, root_of
from fhir_coder.web.fhir_conditions import Return, identifier_wanted, version_wanted
from fhir_coder.web.fhir_payloads import HandedIn, Refused, loaded
from fhir_coder.web.refusal import RefusalError, issue

_INTERACTIVE = ("transaction", "batch")


class OneResource:
    """A resource that is filed under an id, and answered with its place and version."""

    def __init__(self, asked: Asked, resource: Json) -> None:
        self.asked, self._resource = (asked,), resource

    def answer(self, filed: list[Filed], base: str, wanted: Return) -> Response:
        """The version that it is now."""
        return answer_one(self.asked[0].interactions[0], self._resource, filed[0], base, wanted)


def posted_to_base(feed: FhirFeed, body: bytes, unless: str) -> Sent:
    """What was posted to the base: a resource, a Bundle, NDJSON. `unless` is If-None-Exist as sent."""
    payloads = list(payloads_in(body)) or [body]
    resource = loaded(payloads[0]) if len(payloads) == 1 else None
    if resource is None:
        return HandedIn(feed, payloads)
    if resource["resourceType"] != "Bundle":
        return posted(feed, payloads[0], resource, unless)
    if resource.get("type") not in _INTERACTIVE:
        return HandedIn(feed, payloads)
    if not isinstance(resource.get("entry", []), list):
        fault = issue("error", "structure", "the entries of a Bundle are a list", "Bundle.entry")
        return Refused(feed, payloads[0], resource, [fault], 422)
    return BundleSent(feed, payloads[0], resource)


def posted(feed: FhirFeed, body: bytes, resource: Json, unless: str) -> Sent:
    """A resource to create; one that has an id keeps it, as references of its system lead there."""
    name = resource["resourceType"]
    given = str(resource.get("id", ""))
    wanted = identifier_wanted(unless, name)
    one = Interaction("POST", name, name, given, identifiers_of(resource), unless=wanted)
    return _checked(feed, body, resource, one)


def posted_to_type(feed: FhirFeed, body: bytes, resource_type: str, unless: str) -> Sent:
    """What was posted to a type's address. Raises RefusalError where it is of another type."""
    _check_type(resource_type)
    resource = loaded(body)
    if resource is None:
        return HandedIn(feed, [body])
    _check_same(resource, resource_type)
    return posted(feed, body, resource, unless)


def put(feed: FhirFeed, body: bytes, name: tuple[str, str], if_match: str) -> Sent:
    """A resource put at its own address, `name` being type and id. Raises RefusalError where it is another's."""
    resource_type, resource_id = name
    check_address(resource_type, resource_id)
    resource = loaded(body)
    if resource is None:
        return HandedIn(feed, [body])
    _check_same(resource, resource_type)
    if resource.get("id") != resource_id:
        raise RefusalError(400, "value", "the id of the resource is not that of the address")
    only = version_wanted(if_match)
    one = Interaction("PUT", resource_type, resource_type, resource_id, identifiers_of(resource), only)
    return _checked(feed, body, resource, one)


def deleted(feed: FhirFeed, name: tuple[str, str], if_match: str) -> Sent:
    """A resource to be taken back. Raises RefusalError.

    A request without a body is kept as the Bundle that says the same; its type names what was asked for.
    """
    resource_type, resource_id = name
    check_address(resource_type, resource_id)
    request = {"method": "DELETE", "url": f"{resource_type}/{resource_id}"}
    body = orjson.dumps({"resourceType": "Bundle", "type": "batch", "entry": [{"request": request}]})
    one = Interaction(
        "DELETE", resource_type, "Bundle.entry[0].request", resource_id, only_version=version_wanted(if_match)
    )
    incoming = Incoming(feed.name, Header(MessageFormat.FHIR, f"{fhir.DELETE}{resource_type}"), body)
    return OneResource(Asked(incoming, (one,), checked=True), {})


def check_address(resource_type: str, resource_id: str) -> None:
    """Raises RefusalError where no resource can have this address."""
    _check_type(resource_type)
    if not is_id(resource_id):
        raise RefusalError(400, "value", "an id is 1 to 64 letters, digits, - and .")


def _check_type(resource_type: str) -> None:
    if resource_type not in fhir.KNOWN_TYPES:
        raise RefusalError(404, "not-found", "FHIR has no resource type of this name")


def _check_same(resource: Json, resource_type: str) -> None:
    if resource["resourceType"] != resource_type:
        raise RefusalError(400, "value", "the type of the resource is not that of the address")


def _checked(feed: FhirFeed, body: bytes, resource: Json, one: Interaction) -> Sent:
    faults = faults_of(resource, root_of(resource), feed)
    if faults:
        return Refused(feed, body, resource, faults, 422)
    incoming = Incoming(feed.name, Header(MessageFormat.FHIR, one.type), body)
    return OneResource(Asked(incoming, (one,), checked=feed.rejects_invalid), resource)
