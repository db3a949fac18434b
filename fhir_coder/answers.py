"""What payers send unasked, to the claims it is about: matched by identifier, late and repeated ones harmless.

An answer decides a claim that waits for one. Of a claim that is decided already, the same decision changes nothing and
another one is shown to a person; so is an answer that fits no claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import orjson
from sqlalchemy import Connection

from fhir_coder.claims.wire import to_bytes
from fhir_coder.delivery import PayerLine
from fhir_coder.filing import apply_decision
from fhir_coder.logs import log
from fhir_coder.model import GONE, Adjudication, AnswerStatus, ClaimStatus, OutcomeKind
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.decide import RetryPolicy, after_look_up
from fhir_coder.payers.notices import Notice, Told, notice_of
from fhir_coder.store import Ledger, answers, attempts, claims, items, work
from fhir_coder.store.work import Work

_MOST_FETCHES = 8
_SOON = timedelta(seconds=1)
_DECIDES = ("status", "paid", "lines", "requests")
_AWAITING = frozenset({ClaimStatus.READY, ClaimStatus.UNKNOWN, ClaimStatus.QUEUED})

Matched = tuple[Told, claims.ClaimRow | None]


class Answers:
    """Reads what payers sent. `system` is the system of the claims' identifiers."""

    def __init__(self, ledger: Ledger, system: str, lines: Mapping[str, PayerLine]) -> None:
        self._ledger, self._system, self._lines = ledger, system, lines

    def read(self, todo: Work) -> None:
        """Bring one answer to its claims; where one of them is being sent just now, a second later."""
        with self._ledger.reading() as connection:
            row = answers.by_id(connection, todo.key)
        resource = read_json(row.body)
        notice = notice_of(resource) if isinstance(resource, dict) else Notice()
        told = notice.told or self._fetched(row.payer, notice.addresses)
        if told is None:
            self._later(todo, row)
            return
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            matched = [(one, self._claim_of(connection, row.payer, one)) for one in told]
            if any(claim is not None and claim.status == ClaimStatus.SENT for _, claim in matched):
                work.postpone(connection, todo, at + _SOON, tries=0)
                return
            status, why = self._settled(connection, row, matched, todo)
            answers.set_status(connection, row, status, why, at)
            _ask_a_person(connection, row, status, why, self._ledger)
            work.finish(connection, todo)
        log.info("answer_read", payer=row.payer, status=status.value, claims=len(matched))

    # --- which claim

    def _claim_of(self, connection: Connection, payer: str, told: Told) -> claims.ClaimRow | None:
        """The claim to this payer that an answer names: by our identifier, else by the payer's own name for it."""
        for identifier in told.claim_identifiers(self._system):
            found = claims.by_identifier(connection, identifier)
            if found is not None and found.payer == payer:
                return found
        return claims.by_references(connection, payer, told.references())

    def _fetched(self, payer: str, addresses: Sequence[str]) -> tuple[Told, ...] | None:
        """What is at the addresses that a notification named; None where the payer cannot be asked now."""
        line = self._lines.get(payer)
        found: list[Told] = []
        for address in addresses if line else ():
            assert line is not None
            answer = line.client.fetch(address)
            if answer is None:
                return None
            found += notice_of(answer).told
        return tuple(found)

    def _later(self, todo: Work, row: answers.AnswerRow) -> None:
        at = self._ledger.clock()
        with self._ledger.writing() as connection:
            if todo.tries + 1 < _MOST_FETCHES:
                work.postpone(connection, todo, at + timedelta(seconds=2.0**todo.tries))
                return
            why = "the payer does not give what it told of"
            answers.set_status(connection, row, AnswerStatus.KEPT, why, at)
            _ask_a_person(connection, row, AnswerStatus.KEPT, why, self._ledger)
            work.finish(connection, todo)

    # --- what it changes

    def _settled(
        self, connection: Connection, row: answers.AnswerRow, matched: Sequence[Matched], todo: Work
    ) -> tuple[AnswerStatus, str]:
        """Carry out what an answer says of its claims; what became of it as a whole, and why."""
        if not matched:
            return AnswerStatus.KEPT, "it names no claim and holds no decision"
        results = [self._settle(connection, row, told, claim, todo) for told, claim in matched]
        order = (AnswerStatus.KEPT, AnswerStatus.APPLIED, AnswerStatus.REPEATED)
        status = min((one for one, _ in results), key=order.index)
        return status, "; ".join(dict.fromkeys(why for one, why in results if one is status))

    def _settle(
        self,
        connection: Connection,
        row: answers.AnswerRow,
        told: Told,
        claim: claims.ClaimRow | None,
        todo: Work,
    ) -> tuple[AnswerStatus, str]:
        if claim is None:
            return AnswerStatus.KEPT, "it fits no claim to this payer"
        outcome, at = told.outcome(), self._ledger.clock()
        status = ClaimStatus(claim.status)
        assert outcome.adjudication is not None  # a decision has one
        if _says_the_same(claim, outcome.adjudication):
            return AnswerStatus.REPEATED, f"{claim.identifier}: said before"
        if status is ClaimStatus.QUEUED and outcome.kind is not OutcomeKind.ANSWERED:
            claims.set_adjudication(connection, claim.id, outcome.adjudication)
            return AnswerStatus.APPLIED, f"{claim.identifier}: still open"
        if status not in _AWAITING | GONE:
            return AnswerStatus.KEPT, f"{claim.identifier} is {status.value}, and this says otherwise"
        line = self._lines.get(claim.payer)
        decision = after_look_up(outcome, 0, line.policy if line else RetryPolicy())
        attempts.note_answer(connection, claim.id, to_bytes(told.response), row.received_at, decision.next_action)
        apply_decision(connection, claim, outcome, decision, todo, at)
        became = status if status in GONE else decision.status
        return AnswerStatus.APPLIED, f"{claim.identifier}: {became.value}"


def _says_the_same(claim: claims.ClaimRow, told: Adjudication) -> bool:
    """Whether a claim has this decision already: status, payment, lines, requests; when it was made does not count."""
    if not claim.adjudication or claim.status != told.status:
        return False
    had, says = orjson.loads(claim.adjudication), orjson.loads(claims.adjudication_text(told))
    return all(had.get(key) == says[key] for key in _DECIDES)


def _ask_a_person(
    connection: Connection, row: answers.AnswerRow, status: AnswerStatus, why: str, ledger: Ledger
) -> None:
    """Open a work item for an answer that nothing could be done with; close it where that has changed."""
    identity, at = f"answer:{row.id}", ledger.clock()
    if status is AnswerStatus.KEPT:
        text = f"payer {row.payer} sent an answer: {why}. fhir-coder payers answers {row.id} shows it"
        items.open_item(connection, at, items.Item(identity, "answer", "answer_kept", text))
    else:
        items.close_identity(connection, at, identity, why)
