"""The resources of one message and what references between them lead to.

A *ref* is the one name a resource has for us, however it is referred to: `Type/id`; `Type/<uuid>` where a Bundle entry
has only a urn; `Type?identifier=system|value` where it is named by a business identifier; `<container's ref>#id` where
it is contained.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qs, unquote

from fhir_coder.fhir.elements import Element, Flaw
from fhir_coder.model import BY_ITS_BYTES, Answered, Json

_ID = re.compile(r"[^\s/#?|]{1,128}")
_TYPED = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([^\s/#?|]+)(?:/_history/[^\s/]+)?", re.DOTALL)
_PLAIN = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})")  # as nearly all are; found in a tenth of the time
_CONDITIONAL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)\?(.+)", re.DOTALL)
_URN = re.compile(r"urn:[A-Za-z0-9-]+:(\S+)")


@dataclass(frozen=True, slots=True)
class Located:
    """A resource in a message. `holder` is the ref whose contained resources `#id` means; `deleted`: a DELETE entry.

    `left_out`: not read, as its sender was told that another one stands for it; references to it lead there.
    """

    json: Json
    type: str
    ref: str
    path: str
    holder: str
    full_url: str = ""
    deleted: bool = False
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a Bundle, or a resource sent alone, before it has a ref."""

    json: Json
    path: str
    full_url: str = ""
    deleted: bool = False


def locate(body: Json, message_digest: bytes, flaws: list[Flaw], answered: Answered = BY_ITS_BYTES) -> list[Located]:
    """Every resource of a message with its contained ones, the oldest version first; what is no resource is noted.

    `answered`: the ids that the sender was told count where there are any.
    """
    found: list[Located] = []
    for entry in _entries(body, flaws):
        known_as, left_out = answered.ids.get(entry.path, ""), entry.path in answered.left_out
        if left_out and not known_as:
            continue
        name = entry.json.get("resourceType")
        if not isinstance(name, str) or not name:
            flaws.append(Flaw(entry.path, "no_resource_type", "an entry names no resource type"))
            continue
        ref = f"{name}/{known_as}" if known_as else _own_ref(entry, name, message_digest)
        found.append(Located(entry.json, name, ref, entry.path, ref, entry.full_url, entry.deleted, left_out))
        if not left_out:
            found.extend(_contained(entry, ref))
    return found


def _entries(body: Json, flaws: list[Flaw]) -> Iterator[Entry]:
    # A stack, not recursion: a batch-response Bundle holds Bundles, and a hostile one holds a thousand.
    waiting = [Entry(body, str(body["resourceType"]))]
    while waiting:
        entry = waiting.pop()
        if entry.json.get("resourceType") != "Bundle":
            yield entry
            continue
        bundle = Element(entry.json, entry.path, flaws)
        bundle.is_modified()
        inside = [e for e in map(_entry, bundle.parts("entry")) if e]
        # A history Bundle lists the newest version first (FHIR R4 section 3.1.0.11); the later fact must win.
        waiting.extend(inside if bundle.text("type") == "history" else reversed(inside))


def _entry(element: Element) -> Entry | None:
    resource = element.child("resource")
    full_url = element.text("fullUrl")
    if resource is not None:
        return Entry(resource.json, resource.path, full_url)
    request = element.child("request")
    if request is None or request.text("method") != "DELETE":
        return None
    named = _TYPED.fullmatch(request.text("url"))
    if named is None:
        return None
    return Entry({"resourceType": named[1], "id": named[2]}, f"{element.path}.request", full_url, deleted=True)


def _own_ref(entry: Entry, name: str, message_digest: bytes) -> str:
    own_id = entry.json.get("id")
    if isinstance(own_id, str) and _ID.fullmatch(own_id):
        return f"{name}/{own_id}"
    if urn := _URN.fullmatch(entry.full_url):
        return f"{name}/{urn[1]}"
    if (typed := _TYPED.fullmatch(entry.full_url)) and typed[1] == name:
        return f"{name}/{typed[2]}"
    for system, value in identifier_pairs(Element(entry.json, entry.path, [])):
        return conditional(name, system, value)
    # Nothing names it: the message's bytes do, so that the same bytes sent again mean the same resource.
    return f"{name}/{hashlib.sha256(message_digest + entry.path.encode()).hexdigest()[:32]}"


