"""Edits on the coverage that is billed and the numbers of those who bill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.edits.parties import npis_of
from fhir_coder.model import Json, Severity


def coverage_order(context: ClaimContext) -> Iterator[Hit]:
    """Two coverages claim the same place in the order of benefits."""
    seen: set[int] = set()
    for index, coverage in enumerate(context.coded.chart.coverages):
        if coverage.order in seen:
            yield f"Claim.insurance[{index}].coverage", "another coverage has the same place in the order of benefits"
        seen.add(coverage.order)


def relationship_missing(context: ClaimContext) -> Iterator[Hit]:
    """It is not said whose insurance it is."""
    if context.coverage and not context.coverage.relationship:
        yield context.coverage_path, "the patient's relationship to the subscriber did not come (IN1-17)"


def subscriber_missing(context: ClaimContext) -> Iterator[Hit]:
    """The insurance is another person's, and that person's name did not come."""
    coverage = context.coverage
    if coverage and coverage.relationship not in ("", "self") and coverage.subscriber is None:
        yield context.coverage_path, "the patient is not the subscriber, whose name did not come (IN1-16)"


def npi_shared(context: ClaimContext) -> Iterator[Hit]:
    """One NPI for two people: an NPI is one's own (45 CFR 162.408)."""
    people: dict[str, list[int]] = defaultdict(list)
    for index, resource in enumerate(context.claim.get("contained", ())):
        if resource.get("resourceType") == "Practitioner":
            for npi in set(npis_of(resource)):
                people[npi].append(index)
    for first, *others in people.values():
        for index in others:
            if _family(context.claim, index) != _family(context.claim, first):
                text = f"the same NPI as Claim.contained[{first}], who has another name"
                yield f"Claim.contained[{index}].identifier", text


def _family(claim: Json, index: int) -> str:
    names = claim["contained"][index].get("name", ())
    return str(names[0].get("family", "")).casefold() if names else ""


EDITS = (
    Edit(
        "coverage-order",
        "Order of benefits not clear",
        Severity.WARN,
        "Have registration say which coverage pays first (IN1-22, Coverage.order).",
        coverage_order,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "relationship-missing",
        "Relationship to the subscriber not said",
        Severity.WARN,
        "Have registration fill IN1-17.",
        relationship_missing,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "subscriber-missing",
        "Subscriber not named",
        Severity.REJECT,
        "Have registration fill IN1-16.",
        subscriber_missing,
        path="Claim.insurance.coverage",
    ),
    Edit(
        "npi-shared",
        "One NPI for two people",
        Severity.WARN,
        "Correct the NPI at its source.",
        npi_shared,
        path="Claim.contained.identifier",
    ),
)
"""In the order shown to the coder."""
