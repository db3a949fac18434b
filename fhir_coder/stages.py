"""The stages against the ledger: each takes one piece of work, computes outside any transaction, commits once.

A result is committed together with the next work and the event row, so that a process that dies leaves either the
work or its result.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

from fhir_coder.charts import topics_reached
from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.filing import apply_decision, file_claim, file_reading, without_set_aside
from fhir_coder.logs import log
from fhir_coder.model import IN_FLIGHT, Chart, ClaimStatus, MessageFacts, MessageStatus, Outcome, Verdict
from fhir_coder.payers import PayerClient, Try
from fhir_coder.payers.decide import Decision, RetryPolicy, after_look_up, after_poll, after_submit
from fhir_coder.pipeline import Rulebook, chart_of, draft_claim, facts_of, judge, why_ignored
from fhir_coder.store import Ledger, claims, items, messages, people, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.schema import charts
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


class Stages:
    """Runs one piece of work at a time; safe to call from many threads for different keys.

    `quiet` is how long nothing new must have come for a visit before its claim is made: messages come in bursts.
    """

    def __init__(
        self, ledger: Ledger, rulebook: Rulebook, payers: Mapping[str, PayerLine], quiet: timedelta = timedelta()
    ) -> None:
        self._ledger, self._rulebook, self._payers, self._quiet = ledger, rulebook, payers, quiet
        self._facts = lru_cache(maxsize=2000)(self._read_facts)
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
        with self._ledger.writing() as connection:
            if messages.status_of(connection, todo.key) is not MessageStatus.SUPERSEDED:
                people.file_people(connection, todo.key, named)
                for key in file_reading(connection, todo.key, found, at):
                    work.ask_when_quiet(connection, "chart", key, at, self._quiet)
            if report:
                record(connection, at, Change("message", todo.key, found.status, found.status, report))
            work.finish(connection, todo)
        log.info("message_read", message_id=todo.key, status=found.status.value)

    def _read_facts(self, message_id: str) -> MessageFacts | None:
        with self._ledger.reading() as connection:
            message, feed = messages.load(connection, message_id)
        return facts_of(message, self._rulebook, feed)

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
        return check.judged(message.body, found) if check else (found, "")

    # --- chart: all messages of a visit to a claim

    def chart(self, todo: Work) -> None:
        """Fold a chart again and file what its claim is now, once all is read that had come before it was asked for."""
        with self._ledger.reading() as connection:
            is_early = work.asked_before(connection, "read", todo.asked_at)
        if is_early:
            with self._ledger.writing() as connection:
                work.postpone(connection, todo, self._ledger.clock() + _SOON, tries=0)
            return
        chart = self.folded(todo.key)
        with self._ledger.reading() as connection:
            chart = without_set_aside(connection, chart)
            current = claims.latest_of_chart(connection, todo.key)
        filed = self._filed(chart, current)
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            now = claims.latest_of_chart(connection, todo.key)
            if _version(now) != _version(current):
                return  # the claim moved on meanwhile: the work stays and is done again
            connection.execute(
                charts.update().where(charts.c.key == todo.key).values(folded_at=at, cancelled=chart.cancelled)
            )
            outcome = file_claim(connection, now, filed, chart, at)
            work.finish(connection, todo)
        log.info("chart_coded", status=outcome, gaps=len(filed.draft.gaps), findings=len(filed.draft.findings))

    def folded(self, key: str) -> Chart:
        """The chart of a visit, from its stored messages."""
        topics: set[str] = {key}
        while True:
            with self._ledger.reading() as connection:
                ids = messages.ids_of_topics(connection, topics)
            said = [facts for facts in map(self._facts, ids) if facts]
            reached = topics_reached(key, said)
            if reached <= topics:
                chart = chart_of(key, said)
                # Every message of the visit was corrected away: nothing says any more that there was one.
                return chart if chart.messages else replace(chart, cancelled=True)
            topics = reached

    def _filed(self, chart: Chart, current: claims.ClaimRow | None) -> claims.Filed:
        created = self._ledger.clock().date()
        revision, replaces = 1, ""
        if current is not None:
            is_same = current.status == ClaimStatus.HELD
            revision = current.revision if is_same else current.revision + 1
            replaces = current.identifier if claims.is_taken(current) else current.replaces
        draft = draft_claim(chart, self._rulebook, created, revision, replaces)
        return claims.Filed(draft, to_bytes(draft.claim), content_hash(draft.claim), replaces)

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


def _version(row: claims.ClaimRow | None) -> tuple[object, ...]:
    return (row.id, row.status, row.updated_at) if row else ()
