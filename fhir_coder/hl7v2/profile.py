"""Message profiles read from their XML (HL7 v2.5 chapter 2.12 and its message profile schema, v2.9 chapter 2B).

A pickled profile, which hl7apy loads, is not read: loading one may run what it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from fhir_coder.errors import Fault, ProfileError

ROOT, STATIC = "HL7v2xConformanceProfile", "HL7v2xStaticDef"
GROUP, SEGMENT = "SegGroup", "Segment"
_INSIDE: Mapping[str, tuple[str, ...]] = {
    STATIC: (SEGMENT, GROUP),
    GROUP: (SEGMENT, GROUP),
    SEGMENT: ("Field",),
    "Field": ("Component",),
    "Component": ("SubComponent",),
    "SubComponent": (),
}
_USAGES = frozenset({"R", "RE", "O", "C", "CE", "X", "B", "W"})
_CONDITIONAL = re.compile(r"C\([A-Z]+/[A-Z]+\)")  # C(R/O) since v2.7: the condition itself stands in words only
_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_DEEPEST = 40
_PICKLED = b"\x80"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a profile says of one segment group, segment, field, component or subcomponent.

    `high` and `length` are None where there is no limit; `table` is a number of HL7 (`0001`).
    """

    kind: str
    name: str
    usage: str = "O"
    low: int = 0
    high: int | None = None
    datatype: str = ""
    length: int | None = None
    table: str = ""
    constant: str = ""
    parts: tuple[Rule, ...] = ()

    @property
    def is_required(self) -> bool:
        """Whether it must be there."""
        return self.usage == "R"


@dataclass(frozen=True, slots=True)
class Profile:
    """One static definition: what messages of one type hold. An empty `event` means every event."""

    version: str
    type: str
    event: str
    parts: tuple[Rule, ...]

    @property
    def title(self) -> str:
        """The message type, `DFT^P03`."""
        return "^".join(part for part in (self.type, self.event) if part)

    def is_for(self, kind: str, event: str) -> bool:
        """Whether it speaks of messages of a type and event."""
        return kind == self.type and self.event in ("", event)


def read_profiles(data: bytes, file: str) -> tuple[Profile, ...]:
    """The message profiles of an XML file; `file` is its name for the faults.

    Raises ProfileError with every fault and its line. Entities are refused; a document type is not followed.
    """
    root = _Document(file, data).root
    profiles = _Reading(file)
    found = tuple(profiles.read(root))
    if profiles.faults:
        raise ProfileError(TITLE, profiles.faults)
    return found


TITLE = "the message profile"


@dataclass(slots=True)
class _Node:
    tag: str
    said: dict[str, str]
    line: int
    children: list[_Node] = field(default_factory=list)


class _Document:
    """An XML document as nodes that know their lines."""

    def __init__(self, file: str, data: bytes) -> None:
        self._file = file
        self._open = [_Node("", {}, 0)]
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        # Entities could name files or addresses, or grow without end. Nothing in the format needs one.
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.SkippedEntityHandler = self._refuse_entity
        self.root = self._parsed(data)

    def _parsed(self, data: bytes) -> _Node:
        if data.startswith(_PICKLED):
            raise self._fault(0, "a pickled profile is not read, it could run code: give the XML it was made from")
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise self._fault(error.lineno, f"not XML: {expat.ErrorString(error.code)}") from None
        except (LookupError, ValueError):
            raise self._fault(1, "not XML: its encoding is not known") from None
        return self._open[0].children[0]

    def _begin(self, tag: str, said: dict[str, str]) -> None:
        if len(self._open) > _DEEPEST:
            raise self._fault(self._parser.CurrentLineNumber, f"elements nested more than {_DEEPEST} deep")
        node = _Node(tag.rpartition(":")[2], said, self._parser.CurrentLineNumber)
        self._open[-1].children.append(node)
        self._open.append(node)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _refuse_entity(self, *_: object) -> None:
        raise self._fault(self._parser.CurrentLineNumber, "entities are refused")

    def _fault(self, line: int, text: str) -> ProfileError:
        return ProfileError(TITLE, [Fault(self._file, line, "", text)])


class _Reading:
    """From nodes to profiles, with every fault on the way."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.faults: list[Fault] = []

    def read(self, root: _Node) -> Iterator[Profile]:
        """The static definitions under a root."""
        if root.tag not in (ROOT, STATIC):
            self._note(root, "", f"the root element is not {ROOT}")
            return
        found = [root] if root.tag == STATIC else [node for node in root.children if node.tag == STATIC]
        if not found:
            self._note(root, ROOT, f"no {STATIC}: it says nothing of any message")
        version = root.said.get("HL7Version", "")
        for node in found:
            event = node.said.get("EventType", "").strip()
            yield Profile(
                version=version.strip(),
                type=self._asked(node, "MsgType"),
                event="" if event.upper() == "ALL" else event,
                parts=self._parts(node, "one segment"),
            )

    def _parts(self, node: _Node, needed: str = "") -> tuple[Rule, ...]:
        inside = [child for child in node.children if child.tag in _INSIDE]
        for child in inside:
            if child.tag not in _INSIDE[node.tag]:
                self._note(child, child.tag, f"has no place in a {node.tag}")
        if needed and not inside:
            self._note(node, node.tag, f"not even {needed}")
        return tuple(self._rule(child) for child in inside if child.tag in _INSIDE[node.tag])

    def _rule(self, node: _Node) -> Rule:
        usage = self._usage(node)
        low, high = self._number(node, "Min") or 0, self._high(node)
        if usage == "R":
            low = max(low, 1)
        if high is not None and high < low and usage != "X":
            self._note(node, "Max", "is less than Min, or than 1 where it is required")
        return Rule(
            kind=node.tag,
            name=self._name(node),
            usage=usage,
            low=low,
            high=high,
            datatype=node.said.get("Datatype", "").strip(),
            length=self._number(node, "Length"),
            table=node.said.get("Table", "").strip(),
            constant=node.said.get("ConstantValue", ""),
            parts=self._parts(node, "one segment" if node.tag == GROUP else ""),
        )

    def _name(self, node: _Node) -> str:
        name = self._asked(node, "Name")
        if node.tag == SEGMENT and name and not _SEGMENT_NAME.fullmatch(name):
            self._note(node, "Name", "is no name of a segment")
        return name

    def _usage(self, node: _Node) -> str:
        usage = node.said.get("Usage", "O").strip().upper()
        if _CONDITIONAL.fullmatch(usage):
            return "C"
        if usage not in _USAGES:
            self._note(node, "Usage", "is none of " + ", ".join(sorted(_USAGES)))
        return usage

    def _high(self, node: _Node) -> int | None:
        if node.tag in ("Component", "SubComponent"):
            return None  # a component does not repeat
        return None if node.said.get("Max", "*").strip() == "*" else self._number(node, "Max")

    def _number(self, node: _Node, name: str) -> int | None:
        text = node.said.get(name, "").strip()
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text):
            self._note(node, name, "is no number")
            return None
        return int(text)

    def _asked(self, node: _Node, name: str) -> str:
        text = node.said.get(name, "").strip()
        if not text:
            self._note(node, f"{node.tag}/@{name}", "is missing")
        return text

    def _note(self, node: _Node, where: str, text: str) -> None:
        self.faults.append(Fault(self._file, node.line, where, text))
