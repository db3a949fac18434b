"""One walk through a Claim or Bundle by the rows of R4: what is missing, unknown, malformed; what other checks need.

The walk goes breadth first over a list that grows, so that no depth of nesting ends it. It takes JSON of any quality.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fhir_coder.edits.r4_invariants import INVARIANTS
from fhir_coder.edits.r4_types import ElementRule, TypeRule, types
from fhir_coder.edits.r4_values import NUMBERS, form_of
from fhir_coder.edits.structure_edits import fault
from fhir_coder.fhir import KNOWN_TYPES
from fhir_coder.model import Finding, Json

Link = tuple[Any, ...]
"""A place: the link above it, a name and perhaps an index; the root is its text alone. Findings make texts of it."""

_NAME = re.compile(r"_?[a-z][A-Za-z]{0,39}")
_OPEN = TypeRule("")
"""A resource or object whose type has no rows: looked at for empty values and references only."""


def path_of(link: Link) -> str:
    """A link as FHIRPath."""
    steps = []
    while len(link) > 1:
        steps.append(f".{link[1]}" if len(link) == 2 else f".{link[1]}[{link[2]}]")
        link = link[0]
    return str(link[0]) + "".join(reversed(steps))


Known = tuple[Any, ...]
"""An object without parts: its type, its members with their texts."""

_RECURRING = frozenset({"Coding", "Reference"})
"""Types whose objects come again in claim after claim: half of all objects in one."""
_KNOWN: set[Known] = set()
_MOST_KNOWN = 10_000


def _remember(new: list[Known]) -> None:
    if len(_KNOWN) > _MOST_KNOWN:
        _KNOWN.clear()
    _KNOWN.update(new)


@dataclass(slots=True)
class Scope:
    """A resource that may have contained ones: what `#id` means inside it. `contained` are types by id."""

    link: Link
    resource: Json
    contained: dict[str, str] = field(default_factory=dict)


class FoundReference(NamedTuple):
    """A reference as it stands, with the types that its element allows (empty: any; None: perhaps no reference)."""

    link: Link
    holder: Json
    targets: frozenset[str] | None
    scope: Scope


class Walk:
    """A resource walked through once: its faults, references, scopes and Claims."""

    def __init__(self, resource: Json) -> None:
        self.faults: list[Finding] = []
        self.references: list[FoundReference] = []
        self.scopes: list[Scope] = []
        self.claims: list[tuple[str, Json]] = []
        self._types = types()
        self._new: list[Known] = []
        self._todo: list[tuple[TypeRule, Json, Link, Scope]] = []
        name = resource.get("resourceType")
        root = (name if name in ("Claim", "Bundle") else "Claim",)
        self._enter(self._types[root[0]], resource, root)
        if name != root[0]:
            self._told("required-element", (root, "resourceType"), "resourceType is not Claim")
        for rule, holder, link, scope in self._todo:  # it grows
            (self._read if rule is not _OPEN else self._read_open)(rule, holder, link, scope)
        if not self.faults:
            _remember(self._new)

    # --- an object of a known type

    def _read(self, rule: TypeRule, holder: Json, link: Link, scope: Scope) -> None:
        """All members of one object, then what is missing, chosen twice, or against its type's invariants."""
        values, elements = rule.values, rule.elements
        for name, value in holder.items():
            is_value = values.get(name)
            if is_value is not None:
                if not is_value(value):
                    self._refuse_value(elements[name], value, (link, name))
                continue
            element = elements.get(name)
            if element is None:
                self._read_other(rule, holder, name, (link, name), scope)
            elif element.is_list:
                self._read_list(element, holder, (link, name), scope)
            elif type(value) is dict and value:
                self._enter_object(element, value, (link, name), scope)
            else:
                self._refuse_object(value, (link, name))
        if not rule.required <= holder.keys() or rule.choices:
            self._read_whole(rule, holder, link)
        for invariant in INVARIANTS.get(rule.name, ()):
            if not invariant.is_kept(holder):
                self._told(invariant.edit, (link, invariant.element) if invariant.element else link, invariant.text)

    def _read_whole(self, rule: TypeRule, holder: Json, link: Link) -> None:
        for name in sorted(rule.required - holder.keys()):
            if f"_{name}" not in holder:
                self._told("required-element", (link, name), f"{name} is missing")
        for stem, names in rule.choices:
            there = {name.lstrip("_") for name in holder} & names
            if len(there) > 1:
                self._told("one-choice", (link, f"{stem}[x]"), f"more than one type of {stem}[x]")
            elif not there and stem in rule.required_choices:
                self._told("required-element", (link, f"{stem}[x]"), f"{stem}[x] is missing")

    def _read_list(self, element: ElementRule, holder: Json, link: Link, scope: Scope) -> None:
        entries = holder[element.name]
        if not isinstance(entries, list):
            is_empty = _is_empty(entries)
            self._told(
                "empty-value" if is_empty else "one-or-many", link, _EMPTY if is_empty else "a list belongs here"
            )
            return
        if not entries:
            self._told("empty-value", link, _EMPTY)
        is_value = element.is_value
        for index, value in enumerate(entries):
            place = (link[0], link[1], index)
            if is_value is None:
                if type(value) is dict and value:
                    self._enter_object(element, value, place, scope)
                else:
                    self._refuse_object(value, place)
            elif not is_value(value) and not (value is None and f"_{element.name}" in holder):
                # A null stands for an extension (R4 2.6.2.3); where there is none, the twin's check says so.
                self._refuse_value(element, value, place)

    def _enter_object(self, element: ElementRule, value: Json, link: Link, scope: Scope) -> None:
        if element.type == "Resource":
            self._enter_resource(element, value, link, scope)
            return
        if element.targets is not None:
            self.references.append(FoundReference(link, value, element.targets, scope))
        if element.type not in _RECURRING or not self._is_known(element.type, value):
            self._todo.append((self._types[element.type], value, link, scope))

    def _is_known(self, kind: str, value: Json) -> bool:
        """Whether such an object stood in a claim without a fault before."""
        try:
            known = (kind, *value.items())
            if known in _KNOWN:
                return True
        except TypeError:  # it has parts
            return False
        if all(type(one) is str for one in value.values()):  # True and 1 are the same to a set
            self._new.append(known)
        return False

    # --- resources inside

    def _enter_resource(self, element: ElementRule, value: Json, link: Link, scope: Scope) -> None:
        name = value.get("resourceType")
        if not isinstance(name, str) or name not in KNOWN_TYPES:
            is_missing = name is None or name == ""
            text = "resourceType is missing" if is_missing else "no resource type of FHIR"
            self._told("required-element" if is_missing else "wrong-datatype", (link, "resourceType"), text)
            name = ""
        rule = self._types.get(name, _OPEN)
        if element.name == "contained":
            self._check_contained(value, link)
            self._todo.append((rule, value, link, scope))
        else:
            self._enter(rule, value, link)

    def _enter(self, rule: TypeRule, resource: Json, link: Link) -> None:
        """A resource of its own, with a scope of its own."""
        scope = Scope(link, resource)
        for entry in _list(resource.get("contained")):
            name = entry.get("id") if isinstance(entry, dict) else None
            if isinstance(name, str) and name in scope.contained:
                self._told("r4-invariant", (link, "contained"), "two contained resources have the same id")
            elif isinstance(name, str):
                scope.contained[name] = str(entry.get("resourceType", ""))
        self.scopes.append(scope)
        self._todo.append((rule, resource, link, scope))
        if rule.name == "Claim":
            self.claims.append((path_of(link), resource))

    def _check_contained(self, resource: Json, link: Link) -> None:
        meta = resource.get("meta")
        within = meta if isinstance(meta, dict) else {}
        if "id" not in resource:
            self._told("required-element", (link, "id"), "a contained resource needs an id")
        if "contained" in resource:
            self._told("r4-invariant", (link, "contained"), "dom-2: a contained resource contains none")
        if "versionId" in within or "lastUpdated" in within:
            self._told("r4-invariant", (link, "meta"), "dom-4: a contained resource has no version")
        if "security" in within:
            self._told("r4-invariant", (link, "meta"), "dom-5: a contained resource has no security label")

    # --- members that are no element

    def _read_other(self, rule: TypeRule, holder: Json, name: str, link: Link, scope: Scope) -> None:
        """`resourceType`, the twin of a primitive with its id and extensions, or something R4 does not have."""
        if name == "resourceType" and rule.is_resource:
            return
        twin = rule.elements.get(name[1:]) if name.startswith("_") else None
        if twin is not None and twin.is_value is not None:
            self._read_twin(twin, holder, link, scope)
        elif name in rule.r5_elements:
            self._told("r5-element", link, "R5 has this element, R4 (4.0.1) has not")
        else:
            # What is not shaped like an element is not named: a sender may have put a value there.
            told = link if _NAME.fullmatch(name) else link[0]
            self._told("unknown-element", told, f"R4 has no such element in {rule.name}")

    def _read_twin(self, element: ElementRule, holder: Json, link: Link, scope: Scope) -> None:
        twin, value = holder[link[1]], holder.get(element.name)
        if not element.is_list:
            self._enter_twin(twin, link, scope)
            return
        values = value if isinstance(value, list) else []
        if not isinstance(twin, list) or not twin or (values and len(values) != len(twin)):
            self._told("primitive-extension", link, "no list as long as that of its element")
            return
        for index, entry in enumerate(twin):
            if entry is not None:
                self._enter_twin(entry, (link[0], link[1], index), scope)
            elif index >= len(values) or values[index] is None:
                self._told("primitive-extension", (link[0], link[1], index), "neither a value nor an extension")

    def _enter_twin(self, twin: Any, link: Link, scope: Scope) -> None:
        if type(twin) is dict and twin:
            self._todo.append((self._types["Element"], twin, link, scope))
        else:
            self._told("primitive-extension", link, "no object with an id or extensions")

    # --- objects whose type has no rows

    def _read_open(self, _rule: TypeRule, holder: Json, link: Link, scope: Scope) -> None:
        if isinstance(holder.get("reference"), str):
            self.references.append(FoundReference(link, holder, None, scope))
        for name, value in holder.items():
            named = name if _NAME.fullmatch(name) else "?"
            for place, entry in _entries(value, (link, named)):
                if type(entry) is dict and entry:
                    self._todo.append((_OPEN, entry, place, scope))
                elif _is_empty(entry) and not (entry is None and isinstance(value, list)):
                    self._told("empty-value", place, _EMPTY)

    # --- faults

    def _told(self, edit: str, link: Link, text: str) -> None:
        self.faults.append(fault(edit, path_of(link), text))

    def _refuse_object(self, value: Any, link: Link) -> None:
        if _is_empty(value):
            self._told("empty-value", link, _EMPTY)
        elif isinstance(value, list) and len(link) == 2:
            self._told("one-or-many", link, "only one is allowed here, and no list")
        else:
            self._told("wrong-datatype", link, "an object belongs here")

    def _refuse_value(self, element: ElementRule, value: Any, link: Link) -> None:
        if _is_empty(value):
            self._told("empty-value", link, _EMPTY)
        elif isinstance(value, list) and len(link) == 2:
            self._told("one-or-many", link, "only one is allowed here, and no list")
        elif isinstance(value, str) and element.codes:
            self._told("required-binding", link, f"not one of {', '.join(sorted(element.codes))}")
        elif isinstance(value, str) and element.type in NUMBERS:
            self._told("number-as-text", link, "a number is written as text")
        else:
            self._told("wrong-datatype", link, f"not {form_of(element.type)}")


_EMPTY = "the value is empty"


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _entries(value: Any, link: Link) -> Iterator[tuple[Link, Any]]:
    if isinstance(value, list) and value:
        yield from (((link[0], link[1], index), entry) for index, entry in enumerate(value))
    else:
        yield link, value
