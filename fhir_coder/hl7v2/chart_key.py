"""What makes messages belong to one visit."""

from __future__ import annotations

from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.people import Cx
from fhir_coder.hl7v2.reader import Er7Message, Segment
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.source import Source

# The kind of number, and the field that carries it, in the order of trust.
_NUMBERS = (("VN", "PV1", 19), ("AN", "PID", 18), ("AV", "PV1", 50))


def chart_key(source: Source) -> str:
    """`authority/VN/number` of the visit, else of the account (AN), the alternate visit id (AV), else patient and day.

    The feed's namespace stands before it. Empty where the message has none of them.
    """
    key = _numbered(source) or _patient_day(source)
    return f"{source.rules.namespace}{key}" if key else ""


def _numbered(source: Source) -> str:
    for kind, name, place in _NUMBERS:
        number = source.first_number(source.message.segment(name), place)
        if number.number:
            return _key(number, kind, number_authority(number, source.message))
    return ""


def _patient_day(source: Source) -> str:
    pid, day = source.message.segment("PID"), _service_day(source.message)
    identifier = _record_number(source, pid) if pid else None
    if identifier is None or not day:
        return ""
    return f"{_key(identifier, 'PT', number_authority(identifier, source.message))}/{day}"


def _record_number(source: Source, pid: Segment) -> Cx | None:
    """The medical record number, else the first identifier (PID-2 in messages that have no PID-3)."""
    numbers = [number for number in source.numbers(pid, 3) or source.numbers(pid, 2) if number.number]
    typed = (number for number in numbers if number.assigner.sent == "MR")
    return next(typed, numbers[0] if numbers else None)


def _service_day(message: Er7Message) -> str:
    for name, place in (("PV1", 44), ("FT1", 4), ("RXA", 3)):
        segment = message.segment(name)
        when = read_when(segment.text(place)) if segment else None
        if when and when.day:
            return when.day.isoformat()
    return ""


def key_of_number(number: Cx, kind: str, authority: str, rules: FeedRules) -> str:
    """The key of what has a number: `authority/kind/number` after the feed's namespace."""
    return f"{rules.namespace}{_key(number, kind, authority)}"


def _key(number: Cx, kind: str, authority: str) -> str:
    return f"{authority}/{kind}/{number.number}"


def number_authority(number: Cx, message: Er7Message) -> str:
    """Who assigned a number, else the sending facility, else the sending application."""
    return number.assigner.authority or message.header.text(4) or message.header.text(3)
