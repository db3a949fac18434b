"""The stages against the ledger: each takes some pieces of work, computes outside any transaction, commits once.

A result is committed together with the next work and the event row, so that a process that dies leaves either the
work or its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection

from fhir_coder.answers import Answers
from fhir_coder.billing import Known, SlotPlan, plan_claims
from fhir_coder.charts import chart_status, chart_to_bytes, stakes_of_visit
from fhir_coder.delivery import Delivery, PayerLine
from fhir_coder.filing import as_decided, file_plans, file_reading
from fhir_coder.folding import MOST_FACTS, Folding, weight_of
from fhir_coder.followup import DenialsBefore
from fhir_coder.logs import log
from fhir_coder.model import Chart, MessageFacts, MessageStatus, Verdict
from fhir_coder.pipeline import Occasion, Rulebook, facts_of, judge, why_ignored
from fhir_coder.recent import Recent
from fhir_coder.store import Ledger, attempts, charts, claims, items, messages, people, work
from fhir_coder.store.charts import Folded
from fhir_coder.store.events import Change, record
from fhir_coder.store.work import Work

_SOON = timedelta(milliseconds=50)


class PayerStages:
    """The stages that need no rulebook: what goes to payers, and the questions for their decisions."""

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery

    def run(self, todo: Work) -> None:
        """Do one piece of work."""
        self.run_all([todo])

    def run_all(self, todo: Sequence[Work]) -> None:
        """Do some work of one stage and payer."""
        run = self.delivery.submit_all if todo[0].stage == "submit" else _each(self.delivery.poll)
        run(todo)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a message says; nothing where it bills nothing."""

    facts: MessageFacts | None


@dataclass(frozen=True, slots=True)
class _Read:
    """A message that was read: what became of it, what is to be written down, whom it names."""

    message: str
    found: Verdict
    report: str
    named: set[str]


@dataclass(frozen=True, slots=True)
class _Coded:
    """A chart that was coded: as folded, as decided on, what was known of its claims, and what is to be done."""

    todo: Work
    kept: Folded
    chart: Chart
    known: Known
    plans: Sequence[SlotPlan]

    def tell(self, words: Sequence[str]) -> None:
        """Log what was done about each claim; no words where nothing was done."""
        if words and self.kept.chart.moved_to:
            log.info("chart_moved")
        for word, plan in zip(words, self.plans, strict=False):
            gaps, findings = (len(plan.draft.gaps), len(plan.draft.findings)) if plan.draft else (0, 0)
            log.info("chart_coded", status=word, gaps=gaps, findings=findings)


