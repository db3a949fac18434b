"""A claim on its way to its payer: sent, settled where nobody knows whether it came, and asked after.

Each request is written down before it is made and after it was answered. What is sent for a claim is written before it
is sent first and never changes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from fhir_coder.filing import apply_decision
from fhir_coder.logs import log
from fhir_coder.model import ClaimStatus, Outcome, OutcomeKind, PayerState
from fhir_coder.payers import PayerClient, PayerRequest, Try
from fhir_coder.payers.breaker import BreakerPolicy, after_attempt, after_no_answer, is_failure
from fhir_coder.payers.decide import Decision, RetryPolicy, after_look_up, after_poll, after_submit, parked
from fhir_coder.store import Ledger, attempts, breakers, claims, items, work
from fhir_coder.store.attempts import Submission
from fhir_coder.store.breakers import Breaker
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
    """

    client: PayerClient
    policy: RetryPolicy
    tries: TryLog
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    concurrency: int = 4
    per_second: float | None = None
    gate: Gate = field(default_factory=Gate)


class Delivery:
    """Sends claims and asks after them; safe to call from many threads for different claims.

    `system` is the system of the claims' identifiers.
    """

    def __init__(self, ledger: Ledger, system: str, lines: Mapping[str, PayerLine]) -> None:
        self._ledger, self._system, self.lines = ledger, system, lines

    def submit(self, todo: Work) -> None:
        """Send a ready claim, or settle one whose outcome is unknown."""
        with self._ledger.reading() as connection:
            row = claims.by_id(connection, todo.key)
            kept = attempts.submission_of(connection, row.id)
        is_to_go = row.status == ClaimStatus.READY or claims.is_in_flight(row)
        if is_to_go and row.payer not in self.lines:
            self._no_payer(row, todo)
        elif row.status == ClaimStatus.READY:
            self._send(row, kept, todo)
        elif claims.is_in_flight(row):
            self._settle_unknown(row, kept, todo)
        else:
            self._finish(todo)

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
        with self._ledger.writing() as connection:
            attempt = attempts.begin(connection, row.id, "poll", self._ledger.clock())
        line = self.lines[row.payer]
        outcome = line.client.poll(row.payer_reference, self._system, row.identifier, row.body)
        waited = (self._ledger.clock() - todo.asked_at).total_seconds()
        self._settle(todo, attempt, outcome, after_poll(outcome, todo.tries, line.policy, waited))

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
        with self._ledger.writing() as connection:
            work.finish(connection, todo)

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
        request = _request(kept, row) if kept else line.client.prepared(row.body, self._system, row.identifier)
        with self._ledger.writing() as connection:
            now = claims.by_id(connection, row.id)
            if now.status != ClaimStatus.READY:
                return
            if kept is None:
                attempts.keep_submission(connection, row.id, _submission(request, row), at)
            claims.move(connection, now, ClaimStatus.SENT, "sending", at)
            attempt = attempts.begin(connection, row.id, "submit", at)
        outcome = line.client.send(request, self._system, row.identifier)
        decision = after_submit(outcome, todo.tries, line.policy, self._waited(todo))
        self._settle(todo, attempt, outcome, decision)

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
        self._settle(todo, attempt, outcome, decision)

    def _waited(self, todo: Work) -> float:
        """Seconds since the first attempt at this piece of work."""
        if todo.tries == 0:
            return 0.0
        with self._ledger.reading() as connection:
            first_at = attempts.first_since(connection, todo.key, todo.asked_at)
        return (self._ledger.clock() - first_at).total_seconds() if first_at else 0.0

    # --- writing down

    def _settle(self, todo: Work, attempt: int, outcome: Outcome, decision: Decision) -> None:
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            row = claims.by_id(connection, todo.key)
            line = self.lines[row.payer]
            tries = line.tries.take()
            breaker = self._counted(connection, row.payer, outcome, tries[-1], at)
            decision = _with_the_payer(decision, breaker, at)
            attempts.end(connection, attempt, tries, decision.next_action, at)
            apply_decision(connection, row, outcome, decision, todo, at)
        log.info(
            "claim_attempted",
            claim_id=todo.key,
            stage=todo.stage,
            outcome=outcome.kind.value,
            http_status=outcome.http_status,
            status=decision.status.value,
        )

    def _counted(self, connection: Connection, payer: str, outcome: Outcome, last: Try, at: datetime) -> Breaker | None:
        """A payer's breaker after an attempt; the ledger is not asked where all was well and is."""
        line, seconds = self.lines[payer], (last.ended_at - last.started_at).total_seconds()
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
