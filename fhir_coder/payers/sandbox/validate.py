"""What the sandbox refuses: claims that cannot be read, and claims with a fault of structure (422)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fhir_coder.claims.model_check import model_findings
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import Finding, Json, Severity
from fhir_coder.payers.answer import member, objects, read_json, text
from fhir_coder.payers.sandbox.adjudicate import identifier_of

_ISSUE_OF_EDIT: Mapping[str, str] = {
    "required-element": "required",
    "required-binding": "code-invalid",
    "icd-dot": "code-invalid",
    "money-has-currency": "required",
    "net-is-product": "business-rule",
    "total-is-sum": "business-rule",
    "one-focal-insurance": "business-rule",
    "pointer-to-nothing": "invariant",
    "duplicate-sequence": "invariant",
    "reference-resolves": "invariant",
    "reference-target": "invariant",
    "contained-unused": "invariant",
    "period-order": "invariant",
    "r4-invariant": "invariant",
    "net-is-sum": "business-rule",
    "one-currency": "business-rule",
    "no-claim": "required",
    "reference-form": "value",
    "wrong-datatype": "value",
}
"""Structure edit -> OperationOutcome issue code (R4 issue-type); any other is `structure`."""


@dataclass(frozen=True, slots=True)
class Received:
    """A claim as received. `resources` are the contained ones and those of its Bundle, by the names references use.

    `whole` is what came: the claim, or the Bundle with it.
    """

    claim: Json
    resources: Mapping[str, Json]
    whole: Json

    @property
    def identifier(self) -> tuple[str, str]:
        """System and value of the claim's first identifier, empty where it has none."""
        first = next(iter(objects(self.claim, "identifier")), {})
        return text(first, "system"), text(first, "value")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a claim is not taken, with the HTTP status that says so."""

    status: int
    issues: Sequence[Json]


def read_claim(body: bytes) -> Received | Refusal:
    """Read a Claim, or the first Claim of a Bundle."""
    resource = read_json(body)
    if not isinstance(resource, dict):
        return Refusal(400, [issue("structure", "", "The body is no JSON object.")])
    return read_resource(resource)


def read_resource(resource: Json) -> Received | Refusal:
    """The Claim that a resource is, or the first Claim of a Bundle."""
    if resource.get("resourceType") == "Bundle":
        return _read_bundle(resource)
    if resource.get("resourceType") != "Claim":
        return Refusal(422, [issue("structure", "", "The body is no Claim.")])
    return Received(resource, _contained(resource), resource)


def _read_bundle(bundle: Json) -> Received | Refusal:
    named: dict[str, Json] = {}
    for entry in objects(bundle, "entry"):
        resource = member(entry, "resource")
        named |= {
            text(entry, "fullUrl"): resource,
            f"{text(resource, 'resourceType')}/{text(resource, 'id')}": resource,
        }
    claim = next((r for r in named.values() if r.get("resourceType") == "Claim"), None)
    if claim is None:
        return Refusal(422, [issue("required", "Bundle.entry", "The Bundle has no Claim.")])
    return Received(claim, named | _contained(claim), bundle)


def _contained(claim: Json) -> dict[str, Json]:
    return {f"#{text(resource, 'id')}": resource for resource in objects(claim, "contained")}


def beside_of(received: Received) -> list[Json]:
    """The entries of the Bundle besides the claim."""
    return [e for e in objects(received.whole, "entry") if member(e, "resource") is not received.claim]


def condition_of(received: Received) -> str:
    """The condition on which a transaction creates the claim, empty where it has none."""
    entries = (e for e in objects(received.whole, "entry") if member(e, "resource") is received.claim)
    return next((text(member(entry, "request"), "ifNoneExist") for entry in entries), "")


def issue(code: str, path: str, words: str) -> Json:
    """One OperationOutcome issue of severity error. Words are fixed: they never show a value."""
    told: Json = {"severity": "error", "code": code, "diagnostics": words}
    return told | {"expression": [path]} if path else told


def operation_outcome(issues: Sequence[Json]) -> Json:
    """An OperationOutcome of such issues."""
    return {"resourceType": "OperationOutcome", "issue": list(issues)}


def faults_of(received: Received) -> list[Json]:
    """Everything the sandbox refuses a claim for, as issues; each place is told once."""
    found = [*_structure(received), *identifier_faults(received), *_needs(received)]
    return _once_each(found or _model_issues(received.claim))


def faults_of_structure(received: Received) -> list[Json]:
    """The faults of structure alone: those of the edits, and where there is none those of the R4 model."""
    return _once_each(_structure(received) or _model_issues(received.claim))


def _structure(received: Received) -> list[Json]:
    return [_of_finding(f) for f in structure_findings(received.whole) if f.severity is Severity.REJECT]


def _once_each(found: list[Json]) -> list[Json]:
    by_place = {(entry["code"], *entry.get("expression", [])): entry for entry in reversed(found)}
    return list(reversed(by_place.values()))


def _of_finding(finding: Finding) -> Json:
    return issue(_ISSUE_OF_EDIT.get(finding.edit, "structure"), finding.path, f"{finding.edit}: {finding.text}")


def _needs(received: Received) -> Iterator[Json]:
    """What this payer needs beyond the standard."""
    claim = received.claim
    if not received.identifier[1]:
        yield issue("required", "Claim.identifier", "The claim has no identifier.")
    for name in ("item", "diagnosis"):
        if not objects(claim, name):
            yield issue("required", f"Claim.{name}", f"The claim has no {name}.")
    if claim.get("status") in ("draft", "entered-in-error"):
        yield issue("business-rule", "Claim.status", "A claim of this status is not taken.")


def identifier_faults(received: Received) -> Iterator[Json]:
    """Whether patient and provider can be told apart from others."""
    for name in ("patient", "provider"):
        if not identifier_of(member(received.claim, name), received.resources):
            yield issue("required", f"Claim.{name}", f"The {name} has no identifier.")


def _model_issues(claim: Json) -> list[Json]:
    """What the R4 model refuses."""
    return [
        issue("required" if f.text.endswith("missing") else "structure", f.path, f.text) for f in model_findings(claim)
    ]
