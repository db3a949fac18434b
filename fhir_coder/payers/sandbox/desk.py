"""The sandbox's claims desk: what becomes of a submission, and the answers to questions about it. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import codes, member, objects, text
from fhir_coder.payers.outcomes import claim_name
from fhir_coder.payers.sandbox.adjudicate import (
    Rules,
    TakenClaim,
    decided,
    decision_of,
    frequency,
    is_void,
    queued,
)
from fhir_coder.payers.sandbox.store import Books, KeptClaim
from fhir_coder.payers.sandbox.validate import Received, Refusal, faults_of, issue, operation_outcome, read_claim

_ADDS = "5"
"""The frequency of a claim of late charges: its prior claim stands on."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: HTTP status, resource, and the claim it made or found (`Claim/1`), empty where none."""

    status: int
    resource: Json
    location: str = ""

    @property
    def body(self) -> bytes:
        """The resource's bytes, decimals kept."""
        return to_bytes(self.resource)


@dataclass(frozen=True, slots=True)
class Post:
    """A claim submission as it came: `operation` is $submit, `condition` the If-None-Exist header."""

    body: bytes
    operation: bool = False
    condition: str = ""


class Desk:
    """Takes claims and answers for them by the rules."""

    def __init__(self, books: Books, rules: Rules, clock: Callable[[], datetime]) -> None:
        self.books, self._rules, self._clock = books, rules, clock

    def submit(self, post: Post, fault: str = "") -> Reply:
        """Take a claim, or say why not. `fault` names what the sender will see instead of the answer."""
        received = read_claim(post.body)
        faults = faults_of(received) if isinstance(received, Received) else []
        name = received.identifier if isinstance(received, Received) else ("", "")
        with self.books.open_books():
            reply = self._reply(received, faults, post)
            told = fault or str(reply.status)
            self.books.note_submission(name, self._clock(), told, arrived=bool(self.books.named(*name)))
        return reply

    def note_unread(self, body: bytes, fault: str) -> None:
        """Count a submission that is not taken."""
        received = read_claim(body)
        name = received.identifier if isinstance(received, Received) else ("", "")
        self.books.note_submission(name, self._clock(), fault, arrived=False)

    def _reply(self, received: Received | Refusal, faults: list[Json], post: Post) -> Reply:
        if isinstance(received, Refusal):
            return _refused(received.status, *received.issues)
        wanted = token_of_condition(post.condition) if post.condition else None
        if post.condition and wanted is None:
            return _refused(400, issue("invalid", "", "If-None-Exist is not identifier=system|value."))
        matches = self.books.named(*wanted) if wanted else []
        if len(matches) > 1:
            return _refused(412, issue("multiple-matches", "", "If-None-Exist meets more than one claim."))
        if matches:
            return self._existing(matches[0], post.operation)
        if received.identifier[1] and self.books.named(*received.identifier):
            return _refused(409, issue("duplicate", "Claim.identifier", "There is a claim with this identifier."))
        faults = faults or list(self._prior_faults(received.claim))
        return _refused(422, *faults) if faults else self._take(received, post.operation)

    def _take(self, received: Received, operation: bool) -> Reply:
        now, new_id = self._clock(), self.books.next_id()
        claim = {"resourceType": "Claim", "id": new_id} | received.claim | {"id": new_id}
        response = decided(TakenClaim(claim, new_id, received.resources), self._rules, now)
        decided_at = now + timedelta(seconds=self._rules.pend_seconds)
        kept = KeptClaim(new_id, received.identifier, claim, response, decided_at)
        self.books.keep(kept)
        for prior in self._priors(claim):
            if prior and frequency(claim) != _ADDS:
                self.books.note_replaced(prior.id, new_id)
        return self._existing(kept, operation, status=200 if operation else 201)

    def _existing(self, kept: KeptClaim, operation: bool, status: int = 200) -> Reply:
        return Reply(status, self.response_of(kept) if operation else kept.claim, f"Claim/{kept.id}")

    def _prior_faults(self, claim: Json) -> Iterator[Json]:
        for position, prior in enumerate(self._priors(claim)):
            if prior is None:
                yield issue("not-found", f"Claim.related[{position}].claim", "There is no such prior claim.")
            elif self._voided_by(prior):
                yield issue("conflict", f"Claim.related[{position}].claim", "The prior claim is voided.")

    def _priors(self, claim: Json) -> Iterator[KeptClaim | None]:
        """The claims this one replaces, None for one that is not here."""
        for related in objects(claim, "related"):
            if "prior" in codes(related.get("relationship")):
                named = member(related, "claim", "identifier")
                by_name = self.books.named(text(named, "system"), text(named, "value")) if named else []
                by_id = self.books.by_id(claim_name(text(member(related, "claim"), "reference")).removeprefix("Claim/"))
                yield next(iter(by_name), by_id)

    def _voided_by(self, kept: KeptClaim) -> str:
        """The id of the claim that voided one, empty where none did."""
        after = self.books.by_id(kept.replaced_by) if kept.replaced_by else None
        return after.id if after and is_void(after.claim) else ""

    # --- questions

    def response_of(self, kept: KeptClaim) -> Json:
        """The ClaimResponse as it stands now: queued until its time has come."""
        return kept.response if self._clock() >= kept.decided_at else queued(kept.response)

    def claims_held(self) -> list[Json]:
        """What the sandbox holds, for people and tests: never a claim's content."""
        return [self._held(kept) for kept in self.books.all_claims()]

    def _held(self, kept: KeptClaim) -> Json:
        times = self.books.arrivals(kept.name)
        response = self.response_of(kept)
        return {
            "id": kept.id,
            "identifier": {"system": kept.name[0], "value": kept.name[1]},
            "received": len(times),
            "received_at": times,
            "decision": decision_of(response),
            "paid": member(response, "payment").get("amount"),
            "replaced_by": kept.replaced_by or None,
            "voided": bool(self._voided_by(kept)),
        }

    def requests_seen(self) -> list[Json]:
        """How often each identifier was submitted and what the sender saw."""
        return [
            {"identifier": {"system": system, "value": value}, "requests": len(answers), "answers": answers}
            for (system, value), answers in self.books.answers().items()
        ]


def _refused(status: int, *issues: Json) -> Reply:
    return Reply(status, operation_outcome(issues))


def token_of_condition(condition: str) -> tuple[str | None, str] | None:
    """The identifier in an If-None-Exist header (`identifier=system|value`), None where there is none."""
    pairs = dict(parse_qsl(condition.removeprefix("?")))
    return token(pairs["identifier"]) if set(pairs) == {"identifier"} else None


def token(parameter: str) -> tuple[str | None, str]:
    """System and value of a token search parameter (R4 3.1.1.4.10); the system is None where any will do."""
    parts, escaped = [""], False
    for sign in parameter:
        if escaped or sign not in "\\|":
            parts[-1] += sign
            escaped = False
        elif sign == "\\":
            escaped = True
        else:
            parts.append("")
    return (None, parts[0]) if len(parts) == 1 else (parts[0], "|".join(parts[1:]))
