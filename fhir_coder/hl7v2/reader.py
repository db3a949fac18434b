"""Lazy ER7 reader: a message is cut into lines, and a line into fields only when its segment is asked for.

HL7 v2.9 chapter 2.5 (delimiters, null) and 2.7 (escape sequences).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, KeysView, Mapping
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
_COMMON = frozenset(
    {"MSH", "SFT", "EVN", "PID", "PD1", "ARV", "MRG", "NK1", "PV1", "PV2", "ROL", "PRT", "DB1", "AL1", "PDA", "RF1"}
    | {"DG1", "DRG", "PR1", "FT1", "GT1", "IN1", "IN2", "IN3", "ACC", "UB1", "UB2"}
    | {"ORC", "OBR", "OBX", "NTE", "RXA", "RXR", "TQ1"}
)
"""Names that need no second look to be seen as such."""
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
    is_plain: bool = False
    """Whether the message has no escape, delete mark or blank but the space: most need no second look."""

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
    if raw[:1].isalnum():  # a letter or digit is never a delimiter: most values need no second look
        return True
    bare = raw.strip()
    return bare != DELETE and bool(bare.strip(f"{syntax.component}{syntax.subcomponent} "))


def plain_text(raw: str, syntax: Syntax) -> str:
    """A raw component as text: stripped, unescaped, empty where it is the delete mark."""
    raw = raw.strip()
    if syntax.is_plain:
        return raw
    if syntax.escape in raw:
        return syntax.unescape(raw)
    return "" if raw == DELETE else raw


def texts_of(raw: str, syntax: Syntax) -> list[str]:
    """The components of a field as texts, of each the first subcomponent."""
    if raw.isalnum():
        return [raw]
    mark, inner = syntax.component, syntax.subcomponent
    if not syntax.is_plain and (syntax.escape in raw or '"' in raw or not raw.isprintable()):
        return [first_text(part, syntax) for part in raw.split(mark)]
    while inner in raw:
        cut = raw.index(inner)
        end = raw.find(mark, cut)
        raw = raw[:cut] if end < 0 else raw[:cut] + raw[end:]
    texts = raw.split(mark)
    return [text.strip() for text in texts] if " " in raw else texts


def first_text(raw: str, syntax: Syntax) -> str:
    """The first subcomponent of a component as text."""
    if not raw or raw.isalnum():  # letters and digits alone: nothing to cut, strip or unescape
        return raw
    if syntax.subcomponent in raw:
        raw = raw.split(syntax.subcomponent, 1)[0]
    return raw.strip() if syntax.is_plain else plain_text(raw, syntax)


class Field:
    """One repetition of a field, with its components and subcomponents; `place` is 0 where there is only one."""

    __slots__ = ("_syntax", "place", "raw", "texts")

    def __init__(self, raw: str, syntax: Syntax, place: int = 0) -> None:
        self.raw = raw
        self.texts = texts_of(raw, syntax)
        """The components as texts, of each the first subcomponent."""
        self.place = place
        self._syntax = syntax

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return is_said(self.raw, self._syntax)

    @property
    def is_delete(self) -> bool:
        """Whether the sender says to delete what was said before (`""`)."""
        return self.raw.strip() == DELETE

    def component(self, number: int) -> str:
        """A raw component, 1-based, empty where absent."""
        parts = self.raw.split(self._syntax.component)
        return parts[number - 1] if number <= len(parts) else ""

    def text(self, component: int = 1, subcomponent: int = 1) -> str:
        """A subcomponent as text, unescaped and stripped; empty where absent or marked for deletion."""
        if subcomponent == 1:
            return self.texts[component - 1] if component <= len(self.texts) else ""
        syntax = self._syntax
        if syntax.subcomponent not in self.raw:
            return ""
        parts = self.component(component).split(syntax.subcomponent)
        return plain_text(parts[subcomponent - 1], syntax) if subcomponent <= len(parts) else ""

    def whole(self, component: int = 1) -> str:
        """A component as text with its subcomponent marks kept: senders forget to escape the `&` of a firm's name."""
        syntax = self._syntax
        if syntax.subcomponent in self.raw:
            return plain_text(self.component(component), syntax)
        return self.texts[component - 1] if component <= len(self.texts) else ""


def fields_of(raw: str, syntax: Syntax) -> list[Field]:
    """The repetitions of a whole field that say something."""
    if syntax.repetition in raw:
        repeated = enumerate(raw.split(syntax.repetition), 1)
        return [Field(part, syntax, place) for place, part in repeated if is_said(part, syntax)]
    return [Field(raw, syntax)] if is_said(raw, syntax) else []


