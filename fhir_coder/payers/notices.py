"""What a payer tells us unasked: a decision called back, or a notification of a Subscription (R4 2.46, R4 Backport).

Reading never fails: what cannot be read tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fhir_coder.model import Json, Outcome
from fhir_coder.payers.adjudication import claim_asked_about, is_decision, name_of, read_claim_response
from fhir_coder.payers.answer import groups_in, member, objects, text
from fhir_coder.payers.outcomes import claim_of_response, outcome_of_decision

_SILENT = frozenset({"handshake", "heartbeat"})


@dataclass(frozen=True, slots=True)
class Told:
    """A decision that a payer sent, with the resources that came with it."""

    response: Json
    beside: Sequence[Json] = ()

    def outcome(self) -> Outcome:
        """What it means."""
        reference = claim_of_response(self.response)
        return outcome_of_decision(read_claim_response(self.response, self.beside), reference)

    def references(self) -> list[str]:
        """The payer's names for the claim and its answer: `Claim/17`, `ClaimResponse/3`, as far as it tells them."""
        return [name for name in (claim_of_response(self.response), name_of(self.response)) if name]

    def claim_identifiers(self, system: str) -> list[str]:
        """What we call the claim: identifiers of our system in the request named, the answer, the claim beside it."""
        named = claim_of_response(self.response)
        claims = [r for r in self.beside if r.get("resourceType") == "Claim" and named == f"Claim/{text(r, 'id')}"]
        listed = [member(claim_asked_about(self.response), "identifier"), *objects(self.response, "identifier")]
        listed += [one for claim in claims for one in objects(claim, "identifier")]
        return list(dict.fromkeys(text(i, "value") for i in listed if text(i, "system") == system and text(i, "value")))


@dataclass(frozen=True, slots=True)
class Notice:
    """What a payer sent: decisions, or addresses where something is to be had.

    `is_silent` is a greeting or a sign of life; with neither decision nor address, something unsaid has changed.
    """

    told: tuple[Told, ...] = ()
    addresses: tuple[str, ...] = ()
    is_silent: bool = False


def notice_of(resource: Json) -> Notice:
    """Read what a payer sent."""
    status = _status(resource)
    decisions = [Told(one, group) for group in groups_in(resource) for one in group if is_decision(one)]
    if decisions:
        return Notice(tuple(decisions))
    return Notice((), tuple(dict.fromkeys(_focuses(status))), _kind(status) in _SILENT)


def _status(resource: Json) -> Json:
    """The status a notification begins with: Parameters (R4 Backport) or a SubscriptionStatus (R4B), else empty."""
    if resource.get("resourceType") != "Bundle":
        return {}
    first = member(next(iter(objects(resource, "entry")), {}), "resource")
    return first if first.get("resourceType") in ("Parameters", "SubscriptionStatus") else {}


def _kind(status: Json) -> str:
    named = next((p for p in objects(status, "parameter") if text(p, "name") == "type"), {})
    return text(named, "valueCode") or text(status, "type")


def _focuses(status: Json) -> Iterator[str]:
    """The addresses that a notification is about; only the payer's own are asked later."""
    for event in objects(status, "notificationEvent"):
        yield from filter(None, [text(member(event, "focus"), "reference")])
    for event in (p for p in objects(status, "parameter") if text(p, "name") == "notification-event"):
        for part in objects(event, "part"):
            if text(part, "name") == "focus":
                yield from filter(None, [text(member(part, "valueReference"), "reference")])
