"""Lazy ER7 reader: a message is cut into segments, and a segment into fields only when one of them is asked for.

HL7 v2.9 chapter 2.5 (delimiters, null) and 2.7 (escape sequences).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.charset import Policy, decode_named

DELETE = '""'
"""The value that means: delete what you have. An empty field means: nothing said."""

LEADING = "\ufeff\x0b\x1c \t\r\n"
"""Characters that may stand before a message without being part of it."""

_FORMATTING = re.compile(r"\.(br|ce|sp|sk|fi|nf|in|ti)\+?(-?[0-9]{1,2})?")
_SWITCH = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]?")
_HEADERS = frozenset({"MSH", "FHS", "BHS"})
_NOT_MOVED: Mapping[int, str] = MappingProxyType({})
ONCE = frozenset({"MSH", "SFT", "EVN", "PID", "PD1", "MRG", "PV1", "PV2", "ACC", "MSA"})
"""Segments that stand once in the messages read here: their paths need no number."""


@dataclass(frozen=True, slots=True)
class Syntax:
    """How one message is written: its delimiters (MSH-1, MSH-2) and the codec of its bytes."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"
    truncation: str = ""
    codec: str = "utf-8"

    @property
    def encoding_characters(self) -> str:
        """MSH-2."""
        return self.component + self.repetition + self.escape + self.subcomponent + self.truncation

    def unescape(self, text: str) -> str:
        """The text with its escape sequences resolved; sequences nobody knows are kept as they are."""
        if self.escape not in text:
            return text
        plain = _escape_pattern(self.escape).sub(self._resolved, text)
        return _switched(plain) if "\x1b" in plain and "\x1b" not in text else plain

    def escaped(self, text: str) -> str:
        """The text as it may stand in a field."""
        letters = {self.field: "F", self.component: "S", self.subcomponent: "T", self.repetition: "R", self.escape: "E"}
        sequences = {mark: f"{self.escape}{letter}{self.escape}" for mark, letter in letters.items()}
        sequences |= {"\r": f"{self.escape}.br{self.escape}", "\n": f"{self.escape}.br{self.escape}"}
        return "".join(sequences.get(character, character) for character in text)

    def _resolved(self, match: re.Match[str]) -> str:
        sequence = match[1]
        simple = self._simple(sequence)
        if simple is not None:
            return simple
        kind, digits = sequence[:1], sequence[1:]
        if kind not in "XCM" or len(digits) % 2 or not re.fullmatch(r"[0-9A-Fa-f]{2,}", digits):
            return match[0]
        data = bytes.fromhex(digits)
        if kind != "X":
            return "\x1b" + data.decode("latin-1")
        try:
            return data.decode(self.codec)
        except UnicodeDecodeError:
            return match[0]

    def _simple(self, sequence: str) -> str | None:
        marks = {
            "F": self.field,
            "S": self.component,
            "T": self.subcomponent,
            "R": self.repetition,
            "E": self.escape,
            "P": self.truncation or "#",
            "H": "",
            "N": "",
        }
        known = marks.get(sequence)
        return _formatted(sequence) if known is None else known


def _formatted(sequence: str) -> str | None:
    """What a formatting command (`.br`, `.sp3`; HL7 v2.9 chapter 2.7.6) does to plain text, None where it is none.

    Indents and word wrap have no meaning without a printed page.
    """
    command = _FORMATTING.fullmatch(sequence)
    if command is None:
        return None
    name, number = command[1], command[2]
    if name == "sk":
        return " " * int(number or 1)
    if name == "sp":
        return "\n" * int(number or 1)
    return "\n" if name in ("br", "ce") else ""


@lru_cache(maxsize=64)
def _escape_pattern(escape: str) -> re.Pattern[str]:
    mark = re.escape(escape)
    return re.compile(f"{mark}([^{mark}]*){mark}")


def _switched(text: str) -> str:
    """Text with ISO 2022 switches (from `\\C` and `\\M` sequences) read by them, as it is where they make no sense."""
    try:
        return text.encode("latin-1").decode("iso2022_jp_2")
    except UnicodeError:
        return _SWITCH.sub("", text)


def is_said(raw: str, syntax: Syntax) -> bool:
    """Whether anything is said: neither empty, nor the delete mark, nor delimiters alone."""
    # A letter or digit is never a delimiter. Most values begin with one.
    if not raw or raw[0].isalnum():
        return bool(raw)
    bare = raw.strip()
    return bare != DELETE and bool(bare.strip(f"{syntax.component}{syntax.subcomponent} "))


