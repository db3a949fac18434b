"""IN1, IN2, IN3 and GT1: who pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fhir_coder.hl7v2.people import first_name, identifiers_of, read_address
from fhir_coder.hl7v2.reader import Segment
from fhir_coder.hl7v2.source import Source
from fhir_coder.model import CoverageFact, GuarantorFact

_PRIORITY_LETTERS = {"P": 1, "S": 2, "T": 3}


@dataclass(slots=True)
class _Policy:
    in1: Segment
    in2: Segment | None = None
    in3: Segment | None = None


def read_coverages(source: Source) -> Iterator[CoverageFact]:
    """IN1 with the IN2 and IN3 that follow it.

    A coverage is identified by its place in the order of benefits: a later message that corrects the plan or the
    member number of the primary insurance replaces it.
    """
    taken: set[str] = set()
    for place, policy in enumerate(_policies(source), 1):
        in1 = policy.in1
        order = _order(in1, place)
        identity = f"IN1/{order}"
        if identity in taken:
            identity = f"{identity}/{place}"
        taken.add(identity)
        yield _coverage(source, policy, identity, order)


def read_guarantors(source: Source) -> Iterator[GuarantorFact]:
    """GT1."""
    for segment in source.message.segments("GT1"):
        identifiers = identifiers_of(source.numbers(segment, 2))
        number = identifiers[0].value if identifiers else segment.text(1)
        yield GuarantorFact(
            origin=source.origin(segment.path),
            identity=f"GT1/{number}",
            identifiers=identifiers,
            name=first_name(segment.raw(3), segment.syntax),
            address=read_address(segment.first(5)),
            relationship=source.code("v2-relationship", segment, 11),
        )


def _coverage(source: Source, policy: _Policy, identity: str, order: int) -> CoverageFact:
    in1, certified = policy.in1, _certification(policy)
    return CoverageFact(
        origin=source.origin(in1.path),
        identity=identity,
        order=order,
        plan=in1.text(2),
        payer=source.payer(in1),
        subscriber_id=in1.text(49) or in1.text(36) or _member_number(policy.in2),
        group=in1.text(8),
        relationship=source.code("v2-relationship", in1, 17),
        subscriber=first_name(in1.raw(16), in1.syntax),
        start=source.when(in1, 12),
        end=source.when(in1, 13),
        prior_authorization=in1.text(14) or (policy.in3.text(2) if policy.in3 else ""),
        kind=in1.text(15),
        removed=in1.text(55).upper() == "D",
        authorized_from=source.when(certified, 9) if certified else None,
        authorized_to=source.when(certified, 10) if certified else None,
    )


def _certification(policy: _Policy) -> Segment | None:
    """The IN3 whose days count: none where it is about another number than the one that is billed with."""
    if policy.in3 is None:
        return None
    number, billed = policy.in3.text(2), policy.in1.text(14)
    return policy.in3 if not number or not billed or number == billed else None


def _order(in1: Segment, place: int) -> int:
    """The order of benefits: IN1-22 as number or letter (P, S, T), else the set id, else the place in the message."""
    for text in (in1.text(22), in1.text(1)):
        letter = _PRIORITY_LETTERS.get(text.upper())
        if letter:
            return letter
        if text.isascii() and text.isdigit() and len(text) < 4 and int(text):
            return int(text)
    return place


def _member_number(in2: Segment | None) -> str:
    """The member's number beside the policy: IN2-61, else the Medicare (IN2-6) or Medicaid (IN2-8) number."""
    return (in2.text(61) or in2.text(6) or in2.text(8)) if in2 else ""


def _policies(source: Source) -> Iterator[_Policy]:
    if source.message.names.isdisjoint(("IN2", "IN3")):
        yield from map(_Policy, source.message.segments("IN1"))
        return
    policy: _Policy | None = None
    for segment in source.message.among(("IN1", "IN2", "IN3")):
        if segment.name == "IN1":
            if policy:
                yield policy
            policy = _Policy(segment)
        elif policy and segment.name == "IN2":
            policy.in2 = policy.in2 or segment
        elif policy and segment.name == "IN3":
            policy.in3 = policy.in3 or segment
    if policy:
        yield policy
