"""What must be known of a message before it is kept."""

from __future__ import annotations

from functools import lru_cache

from fhir_coder.hl7v2.charset import first_line, marked_codec
from fhir_coder.hl7v2.outline import outline_of
from fhir_coder.hl7v2.reader import Er7Message, Segment, read_message, read_syntax
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.model import Header, MessageFormat

_STANDARD = FeedRules()


def read_header(body: bytes, rules: FeedRules | None = None) -> Header:
    """The header of a message. Raises UnreadableError where the payload is no HL7 v2 message.

    Bytes that are not of the character set are replaced here, whatever the feed's policy: it counts when the message
    is read for its facts, and the header tells who sent what until then.
    """
    outlined = outline_of(body)
    common = _common(outlined[0]) if outlined else None
    if outlined and common:
        return Header(common.format, common.type, outlined[1], common.sender, common.version)
    rules = rules or _STANDARD
    msh = _plain_header(body) or _read(body if marked_codec(body) else first_line(body), rules).header
    kind = msh.field(9).texts
    # Versions up to 2.2 may name the event in EVN only.
    named = f"{kind[0]}^{kind[1]}" if len(kind) > 1 and kind[1] else _type(_read(body, rules))
    return Header(MessageFormat.HL7V2, named, msh.text(10), f"{msh.text(3)}|{msh.text(4)}", msh.text(12))


@lru_cache(maxsize=256)
def _common(outline: bytes) -> Header | None:
    """The header of all messages with an outline, but for the control id; None where their type stands in EVN."""
    msh = _plain_header(outline)
    kind = msh.field(9).texts if msh else []
    if msh is None or len(kind) < 2 or not kind[1]:
        return None
    return Header(MessageFormat.HL7V2, f"{kind[0]}^{kind[1]}", "", f"{msh.text(3)}|{msh.text(4)}", msh.text(12))


def _plain_header(body: bytes) -> Segment | None:
    """MSH of a message whose first line is printable ASCII without escapes, as it is whatever set it is of."""
    if not body.startswith(b"MSH"):
        return None
    line = first_line(body)
    if not line.isascii() or line.count(line[6:7]) > 1:
        return None
    text = line.decode("ascii")
    return Segment("MSH", "MSH", text, read_syntax(text, "utf-8")) if text.isprintable() else None


def _read(body: bytes, rules: FeedRules) -> Er7Message:
    return read_message(body, rules.charset, "replace", rules.charset_fallback)


def _type(message: Er7Message) -> str:
    """`DFT^P03`; versions up to 2.2 may name the event in EVN-1 only."""
    msh = message.header
    kind, event = msh.text(9), msh.text(9, 2)
    if kind and not event:
        evn = message.segment("EVN")
        event = evn.text(1) if evn else ""
    return f"{kind}^{event}" if event else kind
