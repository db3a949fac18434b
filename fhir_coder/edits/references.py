"""References: of a form of R4, to something that is there, of a type the element allows; contained resources used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_coder.edits.elements import FoundReference, Scope, Walk, path_of
from fhir_coder.edits.structure_edits import fault
from fhir_coder.fhir import KNOWN_TYPES
from fhir_coder.model import Finding, Json

_ID = r"[A-Za-z0-9.-]{1,64}"
_RELATIVE = re.compile(rf"(?P<type>[A-Z][A-Za-z]+)/{_ID}(/_history/{_ID})?")
_AT_SERVER = re.compile(rf"https?://\S+/(?P<type>[A-Z][A-Za-z]+)/{_ID}(/_history/{_ID})?")
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:\S+")
_URN = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|urn:oid:[0-2](\.(0|[1-9][0-9]*))+")
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\?\S+")


class Surroundings:
    """What references may name beside contained resources: the entries of the Bundle, where there is one."""

    def __init__(self, resource: Json) -> None:
        self.bundle_type = resource.get("type") if resource.get("resourceType") == "Bundle" else None
        self.is_bundle = resource.get("resourceType") == "Bundle"
        self.types: dict[str, str] = {}
        for entry in _objects(resource.get("entry")) if self.is_bundle else ():
            self._add(entry)

    def _add(self, entry: Json) -> None:
        resource, url = entry.get("resource"), entry.get("fullUrl")
        if not isinstance(resource, dict):
            return
        name = str(resource.get("resourceType", ""))
        if isinstance(url, str):
            self.types[url] = name
            at_server = _AT_SERVER.fullmatch(url)
            if at_server:
                self.types["/".join(url.split("/")[-2:])] = name
        if isinstance(resource.get("id"), str):
            self.types[f"{name}/{resource['id']}"] = name


def references_resolve(walk: Walk, around: Surroundings) -> Iterator[Finding]:
    """What is wrong with each reference: its form, what it names, or the type of that."""
    for reference in walk.references:
        text = reference.holder.get("reference")
        if not isinstance(text, str):
            yield from _wrong_type(reference, "")
        elif text.startswith("#"):
            yield from _contained(reference, text[1:])
        elif reference.targets is not None and text.strip():
            yield from _outside(reference, text, around)


def _contained(reference: FoundReference, name: str) -> Iterator[Finding]:
    scope = reference.scope
    if not name:
        yield from _wrong_type(reference, str(scope.resource.get("resourceType", "")))
    elif name in scope.contained:
        yield from _wrong_type(reference, scope.contained[name])
    else:
        yield _at(reference, "reference-resolves", "no contained resource has this id")


def _outside(reference: FoundReference, text: str, around: Surroundings) -> Iterator[Finding]:
    """A reference to another resource: an entry of the Bundle, or something on a server."""
    known = around.types.get(text.partition("/_history/")[0])
    named = _RELATIVE.fullmatch(text) or _AT_SERVER.fullmatch(text)
    if known is not None:
        yield from _wrong_type(reference, known)
    elif text.startswith(("urn:uuid:", "urn:oid:")):
        yield from _urn(reference, text, around)
    elif named and (named["type"] in KNOWN_TYPES or text[:4] == "http"):
        if around.bundle_type == "collection":
            yield _at(reference, "reference-outside-bundle", "no entry of the Bundle is meant by it")
        yield from _wrong_type(reference, named["type"] if named["type"] in KNOWN_TYPES else "")
    elif not (_ABSOLUTE.fullmatch(text) or _is_conditional(text, around)):
        yield _at(reference, "reference-form", "no reference of a form of R4")


def _urn(reference: FoundReference, text: str, around: Surroundings) -> Iterator[Finding]:
    if not _URN.fullmatch(text):
        yield _at(reference, "reference-form", "no URN of a UUID in small letters or of an OID")
    elif around.is_bundle:
        yield _at(reference, "reference-resolves", "no entry of the Bundle has this full URL")
    else:
        yield _at(reference, "reference-resolves", "a URN names an entry of a Bundle, and there is none")


def _is_conditional(text: str, around: Surroundings) -> bool:
    found = _CONDITIONAL.fullmatch(text)
    return around.bundle_type == "transaction" and found is not None and found["type"] in KNOWN_TYPES


def _wrong_type(reference: FoundReference, name: str) -> Iterator[Finding]:
    """The type that a reference names, and the one it says (`Reference.type`), are allowed and the same."""
    said = reference.holder.get("type")
    said = said.rpartition("/")[2] if isinstance(said, str) else ""
    if any(word and reference.targets and word not in reference.targets for word in (name, said)):
        allowed = ", ".join(sorted(reference.targets or ()))
        yield _at(reference, "reference-target", f"the element refers to {allowed} only")
    elif name and said and name != said:
        yield _at(reference, "reference-target", "the type it says is not that of the resource it names")


def _at(reference: FoundReference, edit: str, text: str) -> Finding:
    return fault(edit, f"{path_of(reference.link)}.reference", text)


def contained_are_used(walk: Walk) -> Iterator[Finding]:
    """Every contained resource is referred to, or refers to what contains it (dom-3)."""
    used: dict[int, set[str]] = {}
    for reference in walk.references:
        text = reference.holder.get("reference")
        if isinstance(text, str) and text.startswith("#"):
            used.setdefault(id(reference.scope), set()).add(text[1:])
    for scope in walk.scopes:
        unused = scope.contained.keys() - used.get(id(scope), set())
        yield from _unused(scope, unused) if unused else ()


def _unused(scope: Scope, names: set[str]) -> Iterator[Finding]:
    texts = set(_texts(scope.resource))
    for index, entry in enumerate(scope.resource["contained"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or entry["id"] not in names:
            continue
        # A canonical or a uri may name it too, and it may name what contains it.
        if f"#{entry['id']}" not in texts and "#" not in set(_texts(entry)):
            yield fault("contained-unused", f"{path_of(scope.link)}.contained[{index}]", "nothing refers to it (dom-3)")


def _texts(value: Any) -> Iterator[str]:
    """Every text that begins with `#`; a loop, so that no depth of nesting ends it."""
    pending = [value]
    for current in pending:
        if isinstance(current, dict):
            pending += current.values()
        elif isinstance(current, list):
            pending += current
        elif isinstance(current, str) and current.startswith("#"):
            yield current


def bundle_is_for_claims(resource: Json, around: Surroundings, has_claim: bool) -> Iterator[Finding]:
    """The Bundle has a Claim, a type that carries one, and entries with what its type asks (bdl-1 to bdl-8, bdl-12)."""
    if not around.is_bundle:
        return
    if not has_claim:
        yield fault("no-claim", "Bundle.entry", "no entry is a Claim")
    kind = resource.get("type")
    if isinstance(kind, str) and kind in _NOT_SENT:
        yield fault("bundle-form", "Bundle.type", "a Bundle of this type carries no claim to a payer")
    if "total" in resource:
        yield fault("bundle-form", "Bundle.total", "bdl-1: only a search or a history has a total")
    entries = resource.get("entry")
    seen: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield from _entry_faults(entry, f"Bundle.entry[{index}]", kind, seen)


_NOT_SENT = frozenset({"document", "transaction-response", "batch-response", "history", "searchset"})
_ENTRY_PARTS: Mapping[str, str] = {
    "search": "bdl-2: only a search has it",
    "response": "bdl-4: only an answer has it",
}


def _entry_faults(entry: Json, path: str, kind: Any, seen: set[str]) -> Iterator[Finding]:
    needs_request = kind in ("transaction", "batch")
    if needs_request and "request" not in entry:
        yield fault("bundle-form", f"{path}.request", "bdl-3: an entry of a transaction or batch says its request")
    if not needs_request and "request" in entry:
        yield fault("bundle-form", f"{path}.request", "bdl-3: only a transaction or batch has it")
    for part, text in _ENTRY_PARTS.items():
        if part in entry:
            yield fault("bundle-form", f"{path}.{part}", text)
    if "resource" not in entry and "request" not in entry:
        yield fault("bundle-form", path, "bdl-5: the entry has no resource")
    url = entry.get("fullUrl")
    if isinstance(url, str):
        yield from _url_faults(url, f"{path}.fullUrl", seen)


def _url_faults(url: str, path: str, seen: set[str]) -> Iterator[Finding]:
    if url in seen:
        yield fault("bundle-form", path, "bdl-7: an earlier entry has the same full URL")
    seen.add(url)
    if "/_history/" in url:
        yield fault("bundle-form", path, "bdl-8: a full URL names no version")
    if not (_URN.fullmatch(url) if url.startswith("urn:") else _ABSOLUTE.fullmatch(url)):
        yield fault("bundle-form", path, "a full URL is absolute: a URL, or urn:uuid: with a UUID in small letters")


def _objects(value: Any) -> Iterator[Json]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else iter(())
