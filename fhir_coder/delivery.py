"""A claim on its way to its payer: sent, settled where nobody knows whether it came, and asked after.

Each request is written down before it is made and after it was answered. What is sent for a claim is written before it
is sent first and never changes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy import Connection

from fhir_coder import measures
from fhir_coder.filing import apply_decision
from fhir_coder.logs import log
from fhir_coder.model import DECIDED, ClaimStatus, Outcome, OutcomeKind, PayerState
from fhir_coder.payers import PayerClient, PayerRequest, Try
from fhir_coder.payers.breaker import BreakerPolicy, after_attempt, after_no_answer, is_failure
from fhir_coder.payers.decide import (
    NO_ANSWER,
    Decision,
    RetryPolicy,
    after_inquiry,
    after_look_up,
    after_poll,
    after_submit,
    parked,
)
from fhir_coder.store import Ledger, attempts, breakers, claims, items, restores, work
from fhir_coder.store.attempts import Submission
from fhir_coder.store.breakers import Breaker
from fhir_coder.store.together import Together
from fhir_coder.store.work import Work


class TryLog:
    """The HTTP requests of the attempt that runs on this thread."""

    def __init__(self) -> None:
        self._own = threading.local()

    def note(self, one: Try) -> None:
        """Keep a request; the client calls this."""
        self._noted().append(one)

    def take(self) -> list[Try]:
        """The requests in their order, the last one's outcome being the attempt's own; the log is empty afterwards."""
        taken = list(self._noted())
        self._noted().clear()
        return taken

    def _noted(self) -> list[Try]:
        if not hasattr(self._own, "tries"):
            self._own.tries = []
        tries: list[Try] = self._own.tries
        return tries


@dataclass
class Gate:
    """A payer's breaker as this process saw it last: nothing is asked of the ledger for what is handed out already."""

    breaker: Breaker | None = None


@dataclass(frozen=True, slots=True)
class PayerLine:
    """A payer's client, where it notes each HTTP request it makes, and how the payer is dealt with.

    `concurrency` is how many of its claims may be on their way at once, `per_second` how many may begin in a second.
    `inquire_after` is how many seconds a claim is without a decision when its status is inquired of the payer.
    """

    client: PayerClient
    policy: RetryPolicy
    tries: TryLog
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    concurrency: int = 4
    per_second: float | None = None
    gate: Gate = field(default_factory=Gate)
    inquire_after: float | None = None


LOOK_FIRST = timedelta(days=14)
"""How long after a restore a claim that this ledger never sent is looked up at its payer before it is sent: what came
after the backup, and was billed, may come again."""

Seen = tuple[claims.ClaimRow, Submission | None]
"""A claim and what is sent for it, None where it was never prepared."""


