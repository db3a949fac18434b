"""ACC, UB1 and UB2: the accident a visit is about, and the codes of the uniform bill (HL7 v2.9 chapter 6.5.9 to 11).

Condition, occurrence and value codes are carried as sent: their meaning is the National Uniform Billing Committee's.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from fhir_coder.hl7v2.dates import read_when
from fhir_coder.hl7v2.reader import Field, Segment
from fhir_coder.hl7v2.source import Source, UnusableError
from fhir_coder.model import Accident, BillCode, When

_AT_WORK, _MOTOR_VEHICLE = "WPA", "MVA"
# Where condition, value, occurrence and occurrence span codes stand. UB1 is the bill of 1982: its span is three fields.
_FIELDS = {"UB2": (3, 6, 7, 8), "UB1": (7, 10, 16, 0)}
_UB1_SPAN = (17, 18, 19)
# Days of the stay have fields of their own here; a bill carries them as value codes.
_COVERED, _NOT_COVERED, _COINSURANCE = "80", "81", "82"
_DAYS = {
    "UB2": ((4, _COVERED), (5, _NOT_COVERED), (2, _COINSURANCE)),
    "UB1": ((8, _COVERED), (9, _NOT_COVERED), (6, _COINSURANCE)),
}


def read_accident(source: Source) -> Accident | None:
    """ACC. Its kind is said by ACC-5 (job related), else by a state in ACC-4 (motor vehicle); ACC-2 is kept as sent."""
    acc = source.message.segment("ACC")
    if acc is None or acc.is_delete(1):
        return None
    state = acc.text(4)
    kind = _AT_WORK if acc.text(5).upper() == "Y" else _MOTOR_VEHICLE if state else ""
    when, code, place = source.when(acc, 1), source.concept(acc, 2, "ACC-2"), acc.text(3)
    if not (when or code or place or kind):
        return None
    return Accident(source.origin(acc.path), when, kind, code, place, state)


def is_accident_deleted(source: Source) -> bool:
    """Whether ACC-1 says that there was no accident."""
    acc = source.message.segment("ACC")
    return acc is not None and acc.is_delete(1)


def read_bill_codes(source: Source) -> tuple[BillCode, ...]:
    """The codes of UB2, else of UB1. One whose date or amount cannot be read is left out and noted."""
    for name, fields in _FIELDS.items():
        segment = source.message.segment(name)
        if segment is None:
            continue
        codes = tuple(_codes(source, segment, fields))
        codes += tuple(_days(source, segment, {code.code for code in codes if code.kind == "value"}))
        if codes:
            return codes
    return ()


def _codes(source: Source, segment: Segment, fields: tuple[int, int, int, int]) -> Iterator[BillCode]:
    condition, value, occurrence, span = fields
    for field in segment.repetitions(condition):
        if field.text():
            origin = source.origin(segment.path_of(condition, field.place))
            yield BillCode(origin, "condition", field.text())
    for field in segment.repetitions(value):
        amount = _amount(source, segment, field, value)
        if field.text() and amount is not None:
            origin = source.origin(segment.path_of(value, field.place))
            yield BillCode(origin, "value", field.text(), amount=amount)
    for field in segment.repetitions(occurrence):
        yield from _dated(source, field, "occurrence", segment.path_of(occurrence, field.place))
    for field in segment.repetitions(span) if span else ():
        yield from _dated(source, field, "span", segment.path_of(span, field.place))
    if not span:
        yield from _ub1_span(source, segment)


def _days(source: Source, segment: Segment, said: set[str]) -> Iterator[BillCode]:
    """Covered, other and co-insurance days, where the value codes do not say them."""
    for number, code in _DAYS[segment.name]:
        text = segment.text(number)
        if not text or code in said:
            continue
        days = _number(source, text, segment, number)
        if days is not None:
            yield BillCode(source.origin(segment.path_of(number)), "value", code, amount=days)


def _amount(source: Source, segment: Segment, field: Field, number: int) -> Decimal | None:
    text = field.text(2) or field.text(3)
    return _number(source, text, segment, number) if text else None


def _number(source: Source, text: str, segment: Segment, number: int) -> Decimal | None:
    try:
        return source.number(text, segment, number)
    except UnusableError:
        return None


def _dated(source: Source, field: Field, kind: str, path: str) -> Iterator[BillCode]:
    start, end = _when(source, field, 2, path), _when(source, field, 3, path) if kind == "span" else None
    if field.text() and start:
        yield BillCode(source.origin(path), kind, field.text(), start, end)


def _when(source: Source, field: Field, component: int, path: str) -> When | None:
    text = field.text(component)
    when = read_when(text, source.rules.time_zone) if text else None
    if text and when is None:
        source.note(path, "not_a_date")
    return when


def _ub1_span(source: Source, segment: Segment) -> Iterator[BillCode]:
    code, start, end = _UB1_SPAN
    began = source.when(segment, start)
    if segment.text(code) and began:
        path = segment.path_of(code)
        yield BillCode(source.origin(path), "span", segment.text(code), began, source.when(segment, end))