class Segment:
    """One segment. `path` is where it stands: `PID`, `DG1[2]`; `at` counts all segments of its message from 0.

    `moved` are fields filled from elsewhere, with where that is.
    """

    __slots__ = ("_parts", "at", "moved", "name", "path", "syntax")

    def __init__(self, name: str, path: str, line: str, syntax: Syntax, at: int = 0) -> None:
        self.name = name
        self.path = path
        self.at = at
        self.syntax = syntax
        self.moved: Mapping[int, str] = _NOT_MOVED
        self._parts = line.split(syntax.field)
        if name in _HEADERS:
            self._parts.insert(1, syntax.field)  # MSH-1 is the separator itself

    @property
    def count(self) -> int:
        """The number of fields sent."""
        return len(self._parts) - 1

    def path_of(self, number: int, place: int = 0) -> str:
        """Where a field stands: `FT1[2]-11`, or the place elsewhere that it was filled from.

        The second of several repetitions is `PID-3[2]`.
        """
        path = self.moved.get(number) or f"{self.path}-{number}"
        return f"{path}[{place}]" if place else path

    def move(self, number: int, raw: str, path: str) -> None:
        """Let a field say what stands at another place of the message."""
        parts = self._parts
        parts.extend([""] * (number + 1 - len(parts)))
        parts[number] = raw
        self.moved = {**self.moved, number: path}

    def raw(self, number: int) -> str:
        """A whole field with its repetitions as sent, 1-based, empty where absent."""
        parts = self._parts
        return parts[number] if number < len(parts) else ""

    def raw_repetitions(self, number: int) -> list[str]:
        """All repetitions of a field as sent."""
        raw = self.raw(number)
        return [raw] if self._is_syntax(number) else raw.split(self.syntax.repetition)

    def field(self, number: int) -> Field:
        """The first repetition of a field."""
        raw = self.raw(number)
        if self.syntax.repetition in raw and not self._is_syntax(number):
            raw = raw.split(self.syntax.repetition, 1)[0]
        return Field(raw, self.syntax)

    def first(self, number: int) -> Field | None:
        """The first repetition of a field, None where nothing at all was sent."""
        parts = self._parts
        raw = parts[number] if number < len(parts) else ""
        if not raw:
            return None
        return self.field(number) if self.syntax.repetition in raw else Field(raw, self.syntax)

    @property
    def may_delete(self) -> bool:
        """Whether any of its fields may say to delete: most segments need no second look."""
        return not self.syntax.is_plain and DELETE in self.syntax.field.join(self._parts)

    def is_delete(self, number: int) -> bool:
        """Whether the sender says to delete what was said of a field before (`""`)."""
        raw = self.raw(number)
        return DELETE in raw and raw.strip() == DELETE

    def whole(self, number: int) -> str:
        """The first component of a field's first repetition as text, its subcomponent marks kept."""
        field = self.first(number)
        return "" if field is None else field.whole()

    def repetitions(self, number: int) -> list[Field]:
        """The repetitions of a field that say something."""
        raw = self.raw(number)
        return fields_of(raw, self.syntax) if raw else []

    def text(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """A subcomponent of a field's first repetition as text."""
        parts = self._parts
        raw = parts[number] if number < len(parts) else ""
        if not raw:
            return ""
        if raw.isalnum():
            return raw if component == subcomponent == 1 else ""
        syntax = self.syntax
        if component > 1 or subcomponent > 1 or self._is_syntax(number):
            return self.field(number).text(component, subcomponent)
        if syntax.repetition in raw:
            raw = raw.split(syntax.repetition, 1)[0]
        if syntax.component in raw:
            raw = raw.split(syntax.component, 1)[0]
        return first_text(raw, syntax)

    def _is_syntax(self, number: int) -> bool:
        return number <= 2 and self.name in _HEADERS


class Er7Message:
    """A message cut into segments; a segment is cut into fields when it is asked for."""

    __slots__ = ("_lines", "_made", "_places", "header", "names", "syntax")

    def __init__(self, lines: list[str], syntax: Syntax) -> None:
        self.syntax = syntax
        self.header = Segment("MSH", "MSH", lines[0], syntax)
        """MSH."""
        self._lines = lines
        self._places: dict[str, list[int]] = {}
        places = self._places
        for at, line in enumerate(lines):
            name = line[:3]
            if name in places:
                places[name].append(at)
            else:
                places[name] = [at]
        self._made: dict[str, list[Segment]] = {}
        self.names: KeysView[str] = places.keys()
        """The names of its segments."""

    def __iter__(self) -> Iterator[Segment]:
        """All segments in the order sent."""
        return iter(self.among(self._places))

    @property
    def order(self) -> list[str]:
        """The names of all segments in the order sent."""
        return [line[:3] for line in self._lines]

    def among(self, names: Iterable[str]) -> list[Segment]:
        """The segments of some names in the order sent."""
        found = [name for name in names if name in self._places]
        if len(found) == 1:
            return self.segments(found[0])
        return sorted([segment for name in found for segment in self.segments(name)], key=_place)

    def segments(self, name: str) -> list[Segment]:
        """The segments of one name in the order sent."""
        made = self._made.get(name)
        if made is None:
            places = self._places.get(name)
            if places is None:
                return []
            lines, syntax = self._lines, self.syntax
            if len(places) == 1 and name in ONCE:
                made = [Segment(name, name, lines[places[0]], syntax, places[0])]
            else:
                made = [Segment(name, _path(name, n), lines[at], syntax, at) for n, at in enumerate(places, 1)]
            self._made[name] = made
        return made

    def segment(self, name: str) -> Segment | None:
        """The first segment of a name."""
        found = self._made.get(name)
        if found:
            return found[0]
        return self.segments(name)[0] if name in self._places else None

    def add(self, name: str, path: str) -> Segment:
        """An empty segment at the end, for what a message says without it; `path` is where it says so."""
        at = len(self._lines)
        segment = Segment(name, path, name, self.syntax, at)
        self._made[name] = [*self.segments(name), segment]
        self._places.setdefault(name, []).append(at)
        self._lines.append(name)
        return segment


def _path(name: str, number: int) -> str:
    return name if number == 1 and name in ONCE else f"{name}[{number}]"


def _place(segment: Segment) -> int:
    return segment.at


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
    lines = (text.replace("\n", "\r") if "\n" in text else text).split("\r")
    syntax = read_syntax(lines[0], codec, _is_plain(text))
    segments = _joined(lines, syntax.field)
    if syntax.is_plain and len(segments) + (not lines[-1]) < len(lines) and any("\n" in one for one in segments):
        syntax = read_syntax(lines[0], codec)  # a segment that goes on in another line holds the line's end
    return Er7Message(segments, syntax)


def _is_plain(text: str) -> bool:
    # What `str.strip` takes for blank in ASCII besides the space; far cheaper than a look into every field.
    if not text.isascii() or '"' in text or text.count(text[6:7]) > 1:
        return False
    # Written out: a pattern looks at each character in turn, and takes thirty times as long.
    has_blanks = "\t" in text or "\x0b" in text or "\x0c" in text or "\x1c" in text or "\x1d" in text
    return not (has_blanks or "\x1e" in text or "\x1f" in text)


def read_syntax(line: str, codec: str, is_plain: bool = False) -> Syntax:
    """The syntax that an MSH line declares. Raises UnreadableError (rule `bad_encoding_characters`)."""
    separator = line[3:4]
    if not separator or separator.isalnum() or separator.isspace() or not separator.isprintable():
        raise UnreadableError("MSH-1", "bad_encoding_characters", "no usable field separator")
    return _syntax(separator, line[4:].split(separator, 1)[0].strip(), codec, is_plain)


@lru_cache(maxsize=64)
def _syntax(separator: str, marks: str, codec: str, is_plain: bool) -> Syntax:
    if len(marks) < 4:
        raise UnreadableError("MSH-2", "bad_encoding_characters", "fewer than 4 encoding characters")
    if len(marks) > 5:
        raise UnreadableError("MSH-2", "bad_encoding_characters", "more than 5 encoding characters")
    if len({*marks, separator}) != len(marks) + 1:
        raise UnreadableError("MSH-2", "bad_encoding_characters", "an encoding character stands for two things")
    if any(mark.isalnum() or mark.isspace() or not mark.isprintable() for mark in marks):
        raise UnreadableError("MSH-2", "bad_encoding_characters", "a letter, digit or blank as encoding character")
    return Syntax(separator, marks[0], marks[1], marks[2], marks[3], marks[4:], codec, is_plain)


def _joined(lines: list[str], separator: str) -> list[str]:
    """The segments; a line that cannot begin a segment goes on with the one before it.

    Senders leave line feeds in free text; without this the fields after such a text would be lost.
    """
    segments: list[str] = []
    for line in lines:
        segment = line.strip(" \t\x0b\x1c")
        if segment[:3] in _COMMON and segment[3:4] == separator:
            segments.append(segment)
        elif not segment:
            continue
        elif _begins_segment(segment, separator) or not segments:
            segments.append(segment)
        else:
            segments[-1] += "\n" + segment
    return segments


def _begins_segment(line: str, separator: str) -> bool:
    name = line[:3]
    return line[3:4] in ("", separator) and name.isupper() and name.isalnum() and name.isascii() and len(name) == 3
