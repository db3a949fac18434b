"""After a claim was sent: what a person learnt of it another way, and what payers' denials teach the next claims."""

from __future__ import annotations

from datetime import datetime, timedelta

from fhir_coder.errors import FhirCoderError
from fhir_coder.model import ClaimStatus, Denied, DeniedBefore
from fhir_coder.payers.answer import read_json
from fhir_coder.payers.notices import Told, notice_of
from fhir_coder.store import Ledger, answers, claims, line_decisions
from fhir_coder.store.events import Change, record
from fhir_coder.store.line_decisions import Asked

_OPEN = frozenset({ClaimStatus.UNKNOWN, ClaimStatus.QUEUED})


class AnswerError(FhirCoderError):
    """What was handed in is not the payer's decision on this claim."""

    exit_code = 2


def check_answer(claim: claims.ClaimRow, body: bytes, system: str) -> None:
    """See that an answer holds a decision, and on this claim only. Raises AnswerError.

    `system` is that of the claims' identifiers.
    """
    resource = read_json(body)
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise AnswerError("the answer is no FHIR resource in JSON")
    told = notice_of(resource).told
    if not told:
        raise AnswerError("the answer holds no decision: no active ClaimResponse with an outcome")
    if not all(_is_about(one, claim, system) for one in told):
        raise AnswerError(f"the answer is not about {claim.identifier}: its request must name it by this identifier")
    if ClaimStatus(claim.status) not in _OPEN:
        raise AnswerError(f"{claim.identifier} is {claim.status}: it waits for no answer")


def _is_about(told: Told, claim: claims.ClaimRow, system: str) -> bool:
    named = claim.identifier in told.claim_identifiers(system)
    return named or bool(claim.payer_reference and claim.payer_reference in told.references())


def hand_in(ledger: Ledger, claim: claims.ClaimRow, body: bytes, actor: str, why: str) -> str:
    """Keep an answer that came by another way, with who handed it in; a worker brings it to the claim. Its id."""
    at = ledger.clock()
    with ledger.writing() as connection:
        answer_id, _ = answers.keep(connection, claim.payer, body, at)
        told = f"handed in: {why}" if why else "handed in"
        record(connection, at, Change("answer", answer_id, "", "received", told, actor))
    return answer_id


_YEAR, _HOUR = timedelta(days=365), timedelta(hours=1)
_LEAST_CLAIMS, _LEAST_SHARE = 3, 5
"""What counts as often: so many claims, and one in so many of those decided."""


class DenialsBefore:
    """What payers often denied within a year, read from the ledger again every hour."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._read: tuple[datetime, Denied] | None = None

    def often(self) -> Denied:
        """By payer and code: the reasons of at least three claims that are one in five of those decided."""
        at = self._ledger.clock()
        if self._read is None or not timedelta() <= at - self._read[0] < _HOUR:
            self._read = at, self._table(Asked(at - _YEAR))
        return self._read[1]

    def _table(self, asked: Asked) -> Denied:
        with self._ledger.reading() as connection:
            rows = [r for r in line_decisions.denied(connection, asked) if r.code and r.claims >= _LEAST_CLAIMS]
            decided = line_decisions.decided(connection, asked, sorted({(r.payer, r.code) for r in rows}))
        found: dict[tuple[str, str], tuple[DeniedBefore, ...]] = {}
        for row in rows:
            key = (row.payer, row.code)
            if row.claims * _LEAST_SHARE >= decided[key]:
                one = DeniedBefore(row.payer, row.code, row.reason, row.claims, decided[key])
                found[key] = (*found.get(key, ()), one)
        return found
