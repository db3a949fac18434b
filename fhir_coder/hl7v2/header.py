"""What must be known of a message before it is kept."""

from __future__ import annotations

import re

from fhir_coder.hl7v2.charset import marked_codec
from fhir_coder.hl7v2.reader import LEADING, Er7Message, read_message
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.model import Header, MessageFormat

_LEADING = LEADING.removeprefix("\ufeff").encode()
_LINE_END = re.compile(rb"[\r\n]")


def read_header(body: bytes, rules: FeedRules | None = None) -> Header:
    """The header of a message. Raises UnreadableError where the payload is no HL7 v2 message.

    Bytes that are not of the character set are replaced here, whatever the feed's policy: it counts when the message
    is read for its facts, and the header tells who sent what until then.
    """
    rules = rules or FeedRules()
    message = _read(_first_line(body), rules)
    if not message.header.text(9, 2):
        message = _read(body, rules)  # versions up to 2.2 may name the event in EVN only
    msh = message.header
    return Header(
        format=MessageFormat.HL7V2,
        type=_type(message),
        control_id=msh.text(10),
        sender=f"{msh.text(3)}|{msh.text(4)}",
        version=msh.text(12),
    )


def _read(body: bytes, rules: FeedRules) -> Er7Message:
    return read_message(body, rules.charset, "replace", rules.charset_fallback)


def _first_line(body: bytes) -> bytes:
    if marked_codec(body):
        return body
    head = body.lstrip(_LEADING)
    end = _LINE_END.search(head)
    return head[: end.start()] if end else head


def _type(message: Er7Message) -> str:
    """`DFT^P03`; versions up to 2.2 may name the event in EVN-1 only."""
    msh = message.header
    kind, event = msh.text(9), msh.text(9, 2)
    if kind and not event:
        evn = message.segment("EVN")
        event = evn.text(1) if evn else ""
    return f"{kind}^{event}" if event else kind
