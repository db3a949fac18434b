"""The stages against the ledger: each takes one piece of work, computes outside any transaction, commits once.

A result is committed together with the next work and the event row, so that a process that dies leaves either the
work or its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import orjson

from fhir_coder.answers import Answers
from fhir_coder.billing import Known, plan_claims
from fhir_coder.charts import chart_status, chart_to_bytes
from fhir_coder.delivery import Delivery, PayerLine
from fhir_coder.filing import file_plans, file_reading, without_set_aside
from fhir_coder.folding import MOST_FACTS, Folding, weight_of
from fhir_coder.logs import log
from fhir_coder.model import Chart, MessageFacts, MessageStatus, Verdict
from fhir_coder.pipeline import Occasion, Rulebook, facts_of, judge, why_ignored
from fhir_coder.recent import Recent
from fhir_coder.store import Ledger, attempts, charts, claims, items, messages, people, work
from fhir_coder.store.events import Change, record
from fhir_coder.store.work import Work

_SOON = timedelta(milliseconds=50)


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
        self._ledger, self._rulebook, self._quiet = ledger, rulebook, quiet
        self.delivery = Delivery(ledger, rulebook.site.claim_identifier_system, payers)
        self._recent = Recent[str, _Said](MOST_FACTS, lambda said: weight_of(said.facts))
        self.folding = Folding(ledger, self._facts)
        self._run: Mapping[str, Callable[[Work], None]] = {
            "read": self.read,
            "chart": self.chart,
            "submit": self.delivery.submit,
            "poll": self.delivery.poll,
            "answer": Answers(ledger, rulebook.site.claim_identifier_system, payers).read,
        }

    def with_rulebook(self, rulebook: Rulebook) -> Stages:
        """Stages by another rulebook, which have read nothing yet: what a message says may differ by it."""
        return Stages(self._ledger, rulebook, self.delivery.lines, self._quiet)

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
            feeds = messages.feeds_of(connection, chart.messages)
            is_requested = claims.is_requested(connection, chart.key)
            states = claims.states_to_keep(connection, chart.key, rows)
            is_billed_before = charts.is_billed_under(connection, chart.moved_from)
            elsewhere = claims.bodies_of_people(connection, self._people_of(chart), (chart.key, *chart.moved_from))
        occasion = Occasion(self._ledger.clock(), feeds, is_requested, tuple(map(orjson.loads, elsewhere)))
        return chart, Known(rows, settled, self._decision_of, is_billed_before, states), occasion

    def _people_of(self, chart: Chart) -> set[str]:
        """The digests of the patient's identifiers, as the index of people has them."""
        identifiers = chart.patient.identifiers if chart.patient else ()
        return {people.digest(self._ledger.patient_key, identifier.value) for identifier in identifiers}

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
            return attempts.decision_of(connection, claim_id)

    def folded(self, key: str) -> Chart:
        """The chart of a visit, from its stored messages."""
        return self.folding.chart(key)


def _versions(rows: Mapping[str, Sequence[claims.ClaimRow]]) -> set[tuple[object, ...]]:
    return {(row.id, row.status, row.updated_at) for listed in rows.values() for row in listed}
