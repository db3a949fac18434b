"""What a FHIR server's answers say: pages of a search, what it can do, what a resource refers to. Pure.

Resources are cut out of their page as the server wrote them, so that what is kept is what was sent, digit by digit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from fhir_coder import fhir
from fhir_coder.errors import UnreadableError
from fhir_coder.model import Json
from fhir_coder.payers.answer import member, objects, read_json, text

_VALUE = json.JSONDecoder().raw_decode
_BLANKS_AND_MARK = re.compile(r"[ \t\r\n]*[,:]?[ \t\r\n]*")
_LOCAL = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?")

REFERRED: Mapping[str, tuple[str, ...]] = {
    "Encounter": (
        "subject",
        "participant.individual",
        "participant.actor",
        "serviceProvider",
        "location.location",
        "diagnosis.condition",
        "reasonReference",
        "account",
    ),
    "Condition": ("subject", "encounter"),
    "Procedure": ("subject", "encounter", "performer.actor", "performer.onBehalfOf", "location", "reasonReference"),
    "ChargeItem": (
        "subject",
        "context",
        "encounter",
        "performer.actor",
        "performingOrganization",
        "service",
        "supportingInformation",
        "account",
    ),
    "Immunization": ("patient", "encounter", "performer.actor", "location"),
    "Account": ("subject", "coverage.coverage"),
    "Coverage": ("beneficiary", "subscriber", "policyHolder", "payor"),
    "ExplanationOfBenefit": ("patient", "insurance.coverage"),
    "PractitionerRole": ("practitioner", "organization"),
}
"""The elements whose references lead to what a bill needs, R4's and R5's, by resource type."""

_INCLUDES: Mapping[str, tuple[str, ...]] = {
    "Encounter": (
        "patient",
        "practitioner",
        "participant",
        "service-provider",
        "location",
        "diagnosis",
        "reason-reference",
        "account",
    ),
    "Condition": ("patient", "encounter"),
    "Procedure": ("patient", "encounter", "performer", "location", "reason-reference"),
    "ChargeItem": ("patient", "context", "performer-actor", "performing-organization", "service", "account"),
    "Immunization": ("patient", "performer", "location"),
    "Account": ("patient",),
    "Coverage": ("beneficiary", "payor"),
    "ExplanationOfBenefit": ("patient", "coverage"),
}
"""The search parameters whose targets come along (`_include`), where the server says it can."""


@dataclass(frozen=True, slots=True)
class Found:
    """One resource of a page: its bytes as sent, read, and whether it was searched for or came along."""

    body: bytes
    json: Json
    is_match: bool = True

    @property
    def type(self) -> str:
        """The resource type, empty where it names none."""
        return text(self.json, "resourceType")

    @property
    def ref(self) -> str:
        """`Type/id`, empty where it has no id."""
        own_id = text(self.json, "id")
        return f"{self.type}/{own_id}" if own_id else ""

    @property
    def last_updated(self) -> datetime | None:
        """meta.lastUpdated, None where it is missing or no instant."""
        return read_instant(text(member(self.json, "meta"), "lastUpdated"))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search. `is_sorted`: the server says that it did sort by time of change (R4 3.1.1.3.5)."""

    found: tuple[Found, ...]
    next_link: str
    is_sorted: bool


def read_page(body: bytes) -> Page:
    """The page in an answer. OperationOutcomes among the entries are left out. Raises UnreadableError."""
    # Not by `fhir.load`: one resource that breaks a rule of FHIR's must not keep its page from being read.
    bundle = read_json(body)
    if text(bundle, "resourceType") != "Bundle":
        raise UnreadableError("resourceType", "not_a_bundle", "the answer to a search is no Bundle")
    links = {text(link, "relation"): text(link, "url") for link in objects(bundle, "link")}
    entries = [entry for entry in objects(bundle, "entry") if isinstance(entry.get("resource"), dict)]
    try:
        sent = list(_resources_as_sent(body))
        found = [_found(raw, entry) for raw, entry in zip(sent, entries, strict=True)]
    except (ValueError, IndexError, RecursionError):  # a member twice: two readers could see two pages
        raise UnreadableError("Bundle.entry", "ambiguous", "the page can be read in two ways") from None
    kept = tuple(one for one in found if one.type != "OperationOutcome")
    return Page(kept, links.get("next", ""), "_sort=_lastUpdated" in links.get("self", ""))


def _found(raw: bytes, entry: Json) -> Found:
    return Found(raw, entry["resource"], is_match=text(member(entry, "search"), "mode") != "include")


