"""A payer that speaks plain FHIR R4: create, $submit or transaction; search by identifier, or for the ClaimResponse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fhir_coder.model import Identifier, Json, Outcome, OutcomeKind
from fhir_coder.payers.adjudication import claim_asked_about, is_decision, read_claim_response
from fhir_coder.payers.answer import HttpAnswer, has_identifier, member, objects, resources_in, text
from fhir_coder.payers.envelope import bundled, referring, search_token
from fhir_coder.payers.outcomes import (
    claim_name,
    claim_of_response,
    outcome_of_decision,
    outcome_of_status,
    outcome_of_submit,
)
from fhir_coder.payers.profile import PayerRequest

FHIR_JSON = "application/fhir+json"

_ACCEPT = {"Accept": FHIR_JSON}
_TAKEN = frozenset({OutcomeKind.ANSWERED, OutcomeKind.TAKEN})
FHIR_HEADERS = {"Accept": FHIR_JSON, "Content-Type": f"{FHIR_JSON}; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class BaseProfile:
    """Base R4 (3.1.0 REST API, 13.1 Claim). `submit` is `create` (POST Claim) or `operation` (POST Claim/$submit).

    `envelope` is `claim` (parties contained), `batch` (the same, up to `per_request` of them in one Bundle),
    `collection` (a Bundle, sent by $submit), `transaction` (a Bundle that creates the claim and its parties) or
    `references` (parties named by their identifiers).
    """

    name: str = "base"
    submit: str = "create"
    envelope: str = "claim"
    per_request: int = 1

    def submit_request(self, claim: bytes, identifier: Identifier) -> PayerRequest:
        """POST the claim; a create is conditional, so that even a blind repeat makes no second claim."""
        if self.envelope == "transaction":
            return PayerRequest("POST", "", FHIR_HEADERS, bundled(claim, identifier, transaction=True))
        if self.envelope == "collection":
            return PayerRequest("POST", "Claim/$submit", FHIR_HEADERS, bundled(claim, identifier))
        body = referring(claim) if self.envelope == "references" else claim
        if self.submit == "operation":
            return PayerRequest("POST", "Claim/$submit", FHIR_HEADERS, body)
        condition = {"If-None-Exist": f"identifier={search_token(identifier)}"}
        return PayerRequest("POST", "Claim", FHIR_HEADERS | condition, body)

    def read_submit(self, answer: HttpAnswer, identifier: Identifier) -> Outcome:
        """As the table of outcomes says. An answer about another claim says nothing about this one."""
        outcome = _of_transaction(answer) if self.envelope == "transaction" else None
        outcome = outcome or outcome_of_submit(answer)
        if outcome.kind in _TAKEN and is_about_another(answer.resource, identifier):
            return Outcome(OutcomeKind.UNKNOWN, ANOTHER_CLAIM, answer.status, body=answer.body)
        return outcome

    def find_request(self, identifier: Identifier, claim: bytes = b"") -> PayerRequest:  # noqa: ARG002 - others inquire with it
        """Search by identifier, strictly: a server that does not know the parameter must say so (R4 3.1.1.3)."""
        headers = _ACCEPT | {"Prefer": "handling=strict"}
        return PayerRequest("GET", f"Claim?identifier={search_token(identifier)}", headers)

    def read_find(self, answer: HttpAnswer, identifier: Identifier) -> Outcome:
        """Found only with exactly this identifier; not found only where the whole result was seen."""
        if answer.status != 200:
            outcome = _not_read(answer)
            # A look-up accepted for later is no claim accepted.
            return replace(outcome, kind=OutcomeKind.UNKNOWN) if outcome.kind is OutcomeKind.PENDING else outcome
        kind, reason, reference = _found(answer.resource, identifier)
        return Outcome(kind, reason, http_status=answer.status, reference=reference, body=answer.body)

    def poll_request(self, reference: str, identifier: Identifier, claim: bytes = b"") -> PayerRequest:  # noqa: ARG002 - as above
        """Search for the claim's ClaimResponse; without the payer's name for the claim, by the claim's identifier.

        A reference that is no claim is the address a 202 gave for asking.
        """
        if claim_name(reference):
            path = f"ClaimResponse?request={claim_name(reference)}"
        elif reference:
            path = reference
        else:
            path = f"ClaimResponse?request.identifier={search_token(identifier)}"
        return PayerRequest("GET", path, _ACCEPT)

    def read_poll(self, answer: HttpAnswer, reference: str, identifier: Identifier) -> Outcome:
        """The latest decision on this claim; other claims' decisions in the answer do not count."""
        if answer.status != 200:
            outcome = _not_read(answer)
            return replace(outcome, reference=outcome.reference or reference)
        outcome = _decision(answer.resource, reference, identifier)
        return replace(outcome, http_status=answer.status, body=answer.body)


