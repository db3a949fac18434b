"""What must be known of a message before it is kept."""

from __future__ import annotations

from fhir_coder.hl7v2.reader import Er7Message, read_message
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.model import Header, MessageFormat


def read_header(body: bytes, rules: FeedRules | None = None) -> Header:
    """The header of a message. Raises UnreadableError where the payload is no HL7 v2 message."""
    rules = rules or FeedRules()
    message = read_message(body, rules.charset, rules.charset_policy, rules.charset_fallback)
    msh = message.header
    return Header(
        format=MessageFormat.HL7V2,
        type=_type(message),
        control_id=msh.text(10),
        sender=f"{msh.text(3)}|{msh.text(4)}",
        version=msh.text(12),
    )


def _type(message: Er7Message) -> str:
    """`DFT^P03`; versions up to 2.2 may name the event in EVN-1 only."""
    msh = message.header
    kind, event = msh.text(9), msh.text(9, 2)
    if kind and not event:
        evn = message.segment("EVN")
        event = evn.text(1) if evn else ""
    return f"{kind}^{event}" if event else kind