def _resources_as_sent(body: bytes) -> Iterator[bytes]:
    """The bytes of `Bundle.entry.resource`, in order. The body is known to be JSON."""
    page = body.decode("utf-8-sig")
    for name, entries, _ in _members(page, page.index("{")):
        if name == "entry" and page[entries] == "[":
            for entry in _objects_in(page, entries):
                yield from (
                    page[s:e].encode() for n, s, e in _members(page, entry) if n == "resource" and page[s] == "{"
                )


def _members(page: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of each member of the object that begins at a place."""
    at = _after(page, at + 1)
    while page[at] != "}":
        name, at = _VALUE(page, at)
        start = _after(page, at)
        _, end = _VALUE(page, start)
        yield name, start, end
        at = _after(page, end)


def _objects_in(page: str, at: int) -> Iterator[int]:
    """The start of each object in the array that begins at a place."""
    at = _after(page, at + 1)
    while page[at] != "]":
        if page[at] == "{":
            yield at
        _, end = _VALUE(page, at)
        at = _after(page, end)


def _after(page: str, at: int) -> int:
    """The place of the next value: behind blanks, and a comma or colon among them."""
    found = _BLANKS_AND_MARK.match(page, at)
    return found.end() if found else at


def read_instant(said: str) -> datetime | None:
    """A FHIR instant as an aware time, None where it is none."""
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None


# --- what a resource refers to


def references_of(resource: Json, base: str) -> list[str]:
    """`Type/id` of all a bill needs of what a resource refers to; what is on other servers is left out."""
    paths = REFERRED.get(text(resource, "resourceType"), ())
    said = (text(reference, "reference") for path in paths for reference in _down(resource, path.split(".")))
    return list(dict.fromkeys(ref for ref in (_local(reference, base) for reference in said) if ref))


def _down(holder: Any, names: list[str]) -> Iterator[Json]:
    if isinstance(holder, list):
        for element in holder:
            yield from _down(element, names)
    elif isinstance(holder, dict):
        if names:
            yield from _down(holder.get(names[0]), names[1:])
        else:
            yield holder


def _local(reference: str, base: str) -> str:
    found = _LOCAL.fullmatch(reference.removeprefix(base + "/"))
    if found is None or not fhir.is_billed(found[1]):
        return ""
    return f"{found[1]}/{found[2]}"


# --- what a server can do


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server says it can do, by resource type: search parameters and includes. Empty where it says nothing."""

    parameters: Mapping[str, frozenset[str]]
    includes: Mapping[str, frozenset[str]]

    def serves(self, resource_type: str) -> bool:
        """Whether a type is served, as far as is known."""
        return not self.parameters or resource_type in self.parameters

    def can_search(self, resource_type: str, parameter: str) -> bool:
        """Whether a type can be searched by a parameter, as far as is known."""
        return not self.parameters or parameter in self.parameters.get(resource_type, ())

    def includes_of(self, resource_type: str) -> list[str]:
        """The includes to ask for with a search of a type."""
        known = self.includes.get(resource_type, frozenset())
        wanted = [f"{resource_type}:{name}" for name in _INCLUDES.get(resource_type, ())]
        return [name for name in wanted if name in known]


def read_capabilities(statement: Json) -> Capabilities:
    """The capabilities in a CapabilityStatement."""
    resources = [r for rest in objects(statement, "rest") for r in objects(rest, "resource")]
    parameters = {
        text(r, "type"): frozenset(text(p, "name") for p in objects(r, "searchParam")) for r in resources if "type" in r
    }
    includes = {
        text(r, "type"): frozenset(i for i in r.get("searchInclude", ()) if isinstance(i, str)) for r in resources
    }
    return Capabilities(parameters, includes)


def reading_place(resource_type: str) -> int:
    """Where a type stands in the order of reading: what makes a claim's lines comes before all else.

    A visit known to be over before its charges came would be billed without them, and then replaced.
    """
    return 0 if resource_type in _LINES else 1


_LINES = ("ChargeItem", "Procedure", "Immunization")


def search_path(resource_type: str, since: datetime, count: int, includes: list[str]) -> str:
    """A search for what was changed at a time or later, the oldest change first."""
    changed = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    query = [("_lastUpdated", f"ge{changed}"), ("_sort", "_lastUpdated"), ("_count", str(count))]
    return f"{resource_type}?{urlencode([*query, *(('_include', name) for name in includes)], safe=':')}"


def begin_of(day: date) -> datetime:
    """The first moment of a day, UTC."""
    return datetime.combine(day, time(), UTC)


def asked_from(watermark: datetime | None, since: date, overlap_seconds: float) -> datetime:
    """Where a search begins: before the watermark by the overlap, and never before `since`."""
    first = begin_of(since)
    return max(first, watermark - timedelta(seconds=overlap_seconds)) if watermark else first
