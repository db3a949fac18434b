"""What follows from an outcome: the claim's next status, the next work and when, and whether a person is asked.

Pure and table-like. The waiting here is the ledger's (minutes to days); the client's own retries last seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from fhir_coder.model import ClaimStatus, Outcome, OutcomeKind

MAX_LOOK_UP_ROUNDS = 5
"""How often a claim may go round look-up and sending before a person is asked."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waiting between attempts, in seconds: exponential from `base` to `cap` with full jitter.

    A person is asked after `max_tries` attempts, or `give_up_after` seconds after the first one. `unknown` is how an
    unknown outcome is settled: `look-up`, `repeat` (of the same bytes, where the payer promises that this makes no
    second claim), or `person`. A payer has `decide_within` seconds for its decision.
    """

    base: float = 2.0
    cap: float = 600.0
    max_tries: int = 50
    poll_base: float = 1.0
    poll_cap: float = 3600.0
    jitter: random.Random = field(default_factory=random.SystemRandom)
    give_up_after: float = 259200.0
    unknown: str = "look-up"
    decide_within: float = 2592000.0

    def wait(self, tries: int, at_least: float = 0.0) -> float:
        """Seconds to wait before try `tries` + 1; never below what the payer asked for (Retry-After)."""
        return at_least + self._drawn(self.base, self.cap, tries)

    def poll_wait(self, tries: int, at_least: float = 0.0) -> float:
        """Seconds to wait before the payer is asked for its decision again."""
        top = min(self.poll_cap, self.poll_base * 2 ** min(tries, 30))
        return max(at_least, self.jitter.uniform(top / 2, top))

    def _drawn(self, base: float, cap: float, tries: int) -> float:
        return self.jitter.uniform(0.0, min(cap, base * 2 ** min(tries, 30)))

    def is_over(self, tries: int, waited: float) -> bool:
        """Whether a person is to decide after `tries` + 1 attempts, the first of them `waited` seconds ago."""
        return tries + 1 >= self.max_tries or waited >= self.give_up_after


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next. `next_stage` is submit, poll or empty; `after` seconds from now.

    `hold` is set where the claim is held (`refused`). `item` is the kind of work item to open, empty for none.
    `again` counts as a further try of the same work.
    """

    status: ClaimStatus
    next_action: str
    next_stage: str = ""
    after: float = 0.0
    hold: str = ""
    item: str = ""
    again: bool = False


_TO_LOOK_UP = frozenset({OutcomeKind.UNKNOWN, OutcomeKind.LOOK_UP})
_NOT_TAKEN = frozenset({OutcomeKind.BUSY, OutcomeKind.NOT_SENT})
_REFUSED = frozenset({OutcomeKind.REFUSED, OutcomeKind.UNAUTHORIZED})
_TAKEN = frozenset({OutcomeKind.TAKEN, OutcomeKind.PENDING, OutcomeKind.FOUND})

_SETTLED_BY = {
    "look-up": "look it up before sending again",
    "repeat": "repeat it: the payer promises to take the same bytes once",
}


def after_submit(outcome: Outcome, tries: int, policy: RetryPolicy, waited: float = 0.0) -> Decision:
    """What follows a claim's sending. `waited` is the time in seconds since its first attempt."""
    if outcome.kind in _TO_LOOK_UP and policy.unknown == "person":
        return parked()
    if outcome.kind in _TO_LOOK_UP:
        return Decision(ClaimStatus.UNKNOWN, _SETTLED_BY[policy.unknown], "submit", policy.wait(0), again=True)
    if outcome.kind in _NOT_TAKEN:
        return _later(Decision(ClaimStatus.READY, "send again"), outcome, tries, policy, waited)
    if outcome.kind in _REFUSED:
        return Decision(ClaimStatus.HELD, "a person decides", hold="refused", item="refusal")
    return _accepted(outcome, 0, policy)


def parked() -> Decision:
    """What follows an unknown outcome where the payer cannot be asked by us."""
    return Decision(ClaimStatus.UNKNOWN, "parked: a person asks the payer", item="parked")


def after_look_up(outcome: Outcome, tries: int, policy: RetryPolicy, rounds: int = 0, waited: float = 0.0) -> Decision:
    """What follows a look-up, or an exact repeat, of a claim whose outcome is unknown.

    `rounds` is how often it was not found before, `waited` the time in seconds since its first attempt.
    """
    if outcome.kind is OutcomeKind.NOT_FOUND:
        if rounds + 1 >= MAX_LOOK_UP_ROUNDS:
            return Decision(ClaimStatus.UNKNOWN, "parked: the payer neither takes nor knows it", item="parked")
        return Decision(ClaimStatus.READY, "not there: send it", "submit", 0.0, again=True)
    if outcome.kind in _REFUSED:
        return Decision(ClaimStatus.UNKNOWN, "parked: the payer cannot be asked", item="parked")
    is_pending = outcome.kind is OutcomeKind.PENDING and policy.unknown == "look-up"  # the search is, not the claim
    if outcome.kind in _TO_LOOK_UP | _NOT_TAKEN or is_pending:
        action = "repeat it" if policy.unknown == "repeat" else "look it up again"
        return _later(Decision(ClaimStatus.UNKNOWN, action), outcome, tries, policy, waited)
    return _accepted(outcome, 0, policy)


def after_poll(outcome: Outcome, tries: int, policy: RetryPolicy, waited: float = 0.0) -> Decision:
    """What follows a question for the payer's decision. `waited` is the time in seconds since it was to be asked first.

    A payer that does not answer the question is asked as often as any attempt is made; one that has not decided, until
    its decision is due.
    """
    if outcome.adjudication and outcome.adjudication.status is not ClaimStatus.QUEUED:
        return _accepted(outcome, tries, policy)
    is_refused = outcome.kind in _REFUSED and tries + 1 >= policy.max_tries
    if is_refused or waited >= policy.decide_within:
        return Decision(ClaimStatus.QUEUED, "no more asking: a person decides", item="delivery")
    wait = policy.poll_wait(tries, outcome.retry_after or 0.0)
    return Decision(ClaimStatus.QUEUED, "ask again", "poll", wait, again=True)


def after_inquiry(outcome: Outcome) -> Decision:
    """What follows a status inquiry about a claim that the payer took and did not decide in time: a person is told."""
    if outcome.adjudication and outcome.adjudication.status is not ClaimStatus.QUEUED:
        return _accepted(outcome, 0, RetryPolicy())
    return Decision(ClaimStatus.QUEUED, "a person asks the payer", item=NO_ANSWER)


NO_ANSWER = "no-answer"
"""The kind of work item of a claim that is without a decision for too long."""


def _accepted(outcome: Outcome, tries: int, policy: RetryPolicy) -> Decision:
    status = outcome.adjudication.status if outcome.adjudication else ClaimStatus.QUEUED
    if status is ClaimStatus.QUEUED:
        wait = max(outcome.retry_after or 0.0, 0.0 if outcome.kind in _TAKEN else policy.poll_wait(tries))
        return Decision(status, "ask for the decision", "poll", wait)
    lines = outcome.adjudication.lines if outcome.adjudication else ()
    is_denied = status is ClaimStatus.DENIED or any(line.denied for line in lines)
    return Decision(status, "answered", item="denial" if is_denied else "")


def _later(what: Decision, outcome: Outcome, tries: int, policy: RetryPolicy, waited: float) -> Decision:
    if policy.is_over(tries, waited):
        return replace(what, next_action=f"no more tries: a person decides ({what.next_action})", item="delivery")
    after = policy.wait(tries, outcome.retry_after or 0.0)
    return replace(what, next_stage="submit", after=after, again=True)