ANOTHER_CLAIM = "the answer is about another claim"


def is_about_another(resource: Json | None, identifier: Identifier) -> bool:
    """Whether what came back is, or decides, a claim of ours, and another one."""
    for response in resources_in(resource or {}):
        ours = [
            text(one, "value") for one in objects(response, "identifier") if text(one, "system") == identifier.system
        ]
        if response.get("resourceType") == "Claim" and ours and identifier.value not in ours:
            return True
        named = member(claim_asked_about(response), "identifier") if is_decision(response) else {}
        if text(named, "system") == identifier.system and text(named, "value") not in ("", identifier.value):
            return True
    return False


def _of_transaction(answer: HttpAnswer) -> Outcome | None:
    """The place of the claim, the first entry of a transaction; None where the answer tells more, or nothing."""
    bundle = (answer.resource or {}) if answer.status in (200, 201) else {}
    response = member(next(iter(objects(bundle, "entry")), {}), "response")
    name = claim_name(text(response, "location")) if text(response, "status")[:1] == "2" else ""
    if not name or bundle.get("type") != "transaction-response" or any(is_decision(r) for r in resources_in(bundle)):
        return None
    return Outcome(OutcomeKind.TAKEN, "taken", answer.status, reference=name, body=answer.body)


def _not_read(answer: HttpAnswer) -> Outcome:
    """A question's answer by its status. Nothing was sent that could be taken twice."""
    outcome = outcome_of_status(answer)
    if outcome.kind is OutcomeKind.LOOK_UP:
        return replace(outcome, kind=OutcomeKind.UNKNOWN, reason="the payer cannot tell now")
    return outcome


def _found(bundle: Json | None, identifier: Identifier) -> tuple[OutcomeKind, str, str]:
    """Kind, reason and reference that a search result tells."""
    if bundle is None or bundle.get("resourceType") != "Bundle":
        return OutcomeKind.UNKNOWN, "the answer cannot be read", ""
    claims = [e for e in objects(bundle, "entry") if member(e, "resource").get("resourceType") == "Claim"]
    for entry in claims:
        if has_identifier(entry["resource"], identifier.system, identifier.value):
            return OutcomeKind.FOUND, "the payer has it", _name_of(entry)
    if _is_whole(bundle, len(claims)):
        return OutcomeKind.NOT_FOUND, "the payer does not have it", ""
    return OutcomeKind.UNKNOWN, "the payer's search is not complete", ""


def _name_of(entry: Json) -> str:
    identity = text(entry["resource"], "id")
    return f"Claim/{identity}" if identity else claim_name(text(entry, "fullUrl"))


def _is_whole(bundle: Json, claims: int) -> bool:
    """Whether nothing is held back: no next page, no greater total, no error beside the results."""
    pages_on = any(text(link, "relation") == "next" for link in objects(bundle, "link"))
    total = bundle.get("total")
    issues = [
        i for r in resources_in(bundle) if r.get("resourceType") == "OperationOutcome" for i in objects(r, "issue")
    ]
    failed = any(text(issue, "severity") in ("error", "fatal") for issue in issues)
    return not (pages_on or failed or (type(total) is int and total > claims))


def _decision(resource: Json | None, reference: str, identifier: Identifier) -> Outcome:
    if resource is None:
        return Outcome(OutcomeKind.UNKNOWN, "the answer cannot be read")
    responses = list(_responses(resource, reference, identifier))
    if not responses:
        return Outcome(OutcomeKind.PENDING, "no decision yet", reference=reference)
    latest = max(responses, key=_made)
    told = tuple(resources_in(resource))
    outcome = outcome_of_decision(read_claim_response(latest, told), claim_of_response(latest) or reference)
    is_open = outcome.kind is OutcomeKind.TAKEN
    return replace(outcome, kind=OutcomeKind.PENDING, reason="no decision yet") if is_open else outcome


def _responses(resource: Json, reference: str, identifier: Identifier) -> Iterator[Json]:
    """The decisions on this claim: by the payer's name for it, else by its identifier, else by the address asked."""
    claim = claim_name(reference)
    for response in resources_in(resource):
        if not is_decision(response):
            continue
        answered = claim_of_response(response)
        named = member(claim_asked_about(response), "identifier")
        by_identifier = (text(named, "system"), text(named, "value")) == (identifier.system, identifier.value)
        own_address = bool(reference) and not claim and not named
        if by_identifier or (claim and answered == claim) or own_address:
            yield response


def _made(response: Json) -> tuple[str, str]:
    return text(member(response, "meta"), "lastUpdated"), text(response, "created")
