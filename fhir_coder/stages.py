"""The stages against the ledger: each takes one piece of work, computes outside any transaction, commits once.

A result is committed together with the next work and the event row, so that a process that dies leaves either the
work or its result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fhir_coder.billing import Known, plan_claims
from fhir_coder.charts import chart_status, chart_to_bytes
from fhir_coder.filing import apply_decision, file_plans, file_reading, without_set_aside
from fhir_coder.folding import MOST_FACTS, Folding, weight_of
from fhir_coder.logs import log
from fhir_coder.model import IN_FLIGHT, Chart, ClaimStatus, MessageFacts, MessageStatus, Outcome, Verdict
from fhir_coder.payers import PayerClient, Try
from fhir_coder.payers.decide import Decision, RetryPolicy, after_look_up, after_poll, after_submit
from fhir_coder.pipeline import Occasion, Rulebook, facts_of, judge, why_ignored
from fhir_coder.recent import Recent
from fhir_coder.store import Ledger, charts, claims, items, messages, people, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.work import Work

_SOON = timedelta(milliseconds=50)


@dataclass(frozen=True, slots=True)
class PayerLine:
    """A payer's client with its retry policy, and where the client notes each HTTP request it makes."""

    client: PayerClient
    policy: RetryPolicy
    tries: TryLog


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


@dataclass(frozen=True, slots=True)
class _Said:
    """What a message says; nothing where it bills nothing."""

    facts: MessageFacts | None


