"""A cursor over one JSON object that knows its FHIR path and notes what cannot be used instead of raising."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from fhir_coder.model import Json


class Flaw(NamedTuple):
    """A part of a resource that cannot be used: its FHIR path, a fixed rule code, the rule in words."""

    path: str
    rule: str
    text: str


class Element:
    """One object of a resource. Every reading method gives an empty answer for what is absent or of the wrong type.

    A wrong type is noted in `flaws`, which all elements of a resource share. JSON null counts as absent.
    """

    __slots__ = ("_index", "_name", "_outer", "flaws", "json")

    def __init__(self, json: Json, path: str, flaws: list[Flaw], outer: Element | None = None, index: int = -1) -> None:
        self.json, self.flaws = json, flaws
        self._name, self._outer, self._index = path, outer, index

    @property
    def path(self) -> str:
        """The FHIR path. Put together only when asked for: few elements of a message are an origin or have a flaw."""
        steps: list[str] = []
        element: Element | None = self
        while element is not None:
            steps.append(element._name if element._index < 0 else f"{element._name}[{element._index}]")
            element = element._outer
        return ".".join(reversed(steps))

    def note(self, name: str, rule: str, text: str) -> None:
        """Note a flaw at the child `name`, or at this element where `name` is empty."""
        self.flaws.append(Flaw(f"{self.path}.{name}" if name else self.path, rule, text))

    def note_missing(self, name: str) -> None:
        """Note that a part we need is absent or empty; one that is there but wrong was noted already."""
        path = f"{self.path}.{name}"
        if not any(flaw.path.startswith(path) for flaw in self.flaws):
            self.note(name, "missing", "a part that is needed is missing")

    def text(self, name: str) -> str:
        """A string, code, uri or id without surrounding space, empty where there is none."""
        value = self.json.get(name)
        if isinstance(value, str):
            return value.strip()
        if value is not None:
            self._wrong(name)
        return ""

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; nulls stand where only an extension is (FHIR R4 section 2.6.2) and are left out."""
        kept = []
        for index, value in enumerate(self._list(name)):
            if isinstance(value, str) and value.strip():
                kept.append(value.strip())
            elif value is not None and not isinstance(value, str):
                self._wrong(f"{name}[{index}]")
        return tuple(kept)

    def flag(self, name: str) -> bool | None:
        """A boolean, None where not said."""
        value = self.json.get(name)
        if value is None or isinstance(value, bool):
            return value
        self._wrong(name)
        return None

    def number(self, name: str) -> Decimal | None:
        """A number, exact for up to fifteen digits."""
        value = self.json.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(name)
            return None
        return Decimal(str(value))

    def position(self, name: str) -> int | None:
        """A positiveInt."""
        value = self.json.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            self._wrong(name)
            return None
        return value

    def child(self, name: str) -> Element | None:
        """The object at `name`."""
        value = self.json.get(name)
        if value is None:
            return None
        if isinstance(value, dict):
            return Element(value, name, self.flaws, self)
        self._wrong(name)
        return None

    def children(self, name: str) -> list[Element]:
        """The objects of the list at `name`."""
        found: list[Element] = []
        if name not in self.json:
            return found
        for index, value in enumerate(self._list(name)):
            if isinstance(value, dict):
                found.append(Element(value, name, self.flaws, self, index))
            elif value is not None:
                self._wrong(f"{name}[{index}]")
        return found

    def listed(self, name: str) -> list[Element]:
        """The objects at `name`, be it one or a list of them: R5 made lists of some single elements of R4."""
        if isinstance(self.json.get(name), list):
            return self.children(name)
        one = self.child(name)
        return [] if one is None else [one]

    def parts(self, name: str) -> list[Element]:
        """The backbone elements at `name`; one with a modifierExtension is noted and left out."""
        return [part for part in self.children(name) if not part.is_modified()]

    def is_modified(self) -> bool:
        """Whether an extension or rules that we do not know change the meaning of this element; it is noted.

        FHIR R4 sections 2.4.1 and 2.27.5 (implicitRules): what has one that is not known must not be processed.
        """
        if self.json.get("implicitRules"):
            self.note(*_IMPLICIT_RULES)
            return True
        if self.json.get("modifierExtension"):
            self.note(*_MODIFIER)
            return True
        return False

    def note_modified_parts(self) -> None:
        """Note every modifierExtension below this element, also in parts that nothing is read from.

        Contained resources are not looked into: they are read, and looked through, by themselves.
        """
        waiting: list[Element] = [self]
        while waiting:
            part = waiting.pop()
            if part is not self and part.json.get("modifierExtension"):
                part.note(*_MODIFIER)
            for name, value in part.json.items():
                if isinstance(value, dict | list) and name not in ("contained", "modifierExtension", "extension"):
                    waiting += _objects(part, name, value)

    def _list(self, name: str) -> list[Any]:
        value = self.json.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            return value
        self._wrong(name)
        return []

    def _wrong(self, name: str) -> None:
        self.note(name, "wrong_type", "the JSON type is not the one FHIR gives this element")


_MODIFIER = ("modifierExtension", "unknown_modifier_extension", "an extension that is not known changes the meaning")
_IMPLICIT_RULES = ("implicitRules", "unknown_implicit_rules", "rules that are not known change the meaning")


def _objects(outer: Element, name: str, value: Json | list[Any]) -> list[Element]:
    """The objects at a name; a list in a list is no FHIR and is left."""
    if isinstance(value, dict):
        return [Element(value, name, outer.flaws, outer)]
    return [Element(one, name, outer.flaws, outer, i) for i, one in enumerate(value) if isinstance(one, dict)]
