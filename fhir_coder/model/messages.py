"""Messages: a payload as received, with what must be known of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field

from fhir_coder.model.facts import MessageFacts
from fhir_coder.model.frozen import dataclass
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
class Answered:
    """What the sender of a FHIR payload was told of its resources, where the bytes do not say it; by FHIR path.

    `ids`: the id that a resource was given, or is known by already. `left_out`: what was not taken. `checked`: the
    rest was validated before the answer.
    """

    ids: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    checked: bool = False


BY_ITS_BYTES = Answered()
"""Nothing was told besides what the payload says itself."""


@dataclass(frozen=True, slots=True)
class Message:
    """One payload as received, byte for byte."""

    id: str
    body: bytes
    header: Header
    answered: Answered = BY_ITS_BYTES


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message that is read: charted with its facts, or ignored or quarantined with the reason."""

    status: MessageStatus
    why: str = ""
    facts: MessageFacts | None = None
