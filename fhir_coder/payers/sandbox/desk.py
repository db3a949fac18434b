"""The sandbox's claims desk: what becomes of a submission, and the answers to questions about it. No HTTP here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import codes, member, objects, text
from fhir_coder.payers.outcomes import claim_name
from fhir_coder.payers.sandbox import pas
from fhir_coder.payers.sandbox.adjudicate import (
    TakenClaim,
    decision_of,
    frequency,
    identifier_of,
    is_void,
    services_of,
)
from fhir_coder.payers.sandbox.dialect import Dialect
from fhir_coder.payers.sandbox.rules import Rules
from fhir_coder.payers.sandbox.search import PAGE, Condition, Search, alternatives, facets_of, token
from fhir_coder.payers.sandbox.store import Books, KeptClaim, Submission
from fhir_coder.payers.sandbox.validate import (
    Received,
    Refusal,
    beside_of,
    condition_of,
    issue,
    operation_outcome,
    read_claim,
    read_resource,
)

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
    """A claim submission as it came: `operation` is $submit, `headers` are in lower case without secrets.

    `resource` is what the body says, where it was read already.
    """

    body: bytes
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    resource: Json | None = None

    @property
    def operation(self) -> bool:
        """Whether it is sent to $submit."""
        return self.path.endswith("$submit")

    @property
    def is_transaction(self) -> bool:
        """Whether it is a Bundle sent to the base address (R4 3.1.0.11)."""
        return self.path.strip("/") in ("", "fhir")

    @property
    def condition(self) -> str:
        """The If-None-Exist header."""
        return self.headers.get("if-none-exist", "")


Told = Callable[[KeptClaim, Mapping[str, Json]], None]
"""Is told of each claim that is kept and of what came with it, while the books are open."""


class Desk:
    """Takes claims and answers for them by the rules."""

    def __init__(self, books: Books, rules: Rules, clock: Callable[[], datetime], told: Told, dialect: Dialect) -> None:
        self.books, self.rules, self.clock, self._told, self.dialect = books, rules, clock, told, dialect

    def submit(self, post: Post, fault: str = "") -> Reply:
        """Take a claim, or say why not. `fault` names what the sender will see instead of the answer."""
        return self.submit_all([(post, fault)])[0]

    def submit_all(self, posts: Sequence[tuple[Post, str]]) -> list[Reply]:
        """Take claims in their order, each with its fault, and close the books once."""
        read = [self._read(post) for post, _ in posts]
        with self.books.open_books():
            return [self._submit(*one, *its) for one, its in zip(posts, read, strict=True)]

    def _read(self, post: Post) -> tuple[Received | Refusal, list[Json]]:
        received = read_claim(post.body) if post.resource is None else read_resource(post.resource)
        return received, self._faults_of(received, post) if isinstance(received, Received) else []

    def _submit(self, post: Post, fault: str, received: Received | Refusal, faults: list[Json]) -> Reply:
        name = received.identifier if isinstance(received, Received) else ("", "")
        reply = self._reply(received, faults, post)
        arrived = bool(self.books.is_named(*name))
        told = fault or str(reply.status)
        self._note(post, Submission(name, self.clock(), told, arrived, reply=_refusal_of(reply)))
        return _in_transaction(reply, received) if post.is_transaction and isinstance(received, Received) else reply

    def note_unread(self, post: Post, fault: str) -> None:
        """Count a submission that is not taken."""
        received = read_claim(post.body)
        name = received.identifier if isinstance(received, Received) else ("", "")
        self._note(post, Submission(name, self.clock(), fault))

    def _note(self, post: Post, one: Submission) -> None:
        self.books.note_submission(replace(one, path=post.path, headers=post.headers, body=post.body))

    def _faults_of(self, received: Received, post: Post) -> list[Json]:
        found = self.dialect.faults_of(received)
        if post.is_transaction and received.whole.get("type") != "transaction":
            found.append(issue("value", "Bundle.type", "What is sent here is a Bundle of type transaction."))
        return found

    def _reply(self, received: Received | Refusal, faults: list[Json], post: Post) -> Reply:
        if isinstance(received, Refusal):
            return _refused(received.status, *received.issues)
        condition = condition_of(received) if post.is_transaction else post.condition
        wanted = token_of_condition(condition) if condition else None
        if condition and wanted is None:
            return _refused(400, issue("invalid", "", "If-None-Exist is not identifier=system|value."))
        matches = self.books.named(*wanted) if wanted else []
        if len(matches) > 1:
            return _refused(412, issue("multiple-matches", "", "If-None-Exist meets more than one claim."))
        if matches:
            return self._existing(matches[0], post.operation)
        if received.identifier[1] and self.books.is_named(*received.identifier):
            return _refused(409, issue("duplicate", "Claim.identifier", "There is a claim with this identifier."))
        faults = faults or list(self._prior_faults(received.claim))
        return _refused(422, *faults) if faults else self._take(received, post.operation)

    def _take(self, received: Received, operation: bool) -> Reply:
        now, new_id = self.clock(), self.books.next_id()
        claim = {"resourceType": "Claim", "id": new_id} | received.claim | {"id": new_id}
        services, priors = services_of(claim, received.resources), [p for p in self._priors(claim) if p]
        billed = self.books.billed(services, [p.id for p in priors]) if self.rules.deny_duplicates else frozenset()
        kept = KeptClaim(
            new_id,
            received.identifier,
            claim,
            self.dialect.decided(TakenClaim(claim, new_id, received.resources, billed), self.rules, now),
            now + timedelta(seconds=self.rules.pend_seconds if self._pends(claim) else 0),
            taken_at=now,
            facets=facets_of(claim, received.resources),
            services=frozenset() if is_void(claim) else services,
            beside=beside_of(received),
        )
        self.books.keep(kept)
        for prior in priors:
            if frequency(claim) != _ADDS:
                self.books.note_replaced(prior.id, new_id)
        self._told(kept, received.resources)
        return self._existing(kept, operation, status=200 if operation else 201)

    def inquire(self, body: bytes) -> Reply:
        """The answers to the requests of a patient that an inquiry asks for (PAS $inquire)."""
        received = read_claim(body)
        if isinstance(received, Refusal):
            return _refused(received.status, *received.issues)
        faults = pas.inquiry_faults(received)
        if faults:
            return _refused(422, *faults)
        patient = identifier_of(member(received.claim, "patient"), received.resources)
        named = (text(patient, "system"), text(patient, "value"))
        search = Search([Condition("patient_system = ? AND patient_value = ?", named)], (), 10 * PAGE)
        found = [kept for kept in self.books.found(search) if pas.is_asked_about(received.claim, kept)]
        return Reply(200, pas.inquiry_answer([pas.inquiry_bundle(kept, self.response_of(kept)) for kept in found]))

    def _pends(self, claim: Json) -> bool:
        """Whether a claim waits for its decision: each, or those with a code of the list."""
        billed = {code for line in objects(claim, "item") for code in codes(line.get("productOrService"))}
        return not self.rules.pend_codes or bool(billed & self.rules.pend_codes)

    def _existing(self, kept: KeptClaim, operation: bool, status: int = 200) -> Reply:
        resource = self.dialect.answer(kept, self.response_of(kept)) if operation else kept.claim
        return Reply(status, resource, f"Claim/{kept.id}")

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
        return kept.response if self.clock() >= kept.decided_at else self.dialect.pended(kept.response)

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


def _in_transaction(reply: Reply, received: Received) -> Reply:
    """The answer to a transaction: one entry for each that was sent. Parties are kept with their claim."""
    if reply.status >= 400:
        return reply
    status = {200: "200 OK", 201: "201 Created"}[reply.status]
    sent = [member(entry, "resource") is received.claim for entry in objects(received.whole, "entry")]
    entries = [
        {"response": {"status": status} | ({"location": reply.location} if is_claim else {})} for is_claim in sent
    ]
    return Reply(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries})


def _refusal_of(reply: Reply) -> bytes:
    return reply.body if reply.status >= 400 else b""


def _refused(status: int, *issues: Json) -> Reply:
    return Reply(status, operation_outcome(issues))


def token_of_condition(condition: str) -> tuple[str | None, str] | None:
    """The identifier in an If-None-Exist header (`identifier=system|value`), None where there is none."""
    pairs = dict(parse_qsl(condition.removeprefix("?")))
    # An escaped comma is part of the value; alternatives make no sense in a condition.
    is_one = set(pairs) == {"identifier"} and len(alternatives(pairs["identifier"])) == 1
    return token(pairs["identifier"]) if is_one else None