class Stages:
    """Runs one piece of work at a time; safe to call from many threads for different keys.

    `quiet` is how long nothing new must have come for a visit before its claim is made: messages come in bursts.
    """

    def __init__(
        self, ledger: Ledger, rulebook: Rulebook, payers: Mapping[str, PayerLine], quiet: timedelta = timedelta()
    ) -> None:
        self._ledger, self._rulebook, self._payers, self._quiet = ledger, rulebook, payers, quiet
        self._recent = Recent[str, _Said](MOST_FACTS, lambda said: weight_of(said.facts))
        self.folding = Folding(ledger, self._facts)
        self._run: Mapping[str, Callable[[Work], None]] = {
            "read": self.read,
            "chart": self.chart,
            "submit": self.submit,
            "poll": self.poll,
        }

    def run(self, todo: Work) -> None:
        """Do one piece of work."""
        self._run[todo.stage](todo)

    # --- read: a message to its facts

    def read(self, todo: Work) -> None:
        """Read a message, file it under its topics, and ask for its charts."""
        found = judge(lambda: self._facts(todo.key), lambda: self._why_ignored(todo.key))
        found, report = self._checked(todo.key, found)
        named = people.digests_in(found.facts, self._ledger.patient_key) if found.facts else set()
        at = self._ledger.clock()
        with self._ledger.writing(flush=False) as connection:
            self.folding.forget(todo.key)
            if messages.status_of(connection, todo.key) is not MessageStatus.SUPERSEDED:
                people.file_people(connection, todo.key, named)
                for key in file_reading(connection, todo.key, found, at):
                    work.ask_when_quiet(connection, "chart", key, at, self._quiet)
            if report:
                record(connection, at, Change("message", todo.key, found.status, found.status, report))
            work.finish(connection, todo)
        log.info("message_read", message_id=todo.key, status=found.status.value)

    def _facts(self, message_id: str) -> MessageFacts | None:
        """What a message says, read again where it was not read lately. Raises UnreadableError."""
        said = self._recent.get(message_id)
        if said is None:
            with self._ledger.reading() as connection:
                message, feed = messages.load(connection, message_id)
            said = _Said(facts_of(message, self._rulebook, feed))
            self._recent.put(message_id, said)
        return said.facts

    def _why_ignored(self, message_id: str) -> str:
        with self._ledger.reading() as connection:
            message, feed = messages.load(connection, message_id)
        return why_ignored(message, self._rulebook, feed)

    def _checked(self, message_id: str, found: Verdict) -> tuple[Verdict, str]:
        """The verdict after the check that the message's feed asks for, and what to write down of its findings."""
        if not self._rulebook.checks or found.status is not MessageStatus.CHARTED:
            return found, ""
        with self._ledger.reading() as connection:
            message, feed = messages.load(connection, message_id)
        check = self._rulebook.checks.get(feed)
        return check.judged(message, found) if check else (found, "")

    # --- chart: all messages of a visit to a claim

    def chart(self, todo: Work) -> None:
        """Fold a chart again and file what its claim is now, once all is read that had come before it was asked for."""
        with self._ledger.reading() as connection:
            is_early = work.asked_before(connection, "read", todo.asked_at)
        if is_early:
            with self._ledger.writing(flush=False) as connection:
                work.postpone(connection, todo, self._ledger.clock() + _SOON, tries=0)
            return
        folded = self.folded(todo.key)
        body = chart_to_bytes(folded)
        self._move_claims(folded)
        chart, known, occasion = self._known(folded)
        plans = plan_claims(chart, self._rulebook, occasion, known)
        at = self._ledger.clock()
        with self._ledger.writing(flush=False) as connection:
            if _versions(claims.of_chart(connection, todo.key)) != _versions(known.rows):
                return  # a claim moved on meanwhile: the work stays and is done again
            if charts.is_drawn_on(connection, todo.key) and work.is_asked_again(connection, todo):
                return  # perhaps its visit moved while it was folded: nothing is billed under a former key
            charts.keep_folded(connection, folded, chart_status(folded).value, body, at)
            words = file_plans(connection, plans, chart, at)
            if folded.moved_to:
                work.ask(connection, "chart", folded.moved_to, at)
            work.finish(connection, todo)
            due_at = min((plan.due_at for plan in plans if plan.due_at), default=None)
            if due_at:
                work.ask(connection, "chart", todo.key, due_at)
        if folded.moved_to:
            log.info("chart_moved")
        for word, plan in zip(words, plans, strict=True):
            gaps, findings = (len(plan.draft.gaps), len(plan.draft.findings)) if plan.draft else (0, 0)
            log.info("chart_coded", status=word, gaps=gaps, findings=findings)

    def _known(self, chart: Chart) -> tuple[Chart, Known, Occasion]:
        """The chart without what a person set aside, what is known of its claims, and of the occasion to make them."""
        with self._ledger.reading() as connection:
            chart = without_set_aside(connection, chart)
            rows = claims.of_chart(connection, chart.key)
            settled = frozenset(items.settled_by_a_person(connection, chart.key)) if rows else frozenset[str]()
            feeds = messages.feeds_of(connection, chart.messages) if self._rulebook.billing.feeds else ()
            is_requested = claims.is_requested(connection, chart.key)
            is_billed_before = charts.is_billed_under(connection, chart.moved_from)
        occasion = Occasion(self._ledger.clock(), feeds, is_requested)
        return chart, Known(rows, settled, self._decision_of, is_billed_before), occasion

    def _move_claims(self, chart: Chart) -> None:
        """Settle the claims that were made under a chart key that the visit has no longer."""
        moves = [(chart.key, chart.moved_to)] if chart.moved_to else [(key, chart.key) for key in chart.moved_from]
        if moves:
            at = self._ledger.clock()
            with self._ledger.writing(flush=False) as connection:
                for from_key, to_key in moves:
                    charts.move_claims(connection, from_key, to_key, at)

    def _decision_of(self, claim_id: str) -> bytes:
        with self._ledger.reading() as connection:
            return claims.decision_of(connection, claim_id)

    def folded(self, key: str) -> Chart:
        """The chart of a visit, from its stored messages."""
        return self.folding.chart(key)

    # --- submit and poll: a claim to its answer

    def submit(self, todo: Work) -> None:
        """Send a ready claim, or settle one whose outcome is unknown by looking it up first."""
        with self._ledger.reading() as connection:
            row = claims.by_id(connection, todo.key)
        if row.payer not in self._payers and row.status in (ClaimStatus.READY, *IN_FLIGHT):
            self._no_payer(row, todo)
        elif row.status == ClaimStatus.READY:
            self._send(row, todo)
        elif claims.is_in_flight(row):
            self._look_up(row, todo)
        else:
            with self._ledger.writing() as connection:
                work.finish(connection, todo)

    def _no_payer(self, row: claims.ClaimRow, todo: Work) -> None:
        text = f"no payer '{row.payer}' in the settings: add it, then fhir-coder claims resubmit {row.identifier}"
        item = items.Item(f"delivery:{row.id}", "delivery", "payer_not_configured", text, row.chart_key, row.id)
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            items.open_item(connection, at, item)
            work.finish(connection, todo)

    def _send(self, row: claims.ClaimRow, todo: Work) -> None:
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            now = claims.by_id(connection, row.id)
            if now.status != ClaimStatus.READY:
                return
            claims.move(connection, now, ClaimStatus.SENT, "sending", at)
            attempt = claims.begin_attempt(connection, row.id, "submit", at)
        line = self._payers[row.payer]
        outcome = line.client.submit(row.body, self._rulebook.site.claim_identifier_system, row.identifier)
        self._settle(todo, attempt, outcome, after_submit(outcome, todo.tries, line.policy))

    def _look_up(self, row: claims.ClaimRow, todo: Work) -> None:
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            if row.status == ClaimStatus.SENT:  # the process died between sending and writing down the answer
                claims.move(connection, row, ClaimStatus.UNKNOWN, "no answer was written down", at)
            rounds = claims.times_not_found(connection, row.id)
            attempt = claims.begin_attempt(connection, row.id, "look-up", at)
        line = self._payers[row.payer]
        outcome = line.client.find(self._rulebook.site.claim_identifier_system, row.identifier)
        self._settle(todo, attempt, outcome, after_look_up(outcome, todo.tries, line.policy, rounds))

    def poll(self, todo: Work) -> None:
        """Ask the payer for its decision on a claim it has."""
        with self._ledger.reading() as connection:
            row = claims.by_id(connection, todo.key)
        if row.status != ClaimStatus.QUEUED:
            with self._ledger.writing() as connection:
                work.finish(connection, todo)
            return
        with self._ledger.writing() as connection:
            attempt = claims.begin_attempt(connection, row.id, "poll", self._ledger.clock())
        line = self._payers[row.payer]
        outcome = line.client.poll(row.payer_reference, self._rulebook.site.claim_identifier_system, row.identifier)
        self._settle(todo, attempt, outcome, after_poll(outcome, todo.tries, line.policy))

    def _settle(self, todo: Work, attempt: int, outcome: Outcome, decision: Decision) -> None:
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            row = claims.by_id(connection, todo.key)
            *earlier, last = self._payers[row.payer].tries.take()
            for one in earlier:
                claims.insert_try(connection, row.id, _KIND_OF_TRY[one.what], _row_of(one))
            claims.end_attempt(connection, attempt, outcome, decision.next_action, (last.started_at, at))
            apply_decision(connection, row, outcome, decision, todo, at)
        log.info(
            "claim_attempted",
            claim_id=todo.key,
            stage=todo.stage,
            outcome=outcome.kind.value,
            http_status=outcome.http_status,
            status=decision.status.value,
        )


_KIND_OF_TRY = {"submit": "submit", "find": "look-up", "poll": "poll"}


def _row_of(one: Try) -> dict[str, object]:
    return {
        "started_at": one.started_at,
        "ended_at": one.ended_at,
        "outcome": one.kind.value,
        "reason": one.reason,
        "http_status": one.http_status,
        "next_action": "again within the attempt",
    }


def _versions(rows: Mapping[str, Sequence[claims.ClaimRow]]) -> set[tuple[object, ...]]:
    return {(row.id, row.status, row.updated_at) for listed in rows.values() for row in listed}
