"""FHIR payloads that are only handed in: NDJSON lines, documents, messages, collections, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import Response

from fhir_coder import fhir
from fhir_coder.errors import UnreadableError
from fhir_coder.intake.payloads import header_or_fault
from fhir_coder.model import Header, Json, MessageFormat
from fhir_coder.store.fhir_resources import Asked, Filed, Interaction
from fhir_coder.store.messages import Incoming
from fhir_coder.web.fhir_answer import told_of
from fhir_coder.web.fhir_checks import FhirFeed, fault_text, faults_of, identifiers_of, is_id, root_of
from fhir_coder.web.fhir_conditions import Return
from fhir_coder.web.refusal import issue, outcome

_UNKNOWN = Header(MessageFormat.UNKNOWN)


class HandedIn:
    """Payloads that are kept each for itself and answered with an issue each."""

    def __init__(self, feed: FhirFeed, payloads: Sequence[bytes]) -> None:
        self.asked = tuple(_asked(feed, payload) for payload in payloads)

    def answer(self, filed: list[Filed], base: str, wanted: Return) -> Response:  # noqa: ARG002 as `Sent` says
        """200, or 400 where one could not be read."""
        told = [_told(one, came) for one, came in zip(self.asked, filed, strict=True)]
        return outcome(400 if any(one.incoming.fault for one in self.asked) else 200, told)


class Refused:
    """A payload whose content cannot be taken: kept in quarantine, answered with what is wrong about it."""

    def __init__(self, feed: FhirFeed, payload: bytes, resource: Json, faults: Sequence[Json], status: int) -> None:
        self.asked = (quarantined(feed, payload, resource, faults),)
        self._faults, self._status = faults, status

    def answer(self, filed: list[Filed], base: str, wanted: Return) -> Response:  # noqa: ARG002 as `Sent` says
        """The faults, and where it is kept."""
        return outcome(self._status, [*self._faults, told_of(filed[0].kept)])


def quarantined(feed: FhirFeed, payload: bytes, resource: Json, faults: Sequence[Json]) -> Asked:
    """A payload that is kept for a person."""
    name = resource.get("resourceType")
    header = Header(MessageFormat.FHIR, str(name)) if name in fhir.KNOWN_TYPES else _UNKNOWN
    return Asked(Incoming(feed.name, header, payload, fault_text(faults)))


def _asked(feed: FhirFeed, payload: bytes) -> Asked:
    header, fault = header_or_fault(payload)
    if not fault and header.format is not MessageFormat.FHIR:
        header, fault = _UNKNOWN, "not FHIR JSON"
    if fault:
        return Asked(Incoming(feed.name, header, payload, fault))
    resource = fhir.load(payload)
    faults = faults_of(resource, root_of(resource), feed)
    if faults:
        return quarantined(feed, payload, resource, faults)
    return Asked(Incoming(feed.name, header, payload), tuple(_named(resource)), checked=feed.rejects_invalid)


def _named(resource: Json) -> Iterator[Interaction]:
    """The resources that are known by their ids from now on: the payload's own, or those of a Bundle's entries."""
    if resource["resourceType"] != "Bundle":
        yield from _noted(resource, resource["resourceType"])
        return
    entries = resource.get("entry")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inner, dict):
            yield from _noted(inner, f"Bundle.entry[{index}].resource")


def _noted(resource: Json, path: str) -> Iterator[Interaction]:
    if is_id(resource.get("id")) and resource.get("resourceType") in fhir.KNOWN_TYPES:
        name, resource_id = resource["resourceType"], resource["id"]
        yield Interaction("PUT", name, path, resource_id, identifiers_of(resource))


def _told(asked: Asked, filed: Filed) -> Json:
    if asked.incoming.fault and filed.kept:
        return issue("error", "structure", f"{asked.incoming.fault} (kept as message {filed.kept.id})")
    return told_of(filed.kept)


def loaded(payload: bytes) -> Json | None:
    """A payload as a resource, None where it is none."""
    try:
        return fhir.load(payload)
    except UnreadableError:
        return None
