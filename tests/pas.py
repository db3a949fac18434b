"""A judge of Da Vinci PAS resources by the guide's own package: its snapshots, value sets and invariants.

Reads the package from ../shared/data. What it judges: cardinalities, slices, fixed values and patterns, kinds of
choice elements, extensions, bindings to codes or systems that the package lists, targets of references, invariants.
X12's value sets are not in the package: of those nothing is judged.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from fhir_coder.terminology.check_digits import is_npi

PACKAGE = Path(__file__).parents[2] / "shared" / "data" / "davinci_pas_2.2.1.tgz"
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"

Json = dict[str, Any]


@cache
def files() -> dict[str, Json]:
    """Every JSON file of the package by its name."""
    with tarfile.open(PACKAGE) as package:
        members = [m for m in package.getmembers() if m.name.endswith(".json") and "/xml/" not in m.name]
        read = {m.name.removeprefix("package/"): package.extractfile(m) for m in members}
        return {name: json.loads(f.read(), parse_float=Decimal) for name, f in read.items() if f}


@cache
def _by_url() -> dict[str, Json]:
    return {r["url"]: r for r in files().values() if r.get("resourceType") in ("StructureDefinition", "ValueSet")}


def examples(kind: str) -> dict[str, Json]:
    """The package's example resources of a type, by id."""
    return {r["id"]: r for name, r in files().items() if name.startswith("example/") and r["resourceType"] == kind}


def known(url: str) -> Json | None:
    return _by_url().get(url.partition("|")[0])


@dataclass
class Node:
    """One element of a snapshot with its parts and its slices."""

    definition: Json
    parts: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)

    def at(self, path: str) -> Node | None:
        node: Node | None = self
        for step in path.split(".") if path != "$this" else ():
            node = node.parts.get(step) if node else None
        return node


@cache
def tree(url: str) -> Node:
    """A profile's snapshot as a tree."""
    definition = known(url)
    assert definition is not None
    elements = definition["snapshot"]["element"]
    root = Node(elements[0])
    for element in elements[1:]:
        node = root
        *above, last = element["id"].split(".")[1:]
        for step in above:
            name, _, piece = step.partition(":")
            node = node.parts[name]
            node = node.slices[piece] if piece else node
        name, _, piece = last.partition(":")
        if piece:
            node.parts[name].slices[piece] = Node(element)
        else:
            node.parts[name] = Node(element)
    return root