class Delivery:
    """Sends claims and asks after them; safe to call from many threads for different claims.

    `system` is the system of the claims' identifiers.
    """

    def __init__(self, ledger: Ledger, system: str, lines: Mapping[str, PayerLine]) -> None:
        self._ledger, self._system, self.lines = ledger, system, lines
        self.together = Together(ledger)
        self._seen: dict[str, Seen] = {}

    def look_ahead(self, connection: Connection, todo: Sequence[Work]) -> None:
        """Look up the claims of work that is handed out, with one look: each thread begins with what is seen here."""
        self._seen |= {one.key: self._look(connection, one.key) for one in todo}

    def look_back(self, todo: Sequence[Work]) -> None:
        """Forget what was seen of work that is over, or was not begun."""
        for one in todo:
            self._seen.pop(one.key, None)

    def _look(self, connection: Connection, claim_id: str) -> Seen:
        return claims.by_id(connection, claim_id), attempts.submission_of(connection, claim_id)

    def _seen_of(self, claim_id: str) -> Seen:
        """A claim as it was seen when its work was handed out, where that is checked once more before it is sent.

        Work may be handed out that was done a moment ago: of any other claim only what is so now counts.
        """
        seen = self._seen.pop(claim_id, None)
        if seen is not None and seen[0].status == ClaimStatus.READY:
            return seen
        with self._ledger.reading() as connection:
            return self._look(connection, claim_id)

    def submit(self, todo: Work) -> None:
        """Send a ready claim, or settle one whose outcome is unknown."""
        row, kept = self._seen_of(todo.key)
        is_to_go = row.status == ClaimStatus.READY or claims.is_in_flight(row)
        if is_to_go and row.payer not in self.lines:
            self._no_payer(row, todo)
        elif row.status == ClaimStatus.READY and kept is None and self._is_looked_up_first(row):
            self._look_up_first(row, todo)
        elif row.status == ClaimStatus.READY:
            self._send(row, kept, todo)
        elif claims.is_in_flight(row):
            self._settle_unknown(row, kept, todo)
        else:
            self._finish(todo)

    def per_request(self, payer: str) -> int:
        """How many claims of a payer go with one request."""
        return self.lines[payer].client.per_request if payer in self.lines else 1

    def submit_all(self, todo: Sequence[Work]) -> None:
        """Send ready claims of one payer with one request, where it takes several; all others each by itself.

        What was tried before goes alone: one claim that the payer cannot take must not hold up the others again.
        """
        if len(todo) == 1 or self._is_restored():
            for one in todo:
                self.submit(one)
            return
        fresh = [(one, *self._seen_of(one.key)) for one in todo if not one.tries]
        ready = [(one, row, kept) for one, row, kept in fresh if row.status == ClaimStatus.READY]
        together = {one.key for one, _, _ in ready} if len({row.payer for _, row, _ in ready}) == 1 else set()
        if len(together) < 2 or not self.per_request(ready[0][1].payer) > 1:
            together = set()
        for one in todo:
            if one.key not in together:
                self.submit(one)
        if together:
            self._send_all(ready)

    def _send_all(self, ready: Sequence[tuple[Work, claims.ClaimRow, Submission | None]]) -> None:
        payer, at = ready[0][1].payer, self._ledger.clock()
        line = self.lines[payer]
        prepared = [(todo, row, kept, self._prepared(line, row, kept)) for todo, row, kept in ready]

        def begin(connection: Connection) -> list[int | None]:
            return [self._begin(connection, row, kept, request, at) for _, row, kept, request in prepared]

        begun = self.together.commit(begin)
        going = [(p, attempt) for p, attempt in zip(prepared, begun, strict=True) if attempt is not None]
        if not going:
            return
        identifiers = [row.identifier for (_, row, _, _), _ in going]
        sent = line.client.send_all([request for (*_, request), _ in going], self._system, identifiers)
        tries, ended_at = line.tries.take(), self._ledger.clock()

        def settle(connection: Connection) -> list[Decision]:
            breaker = self._counted(connection, payer, sent.whole, tries[-1], ended_at)
            decided = []
            for ((todo, _, _, _), attempt), outcome in zip(going, sent.outcomes, strict=True):
                decision = _with_the_payer(after_submit(outcome, todo.tries, line.policy), breaker, ended_at)
                own = [*tries[:-1], replace(tries[-1], outcome=outcome)]
                attempts.end(connection, attempt, own, decision.next_action, ended_at)
                apply_decision(connection, claims.by_id(connection, todo.key), outcome, decision, todo, ended_at)
                decided.append(decision)
            return decided

        decisions = self.together.commit(settle)
        for ((todo, _, _, _), _), outcome, decision in zip(going, sent.outcomes, decisions, strict=True):
            _told(payer, todo, outcome, decision)
        measures.measure("fhir_coder_request_seconds", _seconds(tries[-1]), payer)

    def poll(self, todo: Work) -> None:
        """Ask the payer for its decision on a claim it has."""
        with self._ledger.reading() as connection:
            row = claims.by_id(connection, todo.key)
        if row.status != ClaimStatus.QUEUED:
            self._finish(todo)
            return
        if row.payer not in self.lines:
            self._no_payer(row, todo)
            return
        begun_at = self._ledger.clock()
        attempt = self.together.commit(lambda connection: attempts.begin(connection, row.id, "poll", begun_at))
        line = self.lines[row.payer]
        outcome = line.client.poll(row.payer_reference, self._system, row.identifier, row.body)
        waited = (self._ledger.clock() - todo.asked_at).total_seconds()
        decision = after_poll(outcome, todo.tries, line.policy, waited)
        self._settle(row.payer, todo, attempt, outcome, decision)
        if decision.status is ClaimStatus.QUEUED and self._is_aged(row, line):
            self._inquire(row, line, todo)

    def _is_aged(self, row: claims.ClaimRow, line: PayerLine) -> bool:
        """Whether a claim is without a decision for so long that its status is to be inquired, once and again."""
        if line.inquire_after is None or row.sent_at is None:
            return False
        latest = self._ledger.clock() - timedelta(seconds=line.inquire_after)
        if row.sent_at > latest:
            return False
        with self._ledger.reading() as connection:
            inquired_at = attempts.last_of(connection, row.id, "inquiry")
        return inquired_at is None or inquired_at <= latest

    def _inquire(self, row: claims.ClaimRow, line: PayerLine, todo: Work) -> None:
        """Ask the payer whether it has a claim it did not decide in time; a person is told what it says."""
        with self._ledger.writing() as connection:
            attempt = attempts.begin(connection, row.id, "inquiry", self._ledger.clock())
        outcome = line.client.find(self._system, row.identifier, row.body)
        decision = after_inquiry(outcome)
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            tries = line.tries.take()
            self._counted(connection, row.payer, outcome, tries[-1], at)
            attempts.end(connection, attempt, tries, decision.next_action, at)
            now = claims.by_id(connection, row.id)
            if now.status != ClaimStatus.QUEUED:
                return
            if decision.item == NO_ANSWER:
                items.open_item(connection, at, _no_answer(now, outcome, at))
            elif decision.status in DECIDED:
                apply_decision(connection, now, outcome, decision, todo, at)
        log.info("claim_inquired", claim_id=row.id, outcome=outcome.kind.value, http_status=outcome.http_status)

    def knock(self, payer: str) -> bool:
        """Whether a payer that is down answers again."""
        return self.lines[payer].client.knock()

    def end_probe(self, payer: str) -> None:
        """Leave a payer alone for a while where its probe came to nothing: no answer, or no claim to try it with."""
        at = self._ledger.clock()
        with self._ledger.writing(flush=False) as connection:
            before = breakers.of_payer(connection, payer, at)
            self._keep(connection, before, after_no_answer(before, at, self.lines[payer].breaker), at)

    def _finish(self, todo: Work) -> None:
        self.together.commit(lambda connection: work.finish(connection, todo))

    def _no_payer(self, row: claims.ClaimRow, todo: Work) -> None:
        text = f"no payer '{row.payer}' in the settings: add it, then fhir-coder claims resubmit {row.identifier} --yes"
        item = items.Item(f"delivery:{row.id}", "delivery", "payer_not_configured", text, row.chart_key, row.id)
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            items.open_item(connection, at, item)
            work.finish(connection, todo)

    # --- sending

    def _send(self, row: claims.ClaimRow, kept: Submission | None, todo: Work) -> None:
        line, at = self.lines[row.payer], self._ledger.clock()
        request = self._prepared(line, row, kept)
        attempt = self.together.commit(lambda connection: self._begin(connection, row, kept, request, at))
        if attempt is None:
            return
        outcome = line.client.send(request, self._system, row.identifier)
        decision = after_submit(outcome, todo.tries, line.policy, self._waited(todo))
        self._settle(row.payer, todo, attempt, outcome, decision)

    def _prepared(self, line: PayerLine, row: claims.ClaimRow, kept: Submission | None) -> PayerRequest:
        return _request(kept, row) if kept else line.client.prepared(row.body, self._system, row.identifier)

    def _begin(
        self, connection: Connection, row: claims.ClaimRow, kept: Submission | None, request: PayerRequest, at: datetime
    ) -> int | None:
        """Write down that a claim is sent now, and what; None where it moved on since it was looked up."""
        now = claims.by_id(connection, row.id)
        if now.status != ClaimStatus.READY or now.updated_at != row.updated_at:
            return None
        if kept is None:
            attempts.keep_submission(connection, row.id, _submission(request, row), at)
        claims.move(connection, now, ClaimStatus.SENT, "sending", at)
        return attempts.begin(connection, row.id, "submit", at)

    def _settle_unknown(self, row: claims.ClaimRow, kept: Submission | None, todo: Work) -> None:
        """Find out whether the payer has a claim, the way that is right for this payer."""
        line, at = self.lines[row.payer], self._ledger.clock()
        way = line.policy.unknown if kept else "look-up"
        with self._ledger.writing() as connection:
            if row.status == ClaimStatus.SENT:  # the process died between sending and writing down the answer
                claims.move(connection, row, ClaimStatus.UNKNOWN, "no answer was written down", at)
                row = claims.by_id(connection, row.id)
            if way == "person":
                nobody_knows = Outcome(OutcomeKind.UNKNOWN, "no answer was written down")
                apply_decision(connection, row, nobody_knows, parked(), todo, at)
                return
            rounds = attempts.times_not_found(connection, row.id)
            attempt = attempts.begin(connection, row.id, way, at)
        if way == "repeat" and kept:
            outcome = line.client.send(_request(kept, row), self._system, row.identifier)
        else:
            outcome = line.client.find(self._system, row.identifier, row.body)
        decision = after_look_up(outcome, todo.tries, line.policy, rounds, self._waited(todo))
        self._settle(row.payer, todo, attempt, outcome, decision)

    # --- after a restore

    @cached_property
    def _restored_at(self) -> datetime | None:
        with self._ledger.reading() as connection:
            return restores.last_at(connection)

    def _is_restored(self) -> bool:
        """Whether payers may have claims of this ledger that it does not know it sent."""
        return self._restored_at is not None and self._ledger.clock() < self._restored_at + LOOK_FIRST

    def _is_looked_up_first(self, row: claims.ClaimRow) -> bool:
        if not self._is_restored():
            return False
        with self._ledger.reading() as connection:
            return not attempts.times_not_found(connection, row.id)

    def _look_up_first(self, row: claims.ClaimRow, todo: Work) -> None:
        with self._ledger.writing() as connection:
            now = claims.by_id(connection, row.id)
            if now.status != ClaimStatus.READY or now.updated_at != row.updated_at:
                return
            claims.move(connection, now, ClaimStatus.UNKNOWN, restores.WHY, self._ledger.clock())
            unknown = claims.by_id(connection, row.id)
        self._settle_unknown(unknown, None, todo)

    def _waited(self, todo: Work) -> float:
        """Seconds since the first attempt at this piece of work."""
        if todo.tries == 0:
            return 0.0
        with self._ledger.reading() as connection:
            first_at = attempts.first_since(connection, todo.key, todo.asked_at)
        return (self._ledger.clock() - first_at).total_seconds() if first_at else 0.0

    # --- writing down

    def _settle(self, payer: str, todo: Work, attempt: int, outcome: Outcome, decision: Decision) -> None:
        at, tries = self._ledger.clock(), self.lines[payer].tries.take()

        def settle(connection: Connection) -> Decision:
            row = claims.by_id(connection, todo.key)
            breaker = self._counted(connection, payer, outcome, tries[-1], at)
            decided = _with_the_payer(decision, breaker, at)
            attempts.end(connection, attempt, tries, decided.next_action, at)
            apply_decision(connection, row, outcome, decided, todo, at)
            return decided

        decision = self.together.commit(settle)
        _told(payer, todo, outcome, decision)
        measures.measure("fhir_coder_request_seconds", _seconds(tries[-1]), payer)

    def _counted(self, connection: Connection, payer: str, outcome: Outcome, last: Try, at: datetime) -> Breaker | None:
        """A payer's breaker after an attempt; the ledger is not asked where all was well and is."""
        line, seconds = self.lines[payer], _seconds(last)
        if line.gate.breaker is None and not is_failure(outcome, seconds, line.breaker):
            return None
        before = breakers.of_payer(connection, payer, at)
        now = after_attempt(before, outcome, seconds, at, line.breaker)
        self._keep(connection, before, now, at)
        return now

    def _keep(self, connection: Connection, before: Breaker, now: Breaker, at: datetime) -> None:
        """Keep what became of a payer's breaker. Told once when it goes down and once when it is up again."""
        self.lines[now.payer].gate.breaker = now if now.failures else None
        if now == before:
            return
        breakers.keep(connection, before, now, at)
        is_up, was_up = now.state is PayerState.UP, before.state is PayerState.UP
        if is_up and not was_up:
            work.bring_forward(connection, work.lane_name("submit", now.payer), at)
            log.warning("payer_recovered", payer=now.payer, seconds=round((at - before.since).total_seconds()))
        elif was_up and not is_up:
            log.error("payer_down", payer=now.payer, reason=now.reason)