def _contained(entry: Entry, ref: str) -> Iterator[Located]:
    for inner in Element(entry.json, entry.path, []).children("contained"):
        name, inner_id = inner.json.get("resourceType"), inner.json.get("id")
        if isinstance(name, str) and isinstance(inner_id, str):
            yield Located(inner.json, name, f"{ref}#{inner_id}", inner.path, ref)


def conditional(name: str, system: str, value: str) -> str:
    """The ref of a resource that is named by a business identifier (FHIR R4 section 3.1.0.11.2)."""
    return f"{name}?identifier={system}|{value}"


def identifier_pairs(element: Element) -> Iterator[tuple[str, str]]:
    """System and value of each identifier of a resource."""
    for part in element.children("identifier"):
        if value := part.text("value"):
            yield part.text("system"), value


class Resources:
    """The resources of one message, found by whatever names them."""

    def __init__(self, located: list[Located]) -> None:
        self.located = located
        self.by_ref = {found.ref: found for found in sorted(located, key=lambda found: not found.left_out)}
        self._by_url = {found.full_url: found.ref for found in located if found.full_url}

    @cached_property
    def _by_identifier(self) -> dict[str, set[str]]:
        named: dict[str, set[str]] = {}
        for found in self.located:
            for system, value in identifier_pairs(Element(found.json, found.path, [])):
                named.setdefault(conditional(found.type, system, value), set()).add(found.ref)
        return named

    @cached_property
    def _by_type(self) -> dict[str, list[Located]]:
        grouped: dict[str, list[Located]] = {}
        for found in self.located:
            if found.ref == found.holder and not (found.deleted or found.left_out):
                grouped.setdefault(found.type, []).append(found)
        return grouped

    def of_type(self, name: str) -> list[Located]:
        """The resources of one type, contained and deleted ones left out."""
        return self._by_type.get(name, [])

    def type_of(self, ref: str) -> str:
        """The resource type behind a ref, empty for a contained resource that is not in the message."""
        found = self.by_ref.get(ref)
        return found.type if found else "" if "#" in ref else re.split(r"[/?]", ref, maxsplit=1)[0]

    def resolve(self, reference: Element, wanted: str, holder: str) -> str:
        """The ref a Reference leads to, empty where it leads to nothing we could name.

        `wanted` is the type to suppose where the reference does not say. A urn or `#id` that is not in the message is
        noted as `dangling_reference` and still has a ref, so that nothing filed under it is lost.
        """
        text = reference.text("reference")
        if text:
            return self._named(text, wanted, holder) or _dangling(reference, text, wanted, holder)
        logical = reference.child("identifier")
        value = logical.text("value") if logical else ""
        if logical is None or not value:
            return ""
        return self._by_business_identifier(reference.text("type") or wanted, logical.text("system"), value)

    def _named(self, text: str, wanted: str, holder: str) -> str:
        if text.startswith("#"):
            ref = f"{holder}{text}" if len(text) > 1 else holder
            return ref if ref in self.by_ref else ""
        if text in self._by_url:
            return self._by_url[text]
        if _PLAIN.fullmatch(text):
            return text
        if typed := _TYPED.fullmatch(text):
            return f"{typed[1]}/{typed[2]}"
        if asked := _CONDITIONAL.fullmatch(text):
            return self._asked(asked[1], asked[2], wanted)
        return ""

    def _asked(self, name: str, query: str, wanted: str) -> str:
        values = parse_qs(query).get("identifier")
        if not values:
            return f"{name or wanted}?{unquote(query)}"
        system, bar, value = values[0].rpartition("|")
        return self._by_business_identifier(name, system if bar else "", value)

    def _by_business_identifier(self, name: str, system: str, value: str) -> str:
        ref = conditional(name, system, value)
        named = self._by_identifier.get(ref, set())
        return next(iter(named)) if len(named) == 1 else ref


def _dangling(reference: Element, text: str, wanted: str, holder: str) -> str:
    if text.startswith("#"):
        reference.note("reference", "dangling_reference", "there is no contained resource of this id")
        return f"{holder}{text}"
    urn = _URN.fullmatch(text)
    if urn is None:
        reference.note("reference", "not_a_reference", "this is not a reference to a FHIR resource")
        return ""
    reference.note("reference", "dangling_reference", "no resource of the message has this urn")
    return f"{wanted}/{urn[1]}"