@dataclass
class Judge:
    """Judges one Bundle, or one resource by itself; `faults` are what it found."""

    bundle: Json = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    _judged: set[tuple[int, str]] = field(default_factory=set)

    def judge(self, resource: Any, url: str, path: str = "") -> list[str]:
        """Judge by a profile; answers all faults so far."""
        if known(url) and (id(resource), url) not in self._judged:
            self._judged.add((id(resource), url))
            self._element(resource, tree(url), path or str(resource.get("resourceType", "")))
        return self.faults

    def _say(self, path: str, what: str) -> None:
        self.faults.append(f"{path}: {what}")

    def _element(self, value: Any, node: Node, path: str) -> None:
        definition = node.definition
        for key, wanted in definition.items():
            if key.startswith(("fixed", "pattern")) and not _fits(value, wanted, exact=key.startswith("fixed")):
                self._say(path, f"not {json.dumps(wanted)[:80]}")
        for constraint in definition.get("constraint", ()):
            holds = INVARIANTS.get(constraint["key"])
            if holds and not holds(value):
                self._say(path, f"invariant {constraint['key']}")
        self._binding(value, definition, path)
        self._types(value, definition, path)
        if isinstance(value, dict):
            for name, part in node.parts.items():
                self._part(value, name, part, path)

    def _part(self, holder: Json, name: str, node: Node, path: str) -> None:
        values = list(values_of(holder, name))
        here = f"{path}.{name}"
        self._count(len(values), node.definition, here)
        sliced: dict[str, int] = dict.fromkeys(node.slices, 0)
        for place, (key, value) in enumerate(values):
            spot = f"{here}[{place}]"
            self._element(value, node, spot)
            for piece, slice_node in node.slices.items():
                if self.is_of(key, value, node, slice_node):
                    sliced[piece] += 1
                    self._element(value, slice_node, f"{spot}:{piece}")
        for piece, count in sliced.items():
            self._count(count, node.slices[piece].definition, f"{here}:{piece}")

    def _count(self, count: int, definition: Json, path: str) -> None:
        most = definition.get("max", "*")
        if count < definition.get("min", 0):
            self._say(path, f"{count} of at least {definition['min']}")
        if most != "*" and count > int(most):
            self._say(path, f"{count} of at most {most}")

    def is_of(self, key: str, value: Any, node: Node, piece: Node) -> bool:
        for discriminator in node.definition.get("slicing", {}).get("discriminator", ()):
            path = discriminator["path"]
            if discriminator["type"] == "type":
                kinds = [t["code"] for t in (piece.at(path) or piece).definition.get("type", ())]
                told = value.get("resource", {}).get("resourceType") if path == "resource" else key
                if not any(str(told).endswith(kind[:1].upper() + kind[1:]) for kind in kinds):
                    return False
            elif path == "url":
                if value.get("url") not in _urls(piece):
                    return False
            elif "careTeamClaimScope" in path:
                wanted = piece.parts["extension"].slices["careTeamClaimScope"].parts["value[x]"].definition
                scopes = [e.get("valueBoolean") for e in value.get("extension", ())]
                if wanted["fixedBoolean"] not in scopes:
                    return False
            else:
                found = piece.at(path)
                wanted = [v for k, v in (found.definition if found else {}).items() if k.startswith(("fixed", "patt"))]
                told = value if path == "$this" else value.get(path)
                if not wanted or not _fits(told, wanted[0], exact=False):
                    return False
        return bool(node.definition.get("slicing", {}).get("discriminator"))

    def _types(self, value: Any, definition: Json, path: str) -> None:
        for kind in definition.get("type", ()):
            if (
                kind["code"] == "Reference"
                and "targetProfile" in kind
                and isinstance(value, dict)
                and "reference" in value
            ):
                self._target(value, kind["targetProfile"], path)
            elif kind["code"] == "Extension" and isinstance(value, dict) and PAS in value.get("url", ""):
                if known(value["url"]) is None:
                    self._say(path, f"no such extension {value['url']}")
                else:
                    self.judge(value, value["url"], path)
            elif len(definition["type"]) == 1 and len(kind.get("profile", ())) == 1 and isinstance(value, dict):
                self.judge(value, kind["profile"][0], path)

    def _target(self, reference: Json, profiles: list[str], path: str) -> None:
        entries = [e for e in self.bundle.get("entry", ()) if e["fullUrl"] == reference.get("reference")]
        if len(entries) != 1:
            self._say(path, f"{len(entries)} entries have the reference's name")
            return
        judged = [Judge(self.bundle, _judged=set(self._judged)) for _ in profiles]
        known_ones = [(j, p) for j, p in zip(judged, profiles, strict=True) if known(p)]
        found = [j.judge(entries[0]["resource"], p) for j, p in known_ones if _is_kind(p, entries[0]["resource"])]
        if not found and len(known_ones) == len(profiles):
            self._say(path, "a target of another type")
        if found and all(found):
            self.faults += [f"{path} -> {fault}" for fault in min(found, key=len)]

    def _binding(self, value: Any, definition: Json, path: str) -> None:
        binding = definition.get("binding", {})
        value_set = known(binding.get("valueSet", "")) if binding.get("strength") == "required" else None
        if value_set is None or not isinstance(value, dict | str):
            return
        codings = [{"code": value}] if isinstance(value, str) else value.get("coding", [value])
        includes = value_set["compose"]["include"]
        if not any(_includes(include, coding) for include in includes for coding in codings):
            self._say(path, f"no code of {value_set['name']}")


