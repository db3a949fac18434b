"""FT1: charges, credits and adjustments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from fhir_coder.hl7v2.participants import with_participants
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source, UnusableError
from fhir_coder.model import ChargeFact, Concept, Money

# Table 0017 calls a credit CD; senders say CR. A payment (PY) is money received, nobody can tell from whom.
_KINDS = {"": "CG", "CG": "CG", "CR": "CR", "CD": "CR", "AJ": "AJ", "CO": "CO"}
_PAYMENT = "PY"


def read_charges(source: Source) -> Iterable[ChargeFact]:
    """FT1. A charge whose quantity, amount or type cannot be read is left out and noted."""
    segments = source.message.segments("FT1")
    return _charges(source, segments) if segments else ()


def _charges(source: Source, segments: list[Segment]) -> Iterator[ChargeFact]:
    places = _places(segments)
    is_likeness_asked = "" in [segment.text(2) for segment in segments]
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for segment in segments:
        source.about = segment.text(2)
        try:
            fact = _charge(source, segment, places)
        except UnusableError:
            continue
        finally:
            source.about = ""
        if fact:
            yield _identified(fact, seen) if is_likeness_asked else fact


def _charge(source: Source, segment: Segment, places: dict[str, str]) -> ChargeFact | None:
    kind = _kind(source, segment)
    item = source.concept(segment, 7, "FT1-7") or _described(segment)
    concept = source.concept(segment, 25, "FT1-25") or item or (Concept() if kind == "CO" else None)
    if concept is None or not kind:
        return None
    department = segment.text(13)
    reference = segment.text(31) if kind == "CR" else ""
    doctors = source.members("rendering", segment, 20) + source.members("ordering", segment, 21)
    given, unit = _given(source, segment)
    return ChargeFact(
        origin=source.origin(segment.path),
        identity=segment.text(2),
        concept=concept,
        kind=kind,
        item=item,
        service_date=source.when(segment, 4),
        quantity=_quantity(source, segment),
        unit_amount=source.money(segment, 12),
        amount=source.money(segment, 11),
        modifiers=source.modifiers(segment, 26),
        diagnoses=source.concepts(segment, 19, "DG1-3"),
        care_team=with_participants(doctors, source, segment),
        location=source.location(segment, 16) or department,
        department=department,
        ndc=segment.text(29),
        reverses=places.get(reference, reference) if reference else "",
        drug_quantity=given,
        drug_unit=unit,
        referral=segment.text(38),
        authorization=segment.text(39),
        revenue_code=segment.text(41),
    )


def _kind(source: Source, segment: Segment) -> str:
    """CG, CR, AJ or CO; empty for payments. Raises UnusableError for a type that no table knows."""
    sent = segment.text(6).upper()
    if sent == _PAYMENT:
        return ""
    if sent not in _KINDS:
        source.note(segment.path_of(6), "unknown_transaction_type")
        raise UnusableError
    return _KINDS[sent]


def _described(segment: Segment) -> Concept | None:
    text = segment.whole(8)
    return Concept(text=text) if text else None


def _quantity(source: Source, segment: Segment) -> Decimal:
    text = segment.text(10)
    return source.number(text, segment, 10) if text else Decimal(1)


def _given(source: Source, segment: Segment) -> tuple[Decimal | None, str]:
    """How much of the drug was given, and in which unit (FT1-43, from HL7 2.8 on)."""
    field = segment.first(43) if segment.raw(43) else None
    if field is None or not field.text():
        return None, ""
    return source.number(field.text(), segment, 43), field.text(2)


def _places(segments: list[Segment]) -> dict[str, str]:
    """The transaction id of each set id: FT1-31 names what a credit reverses by one or the other."""
    if not any(segment.raw(31) for segment in segments):
        return {}
    return {segment.text(1): segment.text(2) for segment in segments if segment.text(1) and segment.text(2)}


def _identified(fact: ChargeFact, seen: dict[tuple[str, str], int]) -> ChargeFact:
    """The charge with its identity: the transaction id, else what is charged and its place among equal ones."""
    alike = _likeness(fact)
    seen[fact.kind, alike] += 1
    return fact if fact.identity else replace(fact, identity=f"{alike}/{seen[fact.kind, alike]}")


def _likeness(fact: ChargeFact) -> str:
    day = fact.service_date.text if fact.service_date else ""
    return f"{fact.concept.key}/{day}/{_size(fact.amount or fact.unit_amount)}/{_plain(fact.quantity)}"


def _size(money: Money | None) -> str:
    return _plain(money.value) if money else ""


def _plain(number: Decimal) -> str:
    # Without sign and trailing zeros: credits come as -50.00 or as 50.
    return f"{abs(number):f}".rstrip("0").rstrip(".") if "." in f"{number:f}" else f"{abs(number):f}"
