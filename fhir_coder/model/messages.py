"""Messages: a payload as received, with what must be known of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from fhir_coder.model.facts import MessageFacts
from fhir_coder.model.statuses import MessageStatus


class MessageFormat(enum.StrEnum):
    """How a payload is written."""

    HL7V2 = "hl7v2"
    FHIR = "fhir"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Header:
    """What must be known of a payload before it is kept: enough to acknowledge, order and recognise it.

    `type` is `DFT^P03` or a FHIR resource type. `sender` is MSH-3|MSH-4, empty for FHIR.
    """

    format: MessageFormat
    type: str = ""
    control_id: str = ""
    sender: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One payload as received, byte for byte."""

    id: str
    body: bytes
    header: Header


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message that is read: charted with its facts, or ignored or quarantined with the reason."""

    status: MessageStatus
    why: str = ""
    facts: MessageFacts | None = None
