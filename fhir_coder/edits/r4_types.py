"""The rules of each FHIR R4 type, read from the rows of `r4_rows`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from fhir_coder.edits.r4_rows import R5_ROWS, ROWS
from fhir_coder.edits.r4_values import PRIMITIVES, IsValue, is_code_of

_ROW = re.compile(r"(?P<type>\S+)(?: < (?P<base>\S+))?:(?P<elements>.*)")
_ELEMENT = re.compile(r"(?P<name>[A-Za-z]+)(?P<choice>\[x\])?(?P<list>\*)?(?P<required>!)?:(?P<types>.+)")
_TYPE = re.compile(r"(?P<type>[A-Za-z0-9.]+)(?:\((?P<words>.*)\))?")


@dataclass(frozen=True, slots=True)
class ElementRule:
    """What R4 says of one element. `is_value` is of primitives only; `targets` of references only, empty for any."""

    name: str
    type: str
    is_list: bool
    is_value: IsValue | None = None
    codes: frozenset[str] = frozenset()
    targets: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What R4 says of one type. `choices` are the names of each `name[x]`.

    `values` are the primitives that do not repeat: most members of a claim, kept apart for speed.
    """

    name: str
    elements: Mapping[str, ElementRule] = field(default_factory=dict)
    values: Mapping[str, IsValue] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    choices: tuple[tuple[str, frozenset[str]], ...] = ()
    required_choices: frozenset[str] = frozenset()
    r5_elements: frozenset[str] = frozenset()

    @property
    def is_resource(self) -> bool:
        """Whether it has a `resourceType`."""
        return "implicitRules" in self.elements


@cache
def types() -> Mapping[str, TypeRule]:
    """Every type of the rows by its name; parts of types are named with dots (`Claim.item.detail`)."""
    newer = {name: frozenset(words.split()) for name, _, words in _rows(R5_ROWS)}
    known: dict[str, TypeRule] = {}
    for name, base, words in _rows(ROWS):
        known[name] = _type_rule(name, known.get(base), words, newer.get(name, frozenset()))
    return known


def _rows(rows: str) -> Iterator[tuple[str, str, str]]:
    """Type, base and elements of each row; lines that are indented go on with the row above."""
    whole = re.sub(r"\|\s+", "|", re.sub(r"\n +", " ", rows.strip()))
    for line in whole.splitlines():
        found = _ROW.fullmatch(line)
        if found is None:
            raise ValueError(f"not a row: {line}")
        yield found["type"], found["base"] or "", found["elements"]


def _type_rule(name: str, base: TypeRule | None, words: str, newer: frozenset[str]) -> TypeRule:
    elements = dict(base.elements) if base else {}
    required = set(base.required) if base else set[str]()
    choices, required_choices = [], set[str]()
    for word in words.split():
        found = _ELEMENT.fullmatch(word)
        if found is None:
            raise ValueError(f"{name}: not an element: {word}")
        named = list(_elements(found))
        elements |= {element.name: element for element in named}
        if found["choice"]:
            choices.append((found["name"], frozenset(e.name for e in named)))
        if found["required"]:
            (required_choices if found["choice"] else required).add(found["name"])
    values = {e.name: e.is_value for e in elements.values() if e.is_value and not e.is_list}
    return TypeRule(name, elements, values, frozenset(required), tuple(choices), frozenset(required_choices), newer)


def _elements(found: re.Match[str]) -> Iterator[ElementRule]:
    """The element of a word; of a choice one for each of its types."""
    for option in re.split(r"\|(?![^(]*\))", found["types"]):
        shape = _TYPE.fullmatch(option)
        if shape is None:
            raise ValueError(f"not a type: {option}")
        type_name = "Reference" if shape["type"] == "Ref" else shape["type"]
        words = frozenset(shape["words"].split(",")) if shape["words"] else frozenset()
        name = found["name"] + (type_name[0].upper() + type_name[1:] if found["choice"] else "")
        targets = words if type_name == "Reference" else None
        codes = frozenset() if targets is not None else words
        is_value = is_code_of(codes) if codes else PRIMITIVES.get(type_name)
        yield ElementRule(name, type_name, bool(found["list"]), is_value, codes, targets)
