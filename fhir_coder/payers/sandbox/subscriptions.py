"""Subscriptions the sandbox takes, and the notifications they lead to.

Two kinds: criteria of R4 (2.46: `ClaimResponse?...`), and topics (R5 Subscriptions Backport), of which there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fhir_coder.model import Json
from fhir_coder.payers.answer import member, objects, text
from fhir_coder.payers.sandbox.search import PARAMETERS, Search, SearchError, read_search
from fhir_coder.payers.sandbox.validate import issue

TOPIC = "http://hl7.org/fhir/us/davinci-pas/SubscriptionTopic/PASSubscriptionTopic"
"""The topic of Da Vinci PAS: the result of a claim that was pended is there."""

_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"
_CONTENTS = ("empty", "id-only", "full-resource")


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription the sandbox has; `base` is the FHIR address it was made at, `events` how many it was told of."""

    id: str
    base: str
    resource: Json
    events: int = 0

    @property
    def is_topic(self) -> bool:
        """Whether it is about a topic, not about criteria."""
        return text(self.resource, "criteria") == TOPIC

    @property
    def kind(self) -> str:
        """The kind of resource its criteria are about."""
        return text(self.resource, "criteria").partition("?")[0]

    @property
    def endpoint(self) -> str:
        """Where notifications go, without a slash at the end."""
        return text(member(self.resource, "channel"), "endpoint").rstrip("/")

    @property
    def headers(self) -> dict[str, str]:
        """The headers the subscriber wants on each notification."""
        listed = _headers(self.resource)
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in listed)}

    @property
    def payload(self) -> str:
        """The media type of the content; empty where notifications have none."""
        return text(member(self.resource, "channel"), "payload")

    @property
    def content(self) -> str:
        """How much a notification about a topic tells: empty, id-only or full-resource."""
        said = _extension(member(self.resource, "channel", "_payload"), "payload-content", "valueCode")
        return said if said in _CONTENTS else "empty"

    def search(self, now: datetime) -> Search:
        """The criteria as a search. Raises SearchError."""
        return criteria(text(self.resource, "criteria"), now)

    def wants_organization(self, identifiers: Sequence[str]) -> bool:
        """Whether the filter of the topic lets a claim of these organizations through."""
        said = _extension(member(self.resource, "_criteria"), "filter-criteria", "valueString")
        name, _, wanted = said.rpartition("=")
        return name.rpartition("?")[2] != "orgIdentifier" or wanted.rpartition("|")[2] in identifiers


def criteria(said: str, now: datetime) -> Search:
    """Criteria of R4 as a search. Raises SearchError, also for a kind of resource that nothing is told of."""
    kind, _, query = said.partition("?")
    if kind not in PARAMETERS:
        raise SearchError("criteria", "Criteria are about Claim or ClaimResponse, or are the topic of PAS.")
    return read_search(kind, parse_qsl(query), now, strict=True)


def subscription_faults(resource: Any, now: datetime) -> list[Json]:
    """Why a subscription is not taken, as issues."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Subscription":
        return [issue("structure", "", "The body is no Subscription.")]
    found, channel = [], member(resource, "channel")
    address = text(channel, "endpoint")
    if text(channel, "type") != "rest-hook":
        found.append(issue("not-supported", "Subscription.channel.type", "The channel is not rest-hook."))
    if not _is_address(address):
        found.append(issue("value", "Subscription.channel.endpoint", "The endpoint is no http or https address."))
    if text(channel, "payload") not in ("", "application/fhir+json", "application/json"):
        found.append(issue("not-supported", "Subscription.channel.payload", "The payload is not FHIR's JSON."))
    if any(not _is_header(line) for line in _headers(resource)):
        found.append(issue("value", "Subscription.channel.header", "A header is not `Name: value`."))
    try:
        if text(resource, "criteria") != TOPIC:
            criteria(text(resource, "criteria"), now)
    except SearchError as error:
        found.append(issue("not-supported", "Subscription.criteria", str(error)))
    return found


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and address.isprintable()


def _headers(resource: Json) -> list[str]:
    listed = member(resource, "channel").get("header")
    return [line for line in listed if isinstance(line, str)] if isinstance(listed, list) else []


def _is_header(line: str) -> bool:
    name, colon, value = line.partition(":")
    return bool(colon) and name.strip().replace("-", "").isalnum() and value.isascii() and value.isprintable()


def _extension(holder: Json, name: str, value: str) -> str:
    return next((text(e, value) for e in objects(holder, "extension") if text(e, "url") == f"{_BACKPORT}{name}"), "")


def topic_bundle(subscribed: Subscribed, kind: str, at: datetime, told: tuple[str, Json] | None = None) -> Json:
    """A notification of the Backport (R4 form) or, of kind handshake, the greeting; `told` is an address and what is
    there."""
    moment = at.isoformat(timespec="milliseconds")
    status: list[Json] = [
        {"name": "subscription", "valueReference": {"reference": f"{subscribed.base}/Subscription/{subscribed.id}"}},
        {"name": "topic", "valueCanonical": TOPIC},
        {"name": "status", "valueCode": text(subscribed.resource, "status")},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(subscribed.events)},
    ]
    shown = told if told and subscribed.content != "empty" else None
    if told:
        focus = [{"name": "focus", "valueReference": {"reference": told[0]}}] if shown else []
        event = [
            {"name": "event-number", "valueString": str(subscribed.events)},
            {"name": "timestamp", "valueInstant": moment},
        ]
        status.append({"name": "notification-event", "part": [*event, *focus]})
    parameters = {"resourceType": "Parameters", "parameter": status}
    entries = [_entry(f"{subscribed.base}/Subscription/{subscribed.id}/$status", parameters)]
    if shown and subscribed.content == "full-resource":
        entries.append(_entry(*shown))
    return {"resourceType": "Bundle", "type": "history", "timestamp": moment, "entry": entries}


def _entry(address: str, resource: Json) -> Json:
    return {
        "fullUrl": address,
        "resource": resource,
        "request": {"method": "GET", "url": address},
        "response": {"status": "200"},
    }
