"""What follows from an outcome: the claim's next status, the next work and when, and whether a person is asked.

Pure and table-like. The waiting here is the ledger's (minutes to days); the client's own retries last seconds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from fhir_coder.model import ClaimStatus, Outcome, OutcomeKind

MAX_LOOK_UP_ROUNDS = 5
"""How often a claim may go round look-up and sending before a person is asked."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waiting between attempts, in seconds: exponential from `base` to `cap` with full jitter, `max_tries` times."""

    base: float = 2.0
    cap: float = 600.0
    max_tries: int = 50
    poll_base: float = 1.0
    poll_cap: float = 3600.0
    jitter: random.Random = field(default_factory=random.SystemRandom)

    def wait(self, tries: int, at_least: float = 0.0) -> float:
        """Seconds to wait before try `tries` + 1; never below what the payer asked for (Retry-After)."""
        return at_least + self._drawn(self.base, self.cap, tries)

    def poll_wait(self, tries: int, at_least: float = 0.0) -> float:
        """Seconds to wait before the payer is asked for its decision again."""
        return max(at_least, self._drawn(self.poll_base, self.poll_cap, tries))

    def _drawn(self, base: float, cap: float, tries: int) -> float:
        top = min(cap, base * 2 ** min(tries, 30))
        return self.jitter.uniform(top / 2, top)


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


def after_submit(outcome: Outcome, tries: int, policy: RetryPolicy) -> Decision:
    """What follows a claim's sending."""
    if outcome.kind in _TO_LOOK_UP:
        return Decision(ClaimStatus.UNKNOWN, "look it up before sending again", "submit", policy.wait(0), again=True)
    if outcome.kind in _NOT_TAKEN:
        return _later(ClaimStatus.READY, "send again", tries, policy, outcome.retry_after or 0.0)
    if outcome.kind in _REFUSED:
        return Decision(ClaimStatus.HELD, "a person decides", hold="refused", item="refusal")
    return _accepted(outcome, 0, policy)


def after_look_up(outcome: Outcome, tries: int, policy: RetryPolicy, rounds: int = 0) -> Decision:
    """What follows a look-up of a claim whose outcome is unknown. `rounds` is how often it was not found before."""
    if outcome.kind is OutcomeKind.NOT_FOUND:
        if rounds + 1 >= MAX_LOOK_UP_ROUNDS:
            return Decision(ClaimStatus.UNKNOWN, "parked: the payer neither takes nor knows it", item="parked")
        return Decision(ClaimStatus.READY, "not there: send it", "submit", 0.0, again=True)
    if outcome.kind in _REFUSED:
        return Decision(ClaimStatus.UNKNOWN, "parked: the payer cannot be asked", item="parked")
    if outcome.kind in _TO_LOOK_UP | _NOT_TAKEN | {OutcomeKind.PENDING}:  # pending: the search is, not the claim
        return _later(ClaimStatus.UNKNOWN, "look it up again", tries, policy, outcome.retry_after or 0.0)
    return _accepted(outcome, 0, policy)


def after_poll(outcome: Outcome, tries: int, policy: RetryPolicy) -> Decision:
    """What follows a question for the payer's decision."""
    if outcome.adjudication and outcome.adjudication.status is not ClaimStatus.QUEUED:
        return _accepted(outcome, tries, policy)
    if tries + 1 >= policy.max_tries:
        return Decision(ClaimStatus.QUEUED, "no more asking: a person decides", item="delivery")
    wait = policy.poll_wait(tries, outcome.retry_after or 0.0)
    return Decision(ClaimStatus.QUEUED, "ask again", "poll", wait, again=True)


def _accepted(outcome: Outcome, tries: int, policy: RetryPolicy) -> Decision:
    status = outcome.adjudication.status if outcome.adjudication else ClaimStatus.QUEUED
    if status is ClaimStatus.QUEUED:
        wait = max(outcome.retry_after or 0.0, 0.0 if outcome.kind in _TAKEN else policy.poll_wait(tries))
        return Decision(status, "ask for the decision", "poll", wait)
    return Decision(status, "answered", item="denial" if status is ClaimStatus.DENIED else "")


def _later(status: ClaimStatus, action: str, tries: int, policy: RetryPolicy, at_least: float) -> Decision:
    if tries + 1 >= policy.max_tries:
        return Decision(status, f"no more tries: a person decides ({action})", item="delivery")
    return Decision(status, action, "submit", policy.wait(tries, at_least), again=True)
