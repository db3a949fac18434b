"""The answer to a message (HL7 v2.9 chapter 2.9), also to one that cannot be read.

MSA-2 is never empty: it is the sender's MSH-10, or `UNKNOWN` where that cannot be found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.charset import marked_codec
from fhir_coder.hl7v2.dates import write_when
from fhir_coder.hl7v2.outline import THEIR_CONTROL_ID, outline_of
from fhir_coder.hl7v2.reader import Segment, Syntax, read_message
from fhir_coder.model import When

AckCode = Literal["AA", "AE", "AR", "CA", "CE", "CR"]
AckStyle = Literal["auto", "original", "enhanced"]
"""Which mode a feed answers in: as each message asks, or one of the two whatever it asks."""

UNKNOWN_CONTROL_ID = "UNKNOWN"
_DEFAULT_VERSION = "2.5.1"
_CONDITIONS = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
_PATH = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[(\d+)\])?(?:-(\d+)(?:\[(\d+)\])?(?:\.(\d+))?(?:\.(\d+))?)?")
_VERSION = re.compile(r"2\.[0-9](?:\.[0-9])?")
_LINE_END = re.compile(rb"[\r\n]")
_LEADING = b"\xef\xbb\xbf\x0b\x1c \t\r\n"


@dataclass(frozen=True, slots=True)
class AckError:
    """What was wrong: where (`PID-3[2].4`, empty for the whole message), the code of table 0357, and a text.

    The text goes to the sender and into its logs: it must hold no value of the message.
    """

    path: str
    code: str
    text: str
    severity: Literal["E", "W", "I", "F"] = "E"


@dataclass(frozen=True, slots=True)
class AckMode:
    """Which answers a sender wants: MSH-15 (on commit) and MSH-16 (from the application), table 0155."""

    accept: str = ""
    application: str = ""

    @property
    def is_enhanced(self) -> bool:
        """Whether CA, CE, CR are meant rather than AA, AE, AR."""
        return bool(self.accept or self.application)

    def wants_accept(self, ok: bool) -> bool:
        """Whether a commit acknowledgment is due."""
        return _wanted(self.accept or "NE", ok) if self.is_enhanced else False

    def wants_application(self, ok: bool) -> bool:
        """Whether an application acknowledgment is due: always in the original mode."""
        return _wanted(self.application or "NE", ok) if self.is_enhanced else True


def ack_mode(body: bytes, style: AckStyle = "auto") -> AckMode:
    """The mode a message asks for; the original one where its header cannot be read.

    Style `enhanced` gives a message that asks for nothing a commit acknowledgment, `original` always AA, AE or AR.
    """
    if style == "original":
        return AckMode()
    outlined = outline_of(body)
    mode = _mode_of(outlined[0]) if outlined else _mode(header_of(body))
    return AckMode("AL", "NE") if style == "enhanced" and not mode.is_enhanced else mode


@lru_cache(maxsize=256)
def _mode_of(outline: bytes) -> AckMode:
    return _mode(header_of(outline))


def _mode(msh: Segment) -> AckMode:
    return AckMode(msh.text(15).upper(), msh.text(16).upper())


def build_ack(body: bytes, code: AckCode, *, control_id: str, at: When | str, error: AckError | None = None) -> bytes:
    """The acknowledgment of a payload, unframed, in its delimiters, character set and version.

    `at` is the time of the answer, as a value or as an HL7 time. `control_id` is our own MSH-10.
    """
    outlined = outline_of(body) if error is None and control_id.isalnum() else None
    if outlined and isinstance(at, str):
        return _between_marks(outlined[0], code) % (at.encode(), control_id.encode(), outlined[1].encode())
    return _built(body, code, control_id=control_id, at=at, error=error)


@lru_cache(maxsize=256)
def _between_marks(outline: bytes, code: AckCode) -> bytes:
    """The acknowledgment of a message with an outline, with places for the time and both control ids."""
    built = _built(outline, code, control_id=_OURS, at=_AT)
    for mark in (_AT, _OURS):
        assert built.count(mark.encode()) == 1
    head, theirs, tail = built.replace(b"%", b"%%").rpartition(THEIR_CONTROL_ID.encode())
    assert theirs
    return (head + b"%s" + tail).replace(_AT.encode(), b"%s").replace(_OURS.encode(), b"%s")


_AT, _OURS = "\x01at\x01", "\x01ours\x01"
"""Stand for what differs from answer to answer; no plain MSH holds such characters."""


def _built(body: bytes, code: AckCode, *, control_id: str, at: When | str, error: AckError | None = None) -> bytes:
    msh = header_of(body)
    syntax = msh.syntax
    version = msh.text(12) if _VERSION.fullmatch(msh.text(12)) else _DEFAULT_VERSION
    time = write_when(at) if isinstance(at, When) else at
    header = [
        "MSH",
        syntax.encoding_characters,
        *(msh.raw(place) for place in (5, 6, 3, 4)),
        time,
        "",
        _message_type(msh, version),
        syntax.escaped(control_id),
        msh.raw(11) or "P",
        msh.raw(12) if msh.text(12) == version else version,
    ]
    header += [""] * 5 + [msh.raw(18)] if msh.raw(18) else []
    theirs = msh.raw(10).strip() or UNKNOWN_CONTROL_ID
    text = syntax.escaped(error.text) if error and _number(version) < (2, 5) else ""
    segments = [header, ["MSA", code, theirs, text] if text else ["MSA", code, theirs]]
    if error:
        segments.append(_error_segment(error, version, syntax))
    answer = "".join(syntax.field.join(segment) + "\r" for segment in segments)
    return answer.encode(_wire_codec(body), "replace")


def _message_type(msh: Segment, version: str) -> str:
    event = msh.field(9).component(2).strip()
    if not event:
        return "ACK"
    structure = ["ACK"] if _number(version) >= (2, 3, 1) else []
    return msh.syntax.component.join(["ACK", event, *structure])


def _error_segment(error: AckError, version: str, syntax: Syntax) -> list[str]:
    location = _location(error.path)
    words = _CONDITIONS.get(error.code, "")
    if _number(version) < (2, 5):
        condition = syntax.subcomponent.join((error.code, words, "HL70357"))
        place = [*location[:3], *[""] * (3 - len(location[:3]))]
        return ["ERR", syntax.component.join((*place, condition))]
    condition = syntax.component.join((error.code, words, "HL70357"))
    text = syntax.escaped(error.text)
    return ["ERR", "", syntax.component.join(location), condition, error.severity, "", "", text, text]


def _location(path: str) -> list[str]:
    """A path as ERL: segment, its sequence, field, repetition, component, subcomponent."""
    match = _PATH.fullmatch(path)
    if match is None:
        return []
    segment, sequence, field, repetition, component, subcomponent = match.groups()
    parts = [segment, sequence or "1", field or "", repetition or ("1" if field else ""), component or ""]
    parts.append(subcomponent or "")
    while parts and not parts[-1]:
        parts.pop()
    return parts


def header_of(body: bytes) -> Segment:
    """MSH as it can be read: bytes one to one where the character set is unknown, an empty one where nothing can."""
    return _header_in(_first_line(body))


@lru_cache(maxsize=1)  # an answer asks for the same header twice: how, and what to answer
def _header_in(line: str) -> Segment:
    try:
        return read_message(line).header
    except UnreadableError:
        return Segment("MSH", "MSH", _salvaged(line), Syntax())


def _first_line(body: bytes) -> str:
    # Latin-1 keeps every byte as it is; only an ASCII header is looked at, and the rest is echoed unchanged.
    codec = _wire_codec(body)
    if codec == "latin-1":
        head = body.lstrip(_LEADING)
        end = _LINE_END.search(head)
        return head[: end.start() if end else 65536].decode(codec)
    text = body[:8192].decode(codec, "replace").lstrip("\ufeff\x0b\x1c \t\r\n")
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _wire_codec(body: bytes) -> str:
    codec = marked_codec(body)
    return codec if codec.startswith("utf-16") else "latin-1"


def _salvaged(line: str) -> str:
    """An MSH of our own with their control id, where their encoding characters cannot be used."""
    fields = line.split(line[3:4]) if line.startswith("MSH") and line[3:4] and not line[3].isalnum() else []
    control_id = fields[9].strip() if len(fields) > 9 else ""
    usable = control_id if re.fullmatch(r"[A-Za-z0-9_.:/ -]{1,199}", control_id) else ""
    return "MSH|^~\\&|" + "|" * 7 + usable


def _wanted(condition: str, ok: bool) -> bool:
    return {"AL": True, "NE": False, "SU": ok, "ER": not ok}.get(condition, True)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
