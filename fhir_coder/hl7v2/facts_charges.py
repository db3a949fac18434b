"""FT1: charges, credits and adjustments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from fhir_coder.hl7v2.participants import with_participants
from fhir_coder.hl7v2.people import read_location, read_members
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source, UnusableError
from fhir_coder.hl7v2.systems import read_modifiers
from fhir_coder.model import ChargeFact, Concept, Money

# Table 0017 calls a credit CD; senders say CR. Payments (PY) and co-payments (CO) are money received, not charged.
_KINDS = {"": "CG", "CG": "CG", "CR": "CR", "CD": "CR", "AJ": "AJ"}
_PAYMENTS = frozenset({"PY", "CO"})


def read_charges(source: Source) -> Iterator[ChargeFact]:
    """FT1. A charge whose quantity, amount or type cannot be read is left out and noted."""
    segments = source.message.segments("FT1")
    places = {segment.text(1): segment.text(2) for segment in segments if segment.text(1) and segment.text(2)}
    seen: Counter[tuple[str, str]] = Counter()
    for segment in segments:
        try:
            fact = _charge(source, segment)
        except UnusableError:
            continue
        if fact:
            yield _identified(fact, segment, seen, places)


def _charge(source: Source, segment: Segment) -> ChargeFact | None:
    kind = _kind(source, segment)
    item = source.concept(segment.field(7), "FT1-7", procedure=True) or _described(segment)
    concept = source.concept(segment.field(25), "FT1-25", procedure=True) or item
    if concept is None or not kind:
        return None
    diagnoses = (source.concept(field, "DG1-3") for field in segment.repetitions(19))
    doctors = read_members("rendering", segment.repetitions(20)) + read_members("ordering", segment.repetitions(21))
    return ChargeFact(
        origin=source.origin(segment.path),
        identity="",
        concept=concept,
        kind=kind,
        item=item,
        service_date=source.when(segment, 4),
        quantity=_quantity(source, segment),
        unit_amount=source.money(segment.field(12)),
        amount=source.money(segment.field(11)),
        modifiers=read_modifiers(segment.repetitions(26)),
        diagnoses=tuple(diagnosis for diagnosis in diagnoses if diagnosis),
        care_team=with_participants(doctors, source, segment),
        location=read_location(segment.field(16)) or segment.text(13),
        ndc=segment.text(29),
    )


def _kind(source: Source, segment: Segment) -> str:
    """CG, CR or AJ; empty for payments. Raises UnusableError for a type that no table knows."""
    sent = segment.text(6).upper()
    if sent in _PAYMENTS:
        return ""
    if sent not in _KINDS:
        source.note(segment.path_of(6), "unknown_transaction_type")
        raise UnusableError
    return _KINDS[sent]


def _described(segment: Segment) -> Concept | None:
    text = segment.field(8).whole()
    return Concept(text=text) if text else None


def _quantity(source: Source, segment: Segment) -> Decimal:
    text = segment.text(10)
    return source.number(text, segment.path_of(10)) if text else Decimal(1)


def _identified(
    fact: ChargeFact, segment: Segment, seen: Counter[tuple[str, str]], places: dict[str, str]
) -> ChargeFact:
    """The charge with its identity: the transaction id, else what is charged and its place among equal ones.

    FT1-31 names what a credit reverses, by transaction id or by set id in this message.
    """
    reference = segment.text(31) if fact.kind == "CR" else ""
    alike = _likeness(fact)
    seen[fact.kind, alike] += 1
    identity = segment.text(2) or f"{alike}/{seen[fact.kind, alike]}"
    return replace(fact, identity=identity, reverses=places.get(reference, reference))


def _likeness(fact: ChargeFact) -> str:
    day = fact.service_date.text if fact.service_date else ""
    return f"{fact.concept.key}/{day}/{_size(fact.amount or fact.unit_amount)}/{_plain(fact.quantity)}"


def _size(money: Money | None) -> str:
    return _plain(money.value) if money else ""


def _plain(number: Decimal) -> str:
    # Without sign and trailing zeros: credits come as -50.00 or as 50.
    return f"{abs(number):f}".rstrip("0").rstrip(".") if "." in f"{number:f}" else f"{abs(number):f}"
