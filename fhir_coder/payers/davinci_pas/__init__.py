"""Da Vinci Prior Authorization Support 2.2.1: asking a payer for a preauthorization, and reading what it decides."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fhir_coder.model import Identifier, Json, Outcome, OutcomeKind, PasRules
from fhir_coder.payers.adjudication import claim_asked_about, is_decision, name_of, read_claim_response
from fhir_coder.payers.answer import HttpAnswer, groups_in, has_identifier, member, objects, resources_in, text
from fhir_coder.payers.base import ANOTHER_CLAIM, FHIR_HEADERS
from fhir_coder.payers.davinci_pas.request import inquiry_bundle, request_bundle
from fhir_coder.payers.outcomes import (
    claim_of_response,
    outcome_of_decision,
    outcome_of_status,
    outcome_of_submit,
)
from fhir_coder.payers.profile import PayerRequest

_TAKEN = frozenset({OutcomeKind.ANSWERED, OutcomeKind.TAKEN})


@dataclass(frozen=True, slots=True)
class DaVinciPas:
    """PAS: a collection Bundle to Claim/$submit; the decision, and whether a request is there, by Claim/$inquire.

    A repeat of $submit would be a second request, so what is unknown is always inquired after first.
    """

    rules: PasRules
    name: str = "davinci-pas"
    per_request: int = 1

    def submit_request(self, claim: bytes, identifier: Identifier) -> PayerRequest:
        """The request, its update or its cancelling, with everything it refers to."""
        return PayerRequest("POST", "Claim/$submit", FHIR_HEADERS, request_bundle(claim, identifier, self.rules))

    def read_submit(self, answer: HttpAnswer, identifier: Identifier) -> Outcome:
        """The ClaimResponse of the answer, by its outcome and its reviews. Pended ones are asked after."""
        outcome = outcome_of_submit(answer)
        if outcome.kind in _TAKEN and _is_about_another(answer.resource, identifier):
            return Outcome(OutcomeKind.UNKNOWN, ANOTHER_CLAIM, answer.status, body=answer.body)
        return outcome

    def find_request(self, identifier: Identifier, claim: bytes = b"") -> PayerRequest:
        """An inquiry: PAS has no search."""
        return PayerRequest("POST", "Claim/$inquire", FHIR_HEADERS, inquiry_bundle(claim, identifier, self.rules))

    def read_find(self, answer: HttpAnswer, identifier: Identifier) -> Outcome:
        """Found where a response is about this request; not found where the answer is whole and has none."""
        return self._inquired(answer, identifier, "")

    def _inquired(self, answer: HttpAnswer, identifier: Identifier, reference: str) -> Outcome:
        if answer.status != 200:
            outcome = outcome_of_status(answer)
            is_later = outcome.kind in (OutcomeKind.PENDING, OutcomeKind.LOOK_UP)
            return replace(outcome, kind=OutcomeKind.UNKNOWN) if is_later else outcome
        outcome = _found(answer, identifier, reference)
        return replace(outcome, http_status=answer.status, body=answer.body)

    def poll_request(self, reference: str, identifier: Identifier, claim: bytes = b"") -> PayerRequest:  # noqa: ARG002 - PAS has no names for requests
        """The same inquiry: it is how a pended request is asked after."""
        return self.find_request(identifier, claim)

    def read_poll(self, answer: HttpAnswer, reference: str, identifier: Identifier) -> Outcome:
        """The latest decision on this request, pending while it is pended. `reference` is the payer's name for it."""
        outcome = self._inquired(answer, identifier, reference)
        if outcome.adjudication is None or outcome.kind is not OutcomeKind.FOUND:
            is_open = outcome.kind in (OutcomeKind.FOUND, OutcomeKind.NOT_FOUND)
            kind = OutcomeKind.PENDING if is_open else outcome.kind
            return replace(outcome, kind=kind, reference=outcome.reference or reference)
        decided = outcome_of_decision(outcome.adjudication, outcome.reference or reference)
        if decided.kind is OutcomeKind.TAKEN:
            decided = replace(decided, kind=OutcomeKind.PENDING, reason="no decision yet")
        return replace(decided, http_status=answer.status, body=answer.body)


def _found(answer: HttpAnswer, identifier: Identifier, reference: str) -> Outcome:
    if answer.resource is None:
        return Outcome(OutcomeKind.UNKNOWN, "the answer cannot be read")
    groups = list(groups_in(answer.resource))
    decisions = [(one, group) for group in groups for one in group if is_decision(one)]
    own = [(r, group) for r, group in decisions if _is_named(r, reference) or _is_about(r, group, identifier)]
    if own:
        latest, beside = max(own, key=lambda pair: text(pair[0], "created"))
        decision = read_claim_response(latest, beside)
        return Outcome(
            OutcomeKind.FOUND, "the payer has it", reference=claim_of_response(latest), adjudication=decision
        )
    told = [one for group in groups for one in group]
    issues = [i for r in told if r.get("resourceType") == "OperationOutcome" for i in objects(r, "issue")]
    faults = {text(i, "code") for i in issues if text(i, "severity") in ("error", "fatal")}
    if faults - {"not-found"}:
        return Outcome(OutcomeKind.UNKNOWN, "the payer cannot tell now")
    if any(not _numbers(r, identifier.system) for r, _ in decisions):
        # It may be about this request: sending it again would make a second one.
        return Outcome(OutcomeKind.UNKNOWN, "the answer does not say which request it is about")
    return Outcome(OutcomeKind.NOT_FOUND, "the payer does not have it")


def _is_named(response: Json, reference: str) -> bool:
    """Whether the payer's own name for a request, or for its answer, is this one."""
    return bool(reference) and reference in (name_of(response), claim_of_response(response))


def _numbers(response: Json, system: str) -> list[str]:
    """The trace numbers of ours that a response gives back."""
    listed = [*objects(response, "identifier"), member(claim_asked_about(response), "identifier")]
    return [text(one, "value") for one in listed if text(one, "system") == system and text(one, "value")]


def _is_about(response: Json, told: list[Json], identifier: Identifier) -> bool:
    """By the trace number that a response gives back, or by the request it refers to within the answer."""
    if identifier.value in _numbers(response, identifier.system):
        return True
    name = claim_of_response(response)
    claims = [r for r in told if r.get("resourceType") == "Claim" and name == f"Claim/{text(r, 'id')}"]
    return any(has_identifier(claim, identifier.system, identifier.value) for claim in claims)


def _is_about_another(resource: Json | None, identifier: Identifier) -> bool:
    """Whether a decision carries trace numbers of ours, and not this one."""
    for response in resources_in(resource or {}):
        if is_decision(response):
            own = _numbers(response, identifier.system)
            if own and identifier.value not in own:
                return True
    return False