def _no_answer(row: claims.ClaimRow, outcome: Outcome, at: datetime) -> items.Item:
    """A person is asked to inquire of a payer about a claim it has not decided."""
    days = (at - row.sent_at).days
    says = _SAID.get(outcome.kind, "the payer cannot be asked about it")
    text = f"sent {days} days ago, no decision; {says}: ask the payer, then claims taken or claims resubmit"
    return items.Item(f"no-answer:{row.id}", "no-answer", outcome.kind.value, text, row.chart_key, row.id)


_SAID = {
    OutcomeKind.NOT_FOUND: "the payer does not find it",
    OutcomeKind.FOUND: "the payer has it",
    OutcomeKind.TAKEN: "the payer has it",
    OutcomeKind.PENDING: "the payer has it",
}


def _seconds(one: Try) -> float:
    return (one.ended_at - one.started_at).total_seconds()


def _told(payer: str, todo: Work, outcome: Outcome, decision: Decision) -> None:
    measures.count("fhir_coder_requests", payer, todo.stage, outcome.kind.value)
    if todo.tries:
        measures.count("fhir_coder_retries", payer)
    log.info(
        "claim_attempted",
        claim_id=todo.key,
        stage=todo.stage,
        outcome=outcome.kind.value,
        http_status=outcome.http_status,
        status=decision.status.value,
    )


def _with_the_payer(decision: Decision, breaker: Breaker | None, at: datetime) -> Decision:
    """A claim of a payer that is down waits for the payer, not for itself."""
    if breaker is None or decision.next_stage != "submit":
        return decision
    if breaker.state is PayerState.UP or breaker.resume_at is None:
        return decision
    return replace(decision, after=max(0.0, (breaker.resume_at - at).total_seconds()))


def _request(kept: Submission, row: claims.ClaimRow) -> PayerRequest:
    return PayerRequest(kept.method, kept.path, kept.headers, row.body if kept.body is None else kept.body)


def _submission(request: PayerRequest, row: claims.ClaimRow) -> Submission:
    body = None if request.body == row.body else request.body
    return Submission(request.method, request.path, dict(request.headers), body)