class Field:
    """One repetition of a field, with its components and subcomponents."""

    __slots__ = ("_number", "_parts", "_place", "_segment", "_syntax", "raw")

    def __init__(self, raw: str, segment: Segment, number: int, place: int = 0) -> None:
        self.raw = raw
        self._syntax = segment.syntax
        self._segment = segment
        self._number = number
        self._place = place
        self._parts: list[str] | None = None

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return is_said(self.raw, self._syntax)

    @property
    def path(self) -> str:
        """Where it stands; the second of several repetitions is `PID-3[2]`."""
        path = self._segment.path_of(self._number)
        return f"{path}[{self._place}]" if self._place else path

    @property
    def is_delete(self) -> bool:
        """Whether the sender says to delete what was said before (`""`)."""
        return self.raw.strip() == DELETE

    @property
    def components(self) -> list[str]:
        """The raw components."""
        if self._parts is None:
            self._parts = self.raw.split(self._syntax.component)
        return self._parts

    def component(self, number: int) -> str:
        """A raw component, 1-based, empty where absent."""
        parts = self._parts or self.components
        return parts[number - 1] if number <= len(parts) else ""

    def text(self, component: int = 1, subcomponent: int = 1) -> str:
        """A subcomponent as text, unescaped and stripped; empty where absent or marked for deletion."""
        parts = self._parts or self.components
        if component > len(parts):
            return ""
        raw = parts[component - 1]
        if not raw or raw.isalnum():  # letters and digits alone: nothing to cut, strip or unescape
            return raw if subcomponent == 1 else ""
        if self._syntax.subcomponent in raw:
            parts = raw.split(self._syntax.subcomponent)
            raw = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        return self._plain(raw)

    def whole(self, component: int = 1) -> str:
        """A component as text with its subcomponent marks kept: senders forget to escape the `&` of a firm's name."""
        raw = self.component(component)
        return raw if not raw or raw.isalnum() else self._plain(raw)

    def _plain(self, raw: str) -> str:
        raw = raw.strip()
        if self._syntax.escape in raw:
            return self._syntax.unescape(raw)
        return "" if raw == DELETE else raw


