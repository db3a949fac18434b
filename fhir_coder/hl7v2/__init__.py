"""HL7 v2 messages in ER7: bytes to header, facts and acknowledgment. Pure: no I/O, no clock, no settings, no log.

`fhir_coder.hl7v2.conformance` is not loaded from here: it brings the structures of the whole standard with it.
"""

from fhir_coder.hl7v2.ack import AckCode, AckError, AckMode, AckStyle, ack_mode, build_ack
from fhir_coder.hl7v2.batch import is_utf16, split_messages
from fhir_coder.hl7v2.batch_answer import BatchFile, build_batch_answer, read_batches
from fhir_coder.hl7v2.batch_count import BatchCount, Miscount, counted, miscounts
from fhir_coder.hl7v2.facts import facts_from_message, message_of_feed
from fhir_coder.hl7v2.header import read_header
from fhir_coder.hl7v2.mllp_frame import Frame, FrameSplitter, GivenUp, HalfFrame, Noise, Oversize, Piece, frame
from fhir_coder.hl7v2.places import PLACES, Place, Relocations, moved_fields, read_place
from fhir_coder.hl7v2.reader import Er7Message, read_message
from fhir_coder.hl7v2.rules import DEFAULT_SYSTEMS, FeedRules
from fhir_coder.hl7v2.types import BILLING_TYPES, NEVER_BILLED, PERSON_TYPES, READABLE_FAMILIES, is_billed, why_ignored

__all__ = [
    "BILLING_TYPES",
    "DEFAULT_SYSTEMS",
    "NEVER_BILLED",
    "PERSON_TYPES",
    "PLACES",
    "READABLE_FAMILIES",
    "AckCode",
    "AckError",
    "AckMode",
    "AckStyle",
    "BatchCount",
    "BatchFile",
    "Er7Message",
    "FeedRules",
    "Frame",
    "FrameSplitter",
    "GivenUp",
    "HalfFrame",
    "Miscount",
    "Noise",
    "Oversize",
    "Piece",
    "Place",
    "Relocations",
    "ack_mode",
    "build_ack",
    "build_batch_answer",
    "counted",
    "facts_from_message",
    "frame",
    "is_billed",
    "is_utf16",
    "message_of_feed",
    "miscounts",
    "moved_fields",
    "read_batches",
    "read_header",
    "read_message",
    "read_place",
    "split_messages",
    "why_ignored",
]
