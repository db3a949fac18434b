"""When nothing more is sent to a payer, when it is tried again, and when it is up. Pure: no clock, no ledger.

A payer goes down after so many failures or slow answers in a row. While it is down its claims wait without a try of
their own; one at a time tries whether it is back, and what it comes to decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fhir_coder.model import Outcome, OutcomeKind, PayerState
from fhir_coder.store.breakers import Breaker


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Times in seconds. An attempt that lasts `slow` counts as a failure, even one that the payer answered well.

    `probe` is the wait before a payer that cannot be reached is tried again; where it can be reached and fails on
    claims the wait is doubled each time, up to `cap`. `lease` is the longest that a probe may last.
    """

    failures: int = 5
    slow: float = 15.0
    probe: float = 1.0
    cap: float = 60.0
    lease: float = 110.0


_FAILURES = frozenset({OutcomeKind.NOT_SENT, OutcomeKind.BUSY, OutcomeKind.UNKNOWN, OutcomeKind.UNAUTHORIZED})


def is_failure(outcome: Outcome, seconds: float, policy: BreakerPolicy) -> bool:
    """Whether an attempt speaks against the payer: no answer, an error of its own, no entry, or too slow."""
    return outcome.kind in _FAILURES or seconds >= policy.slow


def after_attempt(breaker: Breaker, outcome: Outcome, seconds: float, at: datetime, policy: BreakerPolicy) -> Breaker:
    """What an attempt that took so many seconds makes of the breaker; the same one where nothing changes."""
    if not is_failure(outcome, seconds, policy):
        return _after_success(breaker, at)
    reason = outcome.reason if outcome.kind in _FAILURES else "slow answers"
    asked_for = timedelta(seconds=outcome.retry_after or 0.0)
    if breaker.state is PayerState.UP and breaker.failures + 1 < policy.failures:
        resume_at = at + asked_for if outcome.retry_after else breaker.resume_at
        return replace(breaker, failures=breaker.failures + 1, reason=reason, resume_at=resume_at)
    if breaker.state is PayerState.UP:
        breaker = replace(breaker, state=PayerState.DOWN, since=at, openings=0)
    elif breaker.state is PayerState.DOWN:  # it was on its way before the payer went down
        return replace(breaker, resume_at=max(breaker.resume_at or at, at + asked_for))
    wait = timedelta(seconds=min(policy.cap, policy.probe * 2 ** min(breaker.openings, 30)))
    return replace(
        breaker,
        state=PayerState.DOWN,
        failures=breaker.failures + 1,
        openings=breaker.openings + 1,
        reason=reason,
        resume_at=at + max(wait, asked_for),
    )


def _after_success(breaker: Breaker, at: datetime) -> Breaker:
    if breaker.state is PayerState.UP:
        return replace(breaker, failures=0, resume_at=None, reason="") if breaker.failures else breaker
    return Breaker(breaker.payer, PayerState.UP, 0, 0, "", at)


def after_no_answer(breaker: Breaker, at: datetime, policy: BreakerPolicy) -> Breaker:
    """What a probe makes of the breaker that came to no attempt, because the payer was not even there."""
    if breaker.state is not PayerState.PROBING:
        return breaker
    return replace(breaker, state=PayerState.DOWN, resume_at=at + timedelta(seconds=policy.probe))


def may_send(breaker: Breaker | None, at: datetime) -> bool:
    """Whether claims go to a payer now, as many as it takes at once."""
    is_up = breaker is None or breaker.state is PayerState.UP
    return is_up and (breaker is None or breaker.resume_at is None or breaker.resume_at <= at)


def may_probe(breaker: Breaker | None, at: datetime) -> bool:
    """Whether one claim may try a payer that is down."""
    is_down = breaker is not None and breaker.state is not PayerState.UP
    return is_down and breaker is not None and (breaker.resume_at is None or breaker.resume_at <= at)