class Segment:
    """One segment. `path` is where it stands: `PID`, `DG1[2]`; `at` counts all segments of its message from 0.

    `moved` are fields filled from elsewhere, with where that is.
    """

    __slots__ = ("_is_header", "_line", "_parts", "at", "moved", "name", "path", "syntax")

    def __init__(self, name: str, path: str, line: str, syntax: Syntax, at: int = 0) -> None:
        self.name = name
        self.path = path
        self.at = at
        self._line = line
        self.syntax = syntax
        self._parts: list[str] | None = None
        self._is_header = name in _HEADERS
        self.moved: Mapping[int, str] = _NOT_MOVED

    @property
    def count(self) -> int:
        """The number of fields sent."""
        return len(self._fields()) - 1

    def path_of(self, number: int) -> str:
        """Where a field stands: `FT1[2]-11`, or the place elsewhere that it was filled from."""
        return self.moved.get(number) or f"{self.path}-{number}"

    def move(self, number: int, raw: str, path: str) -> None:
        """Let a field say what stands at another place of the message."""
        parts = self._fields()
        parts.extend([""] * (number + 1 - len(parts)))
        parts[number] = raw
        self.moved = {**self.moved, number: path}

    def raw(self, number: int) -> str:
        """A whole field with its repetitions as sent, 1-based, empty where absent."""
        parts = self._parts or self._fields()
        return parts[number] if number < len(parts) else ""

    def raw_repetitions(self, number: int) -> list[str]:
        """All repetitions of a field as sent."""
        raw = self.raw(number)
        return [raw] if self._is_header and number <= 2 else raw.split(self.syntax.repetition)

    def field(self, number: int) -> Field:
        """The first repetition of a field."""
        raw = self.raw(number)
        if self.syntax.repetition in raw and not (self._is_header and number == 2):
            raw = raw.split(self.syntax.repetition, 1)[0]
        return Field(raw, self, number)

    def repetitions(self, number: int) -> list[Field]:
        """The repetitions of a field that say something."""
        raw = self.raw(number)
        if not raw:
            return []
        if self.syntax.repetition not in raw:
            return [Field(raw, self, number)] if is_said(raw, self.syntax) else []
        parts = enumerate(raw.split(self.syntax.repetition), 1)
        return [Field(part, self, number, place) for place, part in parts if is_said(part, self.syntax)]

    def text(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """A subcomponent of a field's first repetition as text."""
        raw = self.raw(number)
        if not raw or raw.isalnum():
            return raw if component == subcomponent == 1 else ""
        return self.field(number).text(component, subcomponent)

    def _fields(self) -> list[str]:
        if self._parts is None:
            self._parts = self._line.split(self.syntax.field)
            if self._is_header:
                self._parts.insert(1, self.syntax.field)  # MSH-1 is the separator itself
        return self._parts


class Er7Message:
    """A message cut into segments."""

    __slots__ = ("_by_name", "_lines", "_order", "syntax")

    def __init__(self, lines: list[str], syntax: Syntax) -> None:
        self.syntax = syntax
        self._lines = lines
        self._order: list[Segment] | None = None
        self._by_name: dict[str, list[Segment]] = {}

    def __iter__(self) -> Iterator[Segment]:
        """All segments in the order sent."""
        return iter(self._indexed())

    def after(self, segment: Segment) -> Iterator[Segment]:
        """The segments that follow one, in the order sent."""
        order = self._indexed()
        return (order[at] for at in range(segment.at + 1, len(order)))

    def segments(self, name: str) -> list[Segment]:
        """The segments of one name in the order sent."""
        if self._order is None:
            self._indexed()
        return self._by_name.get(name, [])

    def segment(self, name: str) -> Segment | None:
        """The first segment of a name."""
        found = self.segments(name)
        return found[0] if found else None

    def add(self, name: str, path: str) -> Segment:
        """An empty segment at the end, for what a message says without it; `path` is where it says so."""
        order = self._indexed()
        segment = Segment(name, path, name, self.syntax, len(order))
        order.append(segment)
        self._by_name.setdefault(name, []).append(segment)
        return segment

    @property
    def header(self) -> Segment:
        """MSH."""
        return Segment("MSH", "MSH", self._lines[0], self.syntax)

    def _indexed(self) -> list[Segment]:
        if self._order is None:
            self._order = [self._filed(line, at) for at, line in enumerate(self._lines)]
        return self._order

    def _filed(self, line: str, at: int) -> Segment:
        name = line[:3]
        same = self._by_name.setdefault(name, [])
        place = len(same) + 1
        path = name if place == 1 and name in ONCE else f"{name}[{place}]"
        segment = Segment(name, path, line, self.syntax, at)
        same.append(segment)
        return segment


def read_message(
    body: bytes | str, default: str = "utf-8", policy: Policy = "strict", fallback: str = "cp1252"
) -> Er7Message:
    """Read a message. Raises UnreadableError (rules `empty`, `no_msh`, `bad_encoding_characters`, `charset`)."""
    if isinstance(body, str):
        return _read_text(body, "utf-8")
    return _read_text(*decode_named(body, default, policy, fallback))


def _read_text(text: str, codec: str) -> Er7Message:
    text = text.lstrip(LEADING)
    if not text:
        raise UnreadableError("", "empty", "the payload is empty")
    if not text.startswith("MSH"):
        raise UnreadableError("", "no_msh", "the payload does not begin with MSH")
    lines = text.replace("\n", "\r").split("\r")
    syntax = _read_syntax(lines[0], codec)
    return Er7Message(_joined(lines, syntax.field), syntax)


def _read_syntax(line: str, codec: str) -> Syntax:
    separator = line[3:4]
    if not separator or separator.isalnum() or separator.isspace() or not separator.isprintable():
        raise UnreadableError("MSH-1", "bad_encoding_characters", "no usable field separator")
    marks = line[4:].split(separator, 1)[0].strip()
    if len(marks) < 4:
        raise UnreadableError("MSH-2", "bad_encoding_characters", "fewer than 4 encoding characters")
    if len(marks) > 5:
        raise UnreadableError("MSH-2", "bad_encoding_characters", "more than 5 encoding characters")
    if len({*marks, separator}) != len(marks) + 1:
        raise UnreadableError("MSH-2", "bad_encoding_characters", "an encoding character stands for two things")
    if any(mark.isalnum() or mark.isspace() or not mark.isprintable() for mark in marks):
        raise UnreadableError("MSH-2", "bad_encoding_characters", "a letter, digit or blank as encoding character")
    return Syntax(separator, marks[0], marks[1], marks[2], marks[3], marks[4:], codec)


def _joined(lines: list[str], separator: str) -> list[str]:
    """The segments; a line that cannot begin a segment goes on with the one before it.

    Senders leave line feeds in free text; without this the fields after such a text would be lost.
    """
    segments: list[str] = []
    for line in lines:
        segment = line.strip(" \t\x0b\x1c")
        if not segment:
            continue
        if _begins_segment(segment, separator) or not segments:
            segments.append(segment)
        else:
            segments[-1] += "\n" + segment
    return segments


def _begins_segment(line: str, separator: str) -> bool:
    name = line[:3]
    return line[3:4] in ("", separator) and name.isupper() and name.isalnum() and name.isascii() and len(name) == 3
