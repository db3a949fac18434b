"""What one HL7 v2 message says about one visit. Which segments are read, and by what, is `READERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from fhir_coder.hl7v2.chart_key import chart_key
from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.facts_charges import read_charges
from fhir_coder.hl7v2.facts_clinical import read_diagnoses, read_immunizations, read_procedures
from fhir_coder.hl7v2.facts_coverage import read_coverages, read_guarantors
from fhir_coder.hl7v2.facts_merges import is_about_persons, moved_keys, patient_topics, read_persons
from fhir_coder.hl7v2.facts_orders import read_orders
from fhir_coder.hl7v2.facts_visit import read_cancel, read_patient, read_visit
from fhir_coder.hl7v2.places import relocate
from fhir_coder.hl7v2.reader import Er7Message, read_message
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.source import Source
from fhir_coder.hl7v2.types import is_billed
from fhir_coder.model import Fact, FiledFact, Message, MessageFacts, PatientFact, When

SegmentReader = Callable[[Source], Iterable[Fact]]

READERS: tuple[tuple[frozenset[str], SegmentReader], ...] = (
    (frozenset({"PID"}), read_patient),
    (frozenset({"MSH"}), read_visit),
    (frozenset({"MSH"}), read_cancel),
    (frozenset({"DG1", "FT1"}), read_diagnoses),
    (frozenset({"PR1"}), read_procedures),
    (frozenset({"FT1"}), read_charges),
    (frozenset({"OBR"}), read_orders),
    (frozenset({"RXA"}), read_immunizations),
    (frozenset({"IN1"}), read_coverages),
    (frozenset({"GT1"}), read_guarantors),
)
"""What reads the facts, in the order they are filed, each with the segments of which one must be there for it."""
_STANDARD = FeedRules()


def facts_from_message(message: Message, rules: FeedRules | None = None) -> MessageFacts:
    """Everything a message says, filed under its chart key; nothing for a type that is not billed.

    Raises UnreadableError where the body is no HL7 v2 message.
    """
    rules = rules or _STANDARD
    er7 = message_of_feed(message.body, rules)
    source = Source(message.id, message.header.type, er7, rules)
    if not is_billed(source.kind, rules):
        return MessageFacts(message.id, read_event_at(source), (), ())
    if is_about_persons(source.kind):
        said = read_persons(source)
        return _in_order(source, said, moved_keys(said))
    source.topic = chart_key(source)
    if not source.topic:
        source.note("PID", "no_chart_key")
        return _in_order(source, (), ())
    facts = [fact for reader in _readers(tuple(er7.names)) for fact in reader(source)]
    return _in_order(source, _filed(source, facts), (source.topic,))


@lru_cache(maxsize=512)  # the messages of a feed are made alike
def _readers(names: tuple[str, ...]) -> tuple[SegmentReader, ...]:
    """What reads a message that has segments of these names."""
    return tuple(reader for needed, reader in READERS if not needed.isdisjoint(names))


def _in_order(source: Source, facts: tuple[FiledFact, ...], charts: tuple[str, ...]) -> MessageFacts:
    """What a message says, with everything that orders it among others."""
    event_at, header = read_event_at(source), source.message.header
    sequence = header.text(13)
    return MessageFacts(
        source.message_id,
        event_at,
        facts,
        charts,
        tuple(source.problems),
        sent_at=read_when(header.text(7), source.rules.time_zone),
        sequence=int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 16 else None,
    )


def _filed(source: Source, facts: list[Fact]) -> tuple[FiledFact, ...]:
    """Facts under the message's chart key. The chart draws on the topics of its patient: merges are filed there."""
    topic, pid = source.topic, source.message.segment("PID")
    of_patient = patient_topics(source, pid) if pid else ()
    return tuple([FiledFact(topic, fact, of_patient if type(fact) is PatientFact else ()) for fact in facts])


def message_of_feed(body: bytes, rules: FeedRules) -> Er7Message:
    """A message as its feed's rules read it, fields that stand elsewhere put where they belong."""
    er7 = read_message(body, rules.charset, rules.charset_policy, rules.charset_fallback)
    if rules.relocations:
        relocate(er7, rules.relocations)
    return er7


def read_event_at(source: Source) -> When | None:
    """When what the message tells happened: EVN-6, else EVN-2, else MSH-7."""
    evn = source.message.segment("EVN")
    happened = (source.when(evn, 6) or source.when(evn, 2)) if evn else None
    return happened or source.when(source.message.header, 7)
