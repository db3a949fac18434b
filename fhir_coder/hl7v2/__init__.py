"""HL7 v2 messages in ER7: bytes to header, facts and acknowledgment. Pure: no I/O, no clock, no settings, no log.

`fhir_coder.hl7v2.conformance` is not loaded from here: it brings the structures of the whole standard with it.
"""

from fhir_coder.hl7v2.ack import AckCode, AckError, AckMode, ack_mode, build_ack
from fhir_coder.hl7v2.batch import split_messages
from fhir_coder.hl7v2.facts import BILLING_TYPES, facts_from_message, is_billed
from fhir_coder.hl7v2.header import read_header
from fhir_coder.hl7v2.mllp_frame import Frame, FrameSplitter, HalfFrame, Noise, Oversize, Piece, frame
from fhir_coder.hl7v2.reader import Er7Message, read_message
from fhir_coder.hl7v2.rules import FeedRules

__all__ = [
    "BILLING_TYPES",
    "AckCode",
    "AckError",
    "AckMode",
    "Er7Message",
    "FeedRules",
    "Frame",
    "FrameSplitter",
    "HalfFrame",
    "Noise",
    "Oversize",
    "Piece",
    "ack_mode",
    "build_ack",
    "facts_from_message",
    "frame",
    "is_billed",
    "read_header",
    "read_message",
    "split_messages",
]
