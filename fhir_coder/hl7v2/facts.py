"""What one HL7 v2 message says about one visit.

Which types count is `BILLING_TYPES`; which segments are read, and by what, is `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fhir_coder.hl7v2.chart_key import chart_key
from fhir_coder.hl7v2.facts_charges import read_charges
from fhir_coder.hl7v2.facts_clinical import read_diagnoses, read_immunizations, read_procedures
from fhir_coder.hl7v2.facts_coverage import read_coverages, read_guarantors
from fhir_coder.hl7v2.facts_visit import read_cancel, read_patient, read_visit
from fhir_coder.hl7v2.reader import read_message
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.source import Source
from fhir_coder.model import Fact, FiledFact, Message, MessageFacts, When

BILLING_TYPES = frozenset(
    {f"ADT^{event}" for event in ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13")}
    | {f"BAR^{event}" for event in ("P01", "P05", "P06", "P12")}
    | {"DFT^P03", "DFT^P11", "VXU^V04"}
)
"""The message types that say something to bill by."""

SegmentReader = Callable[[Source], Iterable[Fact]]

READERS: tuple[SegmentReader, ...] = (
    read_patient,
    read_visit,
    read_cancel,
    read_diagnoses,
    read_procedures,
    read_charges,
    read_immunizations,
    read_coverages,
    read_guarantors,
)
"""What reads the facts, in the order they are filed."""


def is_billed(kind: str) -> bool:
    """Whether messages of a type (`DFT^P03`) are read for facts; others are acknowledged and recorded as ignored."""
    return kind in BILLING_TYPES


def facts_from_message(message: Message, rules: FeedRules | None = None) -> MessageFacts:
    """Everything a message says, filed under its chart key; nothing for a type that is not billed.

    Raises UnreadableError where the body is no HL7 v2 message.
    """
    rules = rules or FeedRules()
    er7 = read_message(message.body, rules.charset, rules.charset_policy, rules.charset_fallback)
    source = Source(message.id, message.header.type, er7, rules)
    source.topic = chart_key(er7, rules)
    event_at = read_event_at(source)
    if not is_billed(message.header.type):
        return MessageFacts(message.id, event_at, (), ())
    if not source.topic:
        source.note("PID", "no_chart_key")
        return MessageFacts(message.id, event_at, (), (), tuple(source.problems))
    facts = tuple(FiledFact(source.topic, fact) for reader in READERS for fact in reader(source))
    return MessageFacts(message.id, event_at, facts, (source.topic,), tuple(source.problems))


def read_event_at(source: Source) -> When | None:
    """When what the message tells happened: EVN-6, else EVN-2, else MSH-7."""
    evn = source.message.segment("EVN")
    happened = (source.when(evn, 6) or source.when(evn, 2)) if evn else None
    return happened or source.when(source.message.header, 7)