def _includes(include: Json, coding: Json) -> bool:
    concepts = {c["code"] for c in include.get("concept", ())}
    return include["system"] == coding.get("system", include["system"]) and (
        not concepts or coding.get("code") in concepts
    )


def _urls(piece: Node) -> list[str]:
    kinds = piece.definition.get("type", ())
    named = [p.partition("|")[0] for t in kinds for p in t.get("profile", ())]
    url = piece.parts.get("url")
    return named + ([url.definition["fixedUri"]] if url and "fixedUri" in url.definition else [])


def _is_kind(profile: str, resource: Json) -> bool:
    definition = known(profile)
    return definition is not None and definition["type"] == resource["resourceType"]


def values_of(holder: Json, name: str) -> Iterator[tuple[str, Any]]:
    keys = [k for k in holder if k == name]
    if name.endswith("[x]"):
        keys = [k for k in holder if re.fullmatch(rf"{re.escape(name[:-3])}[A-Z]\w*", k)]
    for key in keys:
        value = holder[key]
        yield from ((key, one) for one in (value if isinstance(value, list) else [value]))


def _fits(value: Any, wanted: Any, *, exact: bool) -> bool:
    if exact or not isinstance(wanted, dict | list):
        return bool(value == wanted)
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(_fits(v, w, exact=False) for v in value) for w in wanted)
    return isinstance(value, dict) and all(_fits(value.get(k), w, exact=False) for k, w in wanted.items())


def _codes(concept: Any) -> list[str]:
    return [c.get("code", "") for c in (concept or {}).get("coding", ())]


def _level_of_service(item: Json) -> bool:
    told = {e["url"].rpartition("extension-")[2]: e for e in item.get("extension", ())}
    immediate = "1" in _codes(told.get("certificationType", {}).get("valueCodeableConcept"))
    return not immediate or "levelOfServiceCode" in told


INVARIANTS: dict[str, Callable[[Any], bool]] = {
    "FullDateRule": lambda v: len(str(v)) == 10,
    "ClaimFirst": lambda v: v["entry"][0]["resource"]["resourceType"] == "Claim",
    "ImmediateLevelOfCare": _level_of_service,
    "bdl-1": lambda v: "total" not in v,
    "bdl-3": lambda v: all(("request" in e) == (v["type"] == "transaction") for e in v["entry"]),
    "bdl-7": lambda v: len({e["fullUrl"] for e in v["entry"]}) == len(v["entry"]),
    "bdl-8": lambda v: "/_history/" not in v["fullUrl"],
    "us-core-6": lambda v: bool({"family", "given", "url", "data"} & v.keys()),  # of names, and of attachments
    "us-core-13": lambda v: "practitioner" in v or "organization" in v,
    "us-core-15": lambda v: any("MB" in _codes(i.get("type")) for i in v.get("identifier", ())) or "subscriberId" in v,
    "us-core-16": lambda v: re.fullmatch(r"[0-9]{10}", v["value"]) is not None,
    "us-core-17": lambda v: is_npi(v["value"]),
    "self-beneficiary": lambda v: "18" in _codes(v.get("relationship")) or "subscriber" in v,
    "org-1": lambda v: bool(v.get("identifier") or v.get("name")),
    "org-2": lambda v: v.get("use") != "home",
    "org-3": lambda v: v.get("use") != "home",
    "pd-1": lambda v: bool(v.get("telecom") or v.get("endpoint")),
    "qty-3": lambda v: "code" not in v or "system" in v,
    "sqty-1": lambda v: "comparator" not in v,
}
"""The invariants of the profiles used, in our words; those of the base standard are the edits' matter."""


def faults_of(bundle: Json, profile: str) -> list[str]:
    """What a Bundle has against its profile, and each of its resources against the one it names."""
    judge = Judge(bundle)
    judge.judge(bundle, f"{PAS}profile-{profile}")
    for place, entry in enumerate(bundle["entry"]):
        for url in entry["resource"].get("meta", {}).get("profile", ()):
            judge.judge(entry["resource"], url, f"entry[{place}].{entry['resource']['resourceType']}")
    return judge.faults
