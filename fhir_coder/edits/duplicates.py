"""The same service on a claim of another visit: same patient, code, day, doctor and modifiers."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_coder.edits.edit import ClaimContext, Edit, Hit
from fhir_coder.edits.parties import npis_of
from fhir_coder.model import Json, Severity

_Service = tuple[str, str, frozenset[str], frozenset[str]]
"""Code, day, NPIs and modifiers of a line."""


def duplicate_service(context: ClaimContext) -> Iterator[Hit]:
    """A line that a claim of another visit has too, which a payer has or may have.

    Lines without a doctor's NPI, or that modifiers tell apart, are no duplicates.
    """
    patient = _patient(context.claim)
    known: dict[_Service, str] = {}
    for claim in context.elsewhere:
        if patient & _patient(claim):
            known |= {service: claim["identifier"][0]["value"] for _, service in _services(claim)}
    for index, service in _services(context.claim) if known else ():
        if service in known:
            text = f"claim {known[service]} of another visit bills the same code, day and doctor for this patient"
            yield f"Claim.item[{index}]", text


def _patient(claim: Json) -> set[tuple[str, str]]:
    """The identifiers of the claim's patient."""
    people = (one for one in claim.get("contained", ()) if one.get("resourceType") == "Patient")
    identifiers = (identifier for one in people for identifier in one.get("identifier", ()))
    return {(identifier.get("system", ""), identifier.get("value", "")) for identifier in identifiers}


def _services(claim: Json) -> Iterator[tuple[int, _Service]]:
    numbers = {f"#{one.get('id')}": frozenset(npis_of(one)) for one in claim.get("contained", ())}
    team = {m["sequence"]: numbers.get(m["provider"].get("reference"), frozenset()) for m in claim.get("careTeam", ())}
    for index, item in enumerate(claim.get("item", ())):
        doctors = frozenset(npi for place in item.get("careTeamSequence", ()) for npi in team.get(place, ()))
        modifiers = frozenset(coding["code"] for one in item.get("modifier", ()) for coding in one["coding"])
        code = item["productOrService"]["coding"][0]["code"]
        if doctors and item.get("servicedDate"):
            yield index, (code, item["servicedDate"], doctors, modifiers)


EDITS = (
    Edit(
        "duplicate-service",
        "Billed on another visit's claim",
        Severity.REJECT,
        "Take the line away, or add the modifier that says it was done again.",
        duplicate_service,
        path="Claim.item",
    ),
)
"""In the order shown to the coder."""