class Stages:
    """Runs work of one stage at a time; safe to call from many threads for different keys.

    `quiet` is how long nothing new must have come for a visit before its claim is made: messages come in bursts.
    """

    def __init__(
        self, ledger: Ledger, rulebook: Rulebook, payers: Mapping[str, PayerLine], quiet: timedelta = timedelta()
    ) -> None:
        self._ledger, self._rulebook, self._quiet = ledger, rulebook, quiet
        self.delivery = Delivery(ledger, rulebook.site.claim_identifier_system, payers)
        self._recent = Recent[str, _Said](MOST_FACTS, lambda said: weight_of(said.facts))
        self.folding = Folding(ledger, self._facts)
        self._denied_before = DenialsBefore(ledger)
        answers = Answers(ledger, rulebook.site.claim_identifier_system, payers)
        self._run: Mapping[str, Callable[[Sequence[Work]], None]] = {
            "read": self._read,
            "chart": self._chart,
            "submit": self.delivery.submit_all,
            "poll": _each(self.delivery.poll),
            "answer": _each(answers.read),
        }

    def with_rulebook(self, rulebook: Rulebook) -> Stages:
        """Stages by another rulebook, which have read nothing yet: what a message says may differ by it."""
        return Stages(self._ledger, rulebook, self.delivery.lines, self._quiet)

    def run(self, todo: Work) -> None:
        """Do one piece of work."""
        self.run_all([todo])

    def run_all(self, todo: Sequence[Work]) -> None:
        """Do some work of one stage (and payer) together: looked up once, committed once.

        Where it raises, nothing of reading and coding was done; each piece is then done by itself.
        """
        self._run[todo[0].stage](todo)

    # --- read: messages to their facts

    def _read(self, todo: Sequence[Work]) -> None:
        """Read messages, file them under their topics, and ask for their charts."""
        with self._ledger.reading(shared=True):
            read = [self._judged(one) for one in todo]
        at = self._ledger.clock()
        with self._ledger.writing(flush=False) as connection:
            for one in read:
                self._file_read(connection, one, at)
            work.finish_all(connection, todo)
        for one in read:
            log.info("message_read", message_id=one.message, status=one.found.status.value)

    def _judged(self, todo: Work) -> _Read:
        found = judge(lambda: self._facts(todo.key), lambda: self._why_ignored(todo.key))
        found, report = self._checked(todo.key, found)
        named = people.digests_in(found.facts, self._ledger.patient_key) if found.facts else set[str]()
        return _Read(todo.key, found, report, named)

    def _file_read(self, connection: Connection, read: _Read, at: datetime) -> None:
        self.folding.forget(read.message)
        if messages.status_of(connection, read.message) is not MessageStatus.SUPERSEDED:
            people.file_people(connection, read.message, read.named)
            for key in file_reading(connection, read.message, read.found, at):
                work.ask_when_quiet(connection, "chart", key, at, self._quiet)
        if read.report:
            status = read.found.status
            record(connection, at, Change("message", read.message, status, status, read.report))

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

    def _chart(self, todo: Sequence[Work]) -> None:
        """Fold charts again and file what their claims are now, once all is read that came before that was asked."""
        ripe = self._ripe(todo)
        with self._ledger.reading(shared=True):
            folded = [(one, self.folded(one.key)) for one in ripe]
            coded = [self._coded(one, chart) for one, chart in folded if not _has_moved(chart)]
        for one, chart in folded:
            if _has_moved(chart):
                self._move_claims(chart)
                coded.append(self._coded(one, chart))
        at = self._ledger.clock()
        with self._ledger.writing(flush=False) as connection:
            words = [self._file_coded(connection, one, at) for one in coded]
        for filed, its in zip(coded, words, strict=True):
            filed.tell(its)

    def _ripe(self, todo: Sequence[Work]) -> list[Work]:
        """Those charts all of whose messages that had come before they were asked for are read; the others wait."""
        with self._ledger.reading() as connection:
            if not work.asked_before(connection, "read", max(one.asked_at for one in todo)):
                return list(todo)
            ripe = [one for one in todo if not work.asked_before(connection, "read", one.asked_at)]
        with self._ledger.writing(flush=False) as connection:
            for one in todo:
                if one not in ripe:
                    work.postpone(connection, one, self._ledger.clock() + _SOON, tries=0)
        return ripe

    def _coded(self, todo: Work, folded: Chart) -> _Coded:
        kept = Folded(folded, chart_status(folded).value, chart_to_bytes(folded), stakes_of_visit(folded))
        chart, known, occasion = self._known(folded)
        return _Coded(todo, kept, chart, known, plan_claims(chart, self._rulebook, occasion, known))

    def _file_coded(self, connection: Connection, coded: _Coded, at: datetime) -> list[str]:
        """File what became of a chart; answers what was done about each of its claims, none where nothing was."""
        todo, folded = coded.todo, coded.kept.chart
        if _versions(claims.of_chart(connection, todo.key)) != _versions(coded.known.rows):
            return []  # a claim moved on meanwhile: the work stays and is done again
        if charts.is_drawn_on(connection, todo.key) and work.is_asked_again(connection, todo):
            return []  # perhaps its visit moved while it was folded: nothing is billed under a former key
        charts.keep_folded(connection, coded.kept, at)
        words = file_plans(connection, coded.plans, coded.chart, at)
        if folded.moved_to:
            work.ask(connection, "chart", folded.moved_to, at)
        work.finish(connection, todo)
        due_at = min((plan.due_at for plan in coded.plans if plan.due_at), default=None)
        if due_at:
            work.ask(connection, "chart", todo.key, due_at)
        return words

    def _known(self, chart: Chart) -> tuple[Chart, Known, Occasion]:
        """The chart without what a person set aside, what is known of its claims, and of the occasion to make them."""
        with self._ledger.reading() as connection:
            chart = as_decided(connection, chart)
            rows = claims.of_chart(connection, chart.key)
            settled = frozenset(items.settled_by_a_person(connection, chart.key)) if rows else frozenset[str]()
            feeds = messages.feeds_of(connection, chart.messages)
            is_requested = claims.is_requested(connection, chart.key)
            states = claims.states_to_keep(connection, chart.key, rows)
            is_billed_before = charts.is_billed_under(connection, chart.moved_from)
            elsewhere = claims.bodies_of_people(connection, self._people_of(chart), (chart.key, *chart.moved_from))
        others = tuple(map(orjson.loads, elsewhere))
        occasion = Occasion(self._ledger.clock(), feeds, is_requested, others, self._denied_before.often())
        return chart, Known(rows, settled, self._decision_of, is_billed_before, states), occasion

    def planned(self, chart_key: str, change: Callable[[Chart], Chart]) -> Sequence[SlotPlan]:
        """What would be done about a chart's claims if the chart were changed so. Nothing is written."""
        chart, known, occasion = self._known(self.folding.chart_anew(chart_key))
        return plan_claims(change(chart), self._rulebook, occasion, known)

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


def _each(run: Callable[[Work], None]) -> Callable[[Sequence[Work]], None]:
    """Work that is done one by one."""

    def run_all(todo: Sequence[Work]) -> None:
        for one in todo:
            run(one)

    return run_all


def _has_moved(chart: Chart) -> bool:
    return bool(chart.moved_to or chart.moved_from)


def _versions(rows: Mapping[str, Sequence[claims.ClaimRow]]) -> set[tuple[object, ...]]:
    return {(row.id, row.status, row.updated_at) for listed in rows.values() for row in listed}
