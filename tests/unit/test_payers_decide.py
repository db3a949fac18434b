"""What follows from each outcome at each stage: status, next work, waiting, and when a person is asked."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import Adjudication, ClaimStatus, Outcome, OutcomeKind
from fhir_coder.payers.decide import (
    MAX_LOOK_UP_ROUNDS,
    Decision,
    RetryPolicy,
    after_look_up,
    after_poll,
    after_submit,
)

POLICY = RetryPolicy(base=2.0, cap=600.0, max_tries=50, jitter=random.Random(7))
K, S = OutcomeKind, ClaimStatus


def outcome(kind: OutcomeKind, status: ClaimStatus | None = None, retry_after: float | None = None) -> Outcome:
    adjudication = Adjudication(status, "complete") if status else None
    return Outcome(kind, "why", retry_after=retry_after, adjudication=adjudication)


def told(decision: Decision) -> tuple[ClaimStatus, str, str, bool]:
    """Status, next stage, work item, whether it is a further try."""
    return decision.status, decision.next_stage, decision.item, decision.again


# --- sending


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (outcome(K.TAKEN), (S.QUEUED, "poll", "", False)),
        (outcome(K.PENDING), (S.QUEUED, "poll", "", False)),
        (outcome(K.TAKEN, S.QUEUED), (S.QUEUED, "poll", "", False)),
        (outcome(K.ANSWERED, S.COMPLETE), (S.COMPLETE, "", "", False)),
        (outcome(K.ANSWERED, S.PARTIAL), (S.PARTIAL, "", "", False)),
        (outcome(K.ANSWERED, S.DENIED), (S.DENIED, "", "denial", False)),
        (outcome(K.BUSY), (S.READY, "submit", "", True)),
        (outcome(K.NOT_SENT), (S.READY, "submit", "", True)),
        (outcome(K.UNKNOWN), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.LOOK_UP), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.REFUSED), (S.HELD, "", "refusal", False)),
        (outcome(K.UNAUTHORIZED), (S.HELD, "", "refusal", False)),
    ],
    ids=lambda v: v.kind.value if isinstance(v, Outcome) else "",
)
def test_what_follows_a_sending(came: Outcome, expected: tuple[ClaimStatus, str, str, bool]) -> None:
    assert told(after_submit(came, 0, POLICY)) == expected


def test_a_sending_of_unknown_outcome_is_never_followed_by_a_sending_without_look_up() -> None:
    for kind in (K.UNKNOWN, K.LOOK_UP):
        # A claim of status unknown is looked up by the submit stage: only ready ones are sent.
        assert after_submit(outcome(kind), 0, POLICY).status is S.UNKNOWN


def test_a_refused_claim_is_held_as_refused() -> None:
    assert after_submit(outcome(K.REFUSED), 0, POLICY).hold == "refused"


# --- looking up


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (outcome(K.FOUND), (S.QUEUED, "poll", "", False)),
        (outcome(K.FOUND, S.COMPLETE), (S.COMPLETE, "", "", False)),
        (outcome(K.NOT_FOUND), (S.READY, "submit", "", True)),
        (outcome(K.UNKNOWN), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.LOOK_UP), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.BUSY), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.NOT_SENT), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.PENDING), (S.UNKNOWN, "submit", "", True)),
        (outcome(K.REFUSED), (S.UNKNOWN, "", "parked", False)),
        (outcome(K.UNAUTHORIZED), (S.UNKNOWN, "", "parked", False)),
    ],
    ids=lambda v: v.kind.value if isinstance(v, Outcome) else "",
)
def test_what_follows_a_look_up(came: Outcome, expected: tuple[ClaimStatus, str, str, bool]) -> None:
    assert told(after_look_up(came, 1, POLICY)) == expected


def test_only_a_claim_that_is_surely_not_there_is_sent_again() -> None:
    ready = [kind for kind in OutcomeKind if after_look_up(outcome(kind), 1, POLICY).status is S.READY]

    assert ready == [K.NOT_FOUND]


def test_a_claim_that_the_payer_neither_takes_nor_knows_is_parked_after_some_rounds() -> None:
    last_round = MAX_LOOK_UP_ROUNDS - 1

    assert told(after_look_up(outcome(K.NOT_FOUND), 0, POLICY, last_round - 1)) == (S.READY, "submit", "", True)
    assert told(after_look_up(outcome(K.NOT_FOUND), 0, POLICY, last_round)) == (S.UNKNOWN, "", "parked", False)


def test_a_payer_that_was_busy_for_long_does_not_park_a_claim_at_its_first_look_up() -> None:
    decision = after_look_up(outcome(K.NOT_FOUND), POLICY.max_tries - 1, POLICY)
    assert told(decision) == (S.READY, "submit", "", True)


def test_a_parked_claim_is_not_put_on_its_way_without_a_person() -> None:
    for kind in (K.REFUSED, K.UNAUTHORIZED):
        parked = after_look_up(outcome(kind), 0, POLICY)
        assert (parked.next_stage, parked.item, parked.hold) == ("", "parked", "")


# --- asking for the decision


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        (outcome(K.PENDING), (S.QUEUED, "poll", "", True)),
        (outcome(K.PENDING, S.QUEUED), (S.QUEUED, "poll", "", True)),
        (outcome(K.BUSY), (S.QUEUED, "poll", "", True)),
        (outcome(K.UNKNOWN), (S.QUEUED, "poll", "", True)),
        (outcome(K.NOT_SENT), (S.QUEUED, "poll", "", True)),
        (outcome(K.REFUSED), (S.QUEUED, "poll", "", True)),
        (outcome(K.ANSWERED, S.COMPLETE), (S.COMPLETE, "", "", False)),
        (outcome(K.ANSWERED, S.PARTIAL), (S.PARTIAL, "", "", False)),
        (outcome(K.ANSWERED, S.DENIED), (S.DENIED, "", "denial", False)),
    ],
    ids=lambda v: v.kind.value if isinstance(v, Outcome) else "",
)
def test_what_follows_a_question_for_the_decision(came: Outcome, expected: tuple[ClaimStatus, str, str, bool]) -> None:
    assert told(after_poll(came, 3, POLICY)) == expected


def test_a_claim_the_payer_has_is_never_sent_again_because_a_question_failed() -> None:
    for kind in OutcomeKind:
        for tries in (0, 3, POLICY.max_tries, 10 * POLICY.max_tries):
            decision = after_poll(outcome(kind), tries, POLICY)
            assert (decision.status, decision.next_stage) in ((S.QUEUED, "poll"), (S.QUEUED, ""))


@pytest.mark.parametrize(
    ("kind", "tries", "waited"), [(K.PENDING, 3, POLICY.decide_within), (K.REFUSED, POLICY.max_tries - 1, 5.0)]
)
def test_a_payer_that_never_decides_or_tells_is_asked_for_so_long_and_then_a_person_is(
    kind: K, tries: int, waited: float
) -> None:
    before = after_poll(outcome(kind), tries - 1, POLICY, waited - 1.0)
    last = after_poll(outcome(kind), tries, POLICY, waited)
    assert (before.next_stage, before.item) == ("poll", "")
    assert (last.status, last.next_stage, last.item) == (S.QUEUED, "", "delivery")


# --- waiting

SECONDS = st.floats(min_value=0, max_value=10**6)
TRIES = st.integers(min_value=0, max_value=500)
KINDS = st.sampled_from(list(OutcomeKind))
STATUSES = st.sampled_from([None, S.QUEUED, S.COMPLETE, S.PARTIAL, S.DENIED])


@given(TRIES, SECONDS, st.randoms(use_true_random=True))
def test_waiting_is_never_shorter_than_the_payer_asked_and_never_longer_than_the_cap_on_top(
    tries: int, asked: float, jitter: random.Random
) -> None:
    policy = RetryPolicy(base=2.0, cap=600.0, poll_base=1.0, poll_cap=3600.0, jitter=jitter)

    assert asked <= policy.wait(tries, asked) <= asked + 600.0
    assert asked <= policy.poll_wait(tries, asked) <= max(asked, 3600.0)


@given(st.integers(0, 8), st.randoms(use_true_random=True))
def test_waiting_is_drawn_from_nothing_to_a_bound_that_doubles(tries: int, jitter: random.Random) -> None:
    assert 0.0 <= RetryPolicy(base=2.0, cap=10**9, jitter=jitter).wait(tries) <= 2.0 * 2.0**tries


def test_waits_fill_the_whole_span_so_that_claims_that_failed_together_spread_out() -> None:
    policy = RetryPolicy(base=2.0, cap=10**9, jitter=random.Random(3))
    drawn = sorted(policy.wait(4) for _ in range(400))

    assert drawn[0] < 1.0
    assert drawn[-1] > 31.0
    assert all(later - one < 2.0 for one, later in pairwise(drawn))


def test_two_claims_that_fail_together_do_not_come_back_together() -> None:
    assert len({RetryPolicy().wait(5) for _ in range(20)}) > 1


@pytest.mark.parametrize("follow", [after_submit, after_look_up])
def test_retry_after_is_the_lower_bound_of_a_busy_payer(follow: object) -> None:
    decision = follow(outcome(K.BUSY, retry_after=120.0), 0, POLICY)  # type: ignore[operator]  # one of the two functions

    assert decision.after >= 120.0


def test_a_payer_that_took_the_claim_is_asked_when_it_said() -> None:
    assert after_submit(outcome(K.TAKEN, retry_after=90.0), 0, POLICY).after >= 90.0
    assert after_poll(outcome(K.PENDING, retry_after=90.0), 0, POLICY).after >= 90.0


@pytest.mark.parametrize(("follow", "kept"), [(after_submit, S.READY), (after_look_up, S.UNKNOWN)])
def test_a_payer_that_stays_away_is_a_persons_work_after_the_last_try(follow: object, kept: ClaimStatus) -> None:
    before = follow(outcome(K.NOT_SENT), POLICY.max_tries - 2, POLICY)  # type: ignore[operator]  # one of the two
    last = follow(outcome(K.NOT_SENT), POLICY.max_tries - 1, POLICY)  # type: ignore[operator]  # one of the two

    assert (before.next_stage, before.item) == ("submit", "")
    assert (last.status, last.next_stage, last.item) == (kept, "", "delivery")


@pytest.mark.parametrize(("follow", "kept"), [(after_submit, S.READY), (after_look_up, S.UNKNOWN)])
def test_a_payer_that_stays_away_too_long_is_a_persons_work_whatever_the_tries(
    follow: object, kept: ClaimStatus
) -> None:
    limit = POLICY.give_up_after
    before = follow(outcome(K.BUSY), 0, POLICY, waited=limit - 1)  # type: ignore[operator]  # one of the two
    over = follow(outcome(K.BUSY), 0, POLICY, waited=limit)  # type: ignore[operator]  # one of the two

    assert (before.next_stage, before.item) == ("submit", "")
    assert (over.status, over.next_stage, over.item) == (kept, "", "delivery")


# --- how an unknown outcome is settled

REPEAT, PERSON = replace(POLICY, unknown="repeat"), replace(POLICY, unknown="person")


def test_where_the_payer_promises_it_an_unknown_outcome_is_settled_by_an_exact_repeat() -> None:
    assert told(after_submit(outcome(K.UNKNOWN), 0, REPEAT)) == (S.UNKNOWN, "submit", "", True)
    assert told(after_look_up(outcome(K.TAKEN), 0, REPEAT)) == (S.QUEUED, "poll", "", False)
    assert told(after_look_up(outcome(K.PENDING), 0, REPEAT)) == (S.QUEUED, "poll", "", False)
    assert told(after_look_up(outcome(K.ANSWERED, S.COMPLETE), 0, REPEAT)) == (S.COMPLETE, "", "", False)
    assert told(after_look_up(outcome(K.UNKNOWN), 0, REPEAT)) == (S.UNKNOWN, "submit", "", True)
    assert told(after_look_up(outcome(K.REFUSED), 0, REPEAT)) == (S.UNKNOWN, "", "parked", False)


@pytest.mark.parametrize("kind", [K.UNKNOWN, K.LOOK_UP])
def test_where_the_payer_cannot_be_asked_an_unknown_outcome_is_a_persons_work_at_once(kind: OutcomeKind) -> None:
    assert told(after_submit(outcome(kind), 0, PERSON)) == (S.UNKNOWN, "", "parked", False)


@given(st.sampled_from([K.REFUSED, K.UNAUTHORIZED]), TRIES, st.none() | SECONDS)
def test_a_refusal_is_never_sent_again(kind: OutcomeKind, tries: int, retry_after: float | None) -> None:
    for decision in (
        after_submit(outcome(kind, retry_after=retry_after), tries, POLICY),
        after_look_up(outcome(kind, retry_after=retry_after), tries, POLICY),
    ):
        assert (decision.next_stage, decision.again) == ("", False)
        assert decision.status not in (S.READY, S.SENT)
        assert decision.item


@given(KINDS, STATUSES, TRIES, st.none() | SECONDS)
def test_no_claim_is_left_without_work_an_answer_or_a_person(
    kind: OutcomeKind, status: ClaimStatus | None, tries: int, retry_after: float | None
) -> None:
    came = outcome(kind, status, retry_after)

    for follow in (after_submit, after_look_up, after_poll):
        decision = follow(came, tries, POLICY)
        is_answered = decision.status in (S.COMPLETE, S.PARTIAL, S.DENIED)
        assert decision.next_stage or is_answered or decision.item
        assert not (decision.next_stage and decision.item)
        assert decision.next_action
        assert decision.after >= 0
