"""What makes messages belong to one visit."""

from __future__ import annotations

from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.reader import Er7Message, Field, Segment
from fhir_coder.hl7v2.rules import FeedRules

# The kind of number, and the field that carries it, in the order of trust.
_NUMBERS = (("VN", "PV1", 19), ("AN", "PID", 18), ("AV", "PV1", 50))


def chart_key(message: Er7Message, rules: FeedRules) -> str:
    """`authority/VN/number` of the visit, else of the account (AN), the alternate visit id (AV), else patient and day.

    The feed's namespace stands before it. Empty where the message has none of them.
    """
    key = _numbered(message) or _patient_day(message)
    return f"{rules.namespace}{key}" if key else ""


def _numbered(message: Er7Message) -> str:
    for kind, name, place in _NUMBERS:
        segment = message.segment(name)
        number = segment.field(place) if segment else None
        if number and number.text(1):
            return _key(number, kind, number_authority(number, message))
    return ""


def _patient_day(message: Er7Message) -> str:
    pid, day = message.segment("PID"), _service_day(message)
    identifier = _record_number(pid) if pid else None
    if identifier is None or not day:
        return ""
    return f"{_key(identifier, 'PT', number_authority(identifier, message))}/{day}"


def _record_number(pid: Segment) -> Field | None:
    """The medical record number, else the first identifier (PID-2 in messages that have no PID-3)."""
    fields = [field for field in pid.repetitions(3) or pid.repetitions(2) if field.text(1)]
    typed = (field for field in fields if field.text(5) == "MR")
    return next(typed, fields[0] if fields else None)


def _service_day(message: Er7Message) -> str:
    for name, place in (("PV1", 44), ("FT1", 4), ("RXA", 3)):
        segment = message.segment(name)
        when = read_when(segment.text(place)) if segment else None
        if when and when.day:
            return when.day.isoformat()
    return ""


def key_of_number(number: Field, kind: str, authority: str, rules: FeedRules) -> str:
    """The key of what has a number: `authority/kind/number` after the feed's namespace."""
    return f"{rules.namespace}{_key(number, kind, authority)}"


def _key(number: Field, kind: str, authority: str) -> str:
    return f"{authority}/{kind}/{number.text(1)}"


def number_authority(number: Field, message: Er7Message) -> str:
    """Who assigned a number, else the sending facility, else the sending application."""
    msh = message.header
    return number.text(4) or number.text(4, 2) or msh.text(4) or msh.text(3)
