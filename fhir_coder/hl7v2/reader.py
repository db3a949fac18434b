"""Lazy ER7 reader: a message is cut into segments, and a segment into fields only when one of them is asked for.

HL7 v2.9 chapter 2.5 (delimiters, null) and 2.7 (escape sequences).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.charset import Policy, codec_of, declared_charsets, decode, marked_codec

DELETE = '""'
"""The value that means: delete what you have. An empty field means: nothing said."""

_LEADING = "\ufeff\x0b\x1c \t\r\n"
_SWITCH = re.compile(r"\x1b[\x20-\x2f]*[\x30-\x7e]?")
_HEADERS = frozenset({"MSH", "FHS", "BHS"})
_ONCE = frozenset({"MSH", "SFT", "EVN", "PID", "PD1", "MRG", "PV1", "PV2", "ACC", "MSA"})


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
            ".br": "\n",
            "H": "",
            "N": "",
        }
        return marks.get(sequence)


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


class Field:
    """One repetition of a field, with its components and subcomponents."""

    __slots__ = ("_parts", "_syntax", "path", "raw")

    def __init__(self, raw: str, syntax: Syntax, path: str) -> None:
        self.raw = raw
        self.path = path
        self._syntax = syntax
        self._parts: list[str] | None = None

    def __bool__(self) -> bool:
        """Whether anything is said: neither empty, nor the delete mark, nor delimiters alone."""
        if not self.raw or self.is_delete:
            return False
        marks = self._syntax.component + self._syntax.subcomponent + " "
        return bool(self.raw.strip(marks))

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
        parts = self.components
        return parts[number - 1] if number <= len(parts) else ""

    def text(self, component: int = 1, subcomponent: int = 1) -> str:
        """A subcomponent as text, unescaped and stripped; empty where absent or marked for deletion."""
        raw = self.component(component)
        if not raw:
            return ""
        if self._syntax.subcomponent in raw:
            parts = raw.split(self._syntax.subcomponent)
            raw = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        return self._plain(raw)

    def whole(self, component: int = 1) -> str:
        """A component as text with its subcomponent marks kept: senders forget to escape the `&` of a firm's name."""
        return self._plain(self.component(component))

    def _plain(self, raw: str) -> str:
        raw = raw.strip()
        return "" if raw == DELETE else self._syntax.unescape(raw)


class Segment:
    """One segment. `path` is where it stands: `PID`, `DG1[2]`."""

    __slots__ = ("_line", "_parts", "_shift", "name", "path", "syntax")

    def __init__(self, name: str, path: str, line: str, syntax: Syntax) -> None:
        self.name = name
        self.path = path
        self._line = line
        self.syntax = syntax
        self._parts: list[str] | None = None
        self._shift = 1 if name in _HEADERS else 0

    @property
    def count(self) -> int:
        """The number of fields sent."""
        return len(self._fields()) - 1 + self._shift

    def raw(self, number: int) -> str:
        """A whole field with its repetitions as sent, 1-based, empty where absent."""
        parts = self._fields()
        if self._shift and number == 1:
            return self.syntax.field
        place = number - self._shift
        return parts[place] if place < len(parts) else ""

    def field(self, number: int) -> Field:
        """The first repetition of a field."""
        raw = self.raw(number)
        if self.syntax.repetition in raw and not (self._shift and number == 2):
            raw = raw.split(self.syntax.repetition, 1)[0]
        return Field(raw, self.syntax, f"{self.path}-{number}")

    def repetitions(self, number: int) -> list[Field]:
        """The repetitions of a field that say something; the path of the second is `PID-3[2]`."""
        raw = self.raw(number)
        if not raw:
            return []
        path = f"{self.path}-{number}"
        parts = raw.split(self.syntax.repetition)
        if len(parts) == 1:
            only = Field(raw, self.syntax, path)
            return [only] if only else []
        fields = (Field(part, self.syntax, f"{path}[{place}]") for place, part in enumerate(parts, 1))
        return [field for field in fields if field]

    def _fields(self) -> list[str]:
        if self._parts is None:
            self._parts = self._line.split(self.syntax.field)
        return self._parts

    def text(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """A subcomponent of a field's first repetition as text."""
        return self.field(number).text(component, subcomponent) if self.raw(number) else ""


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

    def segments(self, name: str) -> list[Segment]:
        """The segments of one name in the order sent."""
        self._indexed()
        return self._by_name.get(name, [])

    def segment(self, name: str) -> Segment | None:
        """The first segment of a name."""
        found = self.segments(name)
        return found[0] if found else None

    @property
    def header(self) -> Segment:
        """MSH."""
        return Segment("MSH", "MSH", self._lines[0], self.syntax)

    def _indexed(self) -> list[Segment]:
        if self._order is None:
            self._order = [self._filed(line) for line in self._lines]
        return self._order

    def _filed(self, line: str) -> Segment:
        name = line[:3]
        same = self._by_name.setdefault(name, [])
        place = len(same) + 1
        path = name if place == 1 and name in _ONCE else f"{name}[{place}]"
        segment = Segment(name, path, line, self.syntax)
        same.append(segment)
        return segment


def read_message(
    body: bytes | str, default: str = "utf-8", policy: Policy = "strict", fallback: str = "cp1252"
) -> Er7Message:
    """Read a message. Raises UnreadableError (rules `empty`, `no_msh`, `bad_encoding_characters`, `charset`)."""
    if isinstance(body, str):
        return _read_text(body, "utf-8")
    text = decode(body, default, policy, fallback)
    return _read_text(text, marked_codec(body) or codec_of(declared_charsets(body)) or default)


def _read_text(text: str, codec: str) -> Er7Message:
    text = text.lstrip(_LEADING)
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
    return len(name) == 3 and name.isalnum() and name.isupper() and name.isascii() and line[3:4] in ("", separator)
