"""When a payer is left alone, when one claim tries it, when it is up again: by a clock that the test moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import Outcome, OutcomeKind, PayerState
from fhir_coder.payers.breaker import BreakerPolicy, after_attempt, after_no_answer, may_probe, may_send
from fhir_coder.store.breakers import Breaker
from tests.building import NOON

POLICY = BreakerPolicy(failures=3, slow=10.0, probe=1.0, cap=8.0)
UP = Breaker("first", PayerState.UP, 0, 0, "", NOON)
GOOD, LOST = Outcome(OutcomeKind.TAKEN, "taken"), Outcome(OutcomeKind.NOT_SENT, "connection refused")


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def after(*came: Outcome, breaker: Breaker = UP, lasting: float = 0.1) -> Breaker:
    for outcome in came:
        breaker = after_attempt(breaker, outcome, lasting, NOON, POLICY)
    return breaker


DOWN = after(LOST, LOST, LOST)


def test_a_payer_is_down_after_so_many_failures_in_a_row() -> None:
    assert may_send(after(LOST, LOST), NOON)
    assert (DOWN.state, DOWN.reason, DOWN.since) == (PayerState.DOWN, "connection refused", NOON)
    assert not may_send(DOWN, NOON + seconds(10**6))


def test_an_answer_in_between_counts_the_failures_anew() -> None:
    assert after(LOST, LOST, GOOD, LOST, LOST).state is PayerState.UP


@pytest.mark.parametrize(
    ("kind", "is_failure"),
    [
        (OutcomeKind.NOT_SENT, True),
        (OutcomeKind.BUSY, True),
        (OutcomeKind.UNKNOWN, True),
        (OutcomeKind.UNAUTHORIZED, True),
        (OutcomeKind.REFUSED, False),
        (OutcomeKind.ANSWERED, False),
        (OutcomeKind.TAKEN, False),
        (OutcomeKind.PENDING, False),
        (OutcomeKind.LOOK_UP, False),
        (OutcomeKind.FOUND, False),
        (OutcomeKind.NOT_FOUND, False),
    ],
)
def test_what_speaks_against_a_payer(kind: OutcomeKind, is_failure: bool) -> None:
    assert (after(Outcome(kind, "why")).failures == 1) is is_failure


def test_answers_that_come_too_slowly_take_a_payer_down_too() -> None:
    slow = after(GOOD, GOOD, GOOD, lasting=10.0)
    assert (slow.state, slow.reason) == (PayerState.DOWN, "slow answers")
    assert after(GOOD, GOOD, GOOD, lasting=9.9) == UP


def test_good_answers_of_a_payer_that_is_up_change_nothing_so_that_nothing_is_written() -> None:
    assert after(GOOD) is UP


def test_a_payer_that_is_busy_is_left_alone_as_long_as_it_asked_without_being_down() -> None:
    busy = after(Outcome(OutcomeKind.BUSY, "too many requests", 429, retry_after=30.0))
    assert busy.state is PayerState.UP
    assert not may_send(busy, NOON + seconds(29.9))
    assert may_send(busy, NOON + seconds(30))
    assert not may_probe(busy, NOON)


def test_one_claim_may_try_a_payer_that_is_down_after_the_wait_and_not_before() -> None:
    assert not may_probe(DOWN, NOON + seconds(0.9))
    assert may_probe(DOWN, NOON + seconds(1))


def test_retry_after_is_the_lower_bound_of_the_wait_for_a_probe() -> None:
    busy = Outcome(OutcomeKind.BUSY, "the payer is not available", 503, retry_after=120.0)
    down = after(LOST, LOST, busy)
    assert down.state is PayerState.DOWN
    assert not may_probe(down, NOON + seconds(119))
    assert may_probe(down, NOON + seconds(120))


def probing(breaker: Breaker) -> Breaker:
    return replace(breaker, state=PayerState.PROBING, resume_at=NOON + seconds(110))


def test_a_claim_that_gets_through_brings_the_payer_up() -> None:
    assert after(GOOD, breaker=probing(DOWN)) == UP


def test_claims_that_fail_at_a_payer_that_can_be_reached_try_it_ever_more_seldom_up_to_a_cap() -> None:
    waits, breaker = [], DOWN
    for _ in range(6):
        breaker = after(Outcome(OutcomeKind.UNKNOWN, "the payer failed", 500), breaker=probing(breaker))
        assert breaker.resume_at
        waits.append((breaker.resume_at - NOON).total_seconds())
    assert waits == [2.0, 4.0, 8.0, 8.0, 8.0, 8.0]


def test_a_payer_that_is_not_even_there_is_asked_again_after_the_same_short_wait_for_ever() -> None:
    breaker = DOWN
    for _ in range(1000):
        breaker = after_no_answer(probing(breaker), NOON, POLICY)
    assert (breaker.state, breaker.resume_at) == (PayerState.DOWN, NOON + seconds(1))


def test_a_probe_whose_worker_died_is_taken_over_when_its_lease_is_over() -> None:
    assert not may_probe(probing(DOWN), NOON + seconds(109))
    assert may_probe(probing(DOWN), NOON + seconds(110))


def test_failures_of_claims_sent_before_the_payer_went_down_do_not_put_off_its_probe() -> None:
    assert after(LOST, LOST, breaker=DOWN) == DOWN


OUTCOMES = st.builds(
    Outcome, st.sampled_from(list(OutcomeKind)), st.just("why"), st.none(), st.none() | st.floats(0, 10**6)
)


@given(st.lists(st.tuples(OUTCOMES, st.floats(0, 100), st.booleans()), max_size=30))
def test_a_payer_that_is_not_up_always_has_a_time_when_it_is_tried(came: list[tuple[Outcome, float, bool]]) -> None:
    breaker = UP
    for outcome, lasting, is_probe in came:
        if is_probe and may_probe(breaker, NOON + seconds(10**7)):
            breaker = probing(breaker)
        breaker = after_attempt(breaker, outcome, lasting, NOON, POLICY)
        assert breaker.state is PayerState.UP or breaker.resume_at is not None
        assert not (may_send(breaker, NOON) and may_probe(breaker, NOON))
