"""How much may begin at once, and in a second, at each payer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.delivery import PayerLine, TryLog
from fhir_coder.lanes import TOGETHER, Lanes, Pace
from fhir_coder.payers import BaseProfile, PayerClient
from fhir_coder.payers.decide import RetryPolicy


def line(concurrency: int = 4, per_second: float | None = None, per_request: int = 1) -> PayerLine:
    client = PayerClient("http://127.0.0.1:1/fhir", BaseProfile(per_request=per_request))
    return PayerLine(client, RetryPolicy(), TryLog(), concurrency=concurrency, per_second=per_second)


def begun(lanes: Lanes, lane: str, number: int) -> None:
    for place in range(number):
        lanes.begin(lane.split(maxsplit=1)[0] if lane else "chart", f"{lane}{place}", lane)


def test_a_payer_that_holds_all_its_places_leaves_those_of_the_others_free() -> None:
    lanes = Lanes({"slow": line(2), "fast": line(3)}, threads=8)
    begun(lanes, "submit slow", 4)

    assert lanes.room("submit slow", 0.0) == 0
    assert lanes.room("submit fast", 0.0) == 6
    assert lanes.room("", 0.0) == 16 * TOGETHER


def test_work_for_a_payer_that_is_not_in_the_settings_is_done_beside_our_own() -> None:
    lanes = Lanes({}, threads=2)
    begun(lanes, "submit gone", 2)
    assert lanes.room("", 0.0) == 4 * TOGETHER - 2


def test_a_payer_that_takes_batches_has_as_many_claims_under_way_as_its_requests_hold() -> None:
    lanes = Lanes({"p": line(2, per_request=10)}, threads=8)
    assert (lanes.threads_of("p"), lanes.per_request("submit p")) == (2, 10)
    assert lanes.room("submit p", 0.0) == 40
    begun(lanes, "submit p", 30)
    assert lanes.room("submit p", 0.0) == 0
    assert lanes.room("poll p", 0.0) == 0


def test_questions_to_a_payer_that_takes_batches_have_half_of_its_connections() -> None:
    lanes = Lanes({"p": line(4, per_request=10)}, threads=8)
    assert lanes.room("poll p", 0.0) == 2


def test_places_are_filled_by_the_half_so_that_the_ledger_is_not_asked_for_each() -> None:
    lanes = Lanes({"p": line(4)}, threads=8)
    begun(lanes, "submit p", 5)
    assert lanes.room("submit p", 0.0) == 0
    lanes.end("submit", "submit p0")
    assert lanes.room("submit p", 0.0) == 4


def test_questions_for_decisions_leave_room_for_claims() -> None:
    lanes = Lanes({"p": line(4)}, threads=8)
    assert lanes.room("poll p", 0.0) == 2
    begun(lanes, "poll p", 2)
    assert (lanes.room("poll p", 0.0), lanes.room("submit p", 0.0)) == (0, 6)


def test_what_is_done_makes_room() -> None:
    lanes = Lanes({"p": line(1)}, threads=8)
    lanes.begin("submit", "A", "submit p")
    lanes.begin("submit", "B", "submit p")
    assert lanes.room("submit p", 0.0) == 0
    lanes.end("submit", "A")
    assert (lanes.room("submit p", 0.0), lanes.of_lane("submit p")) == (1, [("submit", "B")])


def test_a_payers_pace_is_kept_and_says_when_the_next_may_begin() -> None:
    lanes = Lanes({"p": line(64, per_second=2.0)}, threads=8)
    assert lanes.room("submit p", 0.0) == 1
    begun(lanes, "submit p", 1)
    assert lanes.room("submit p", 0.25) == 0
    assert lanes.wait("submit p") == 0.25
    assert lanes.room("submit p", 0.5) == 1


def test_a_payer_without_a_pace_never_waits_for_one() -> None:
    assert Lanes({"p": line()}, threads=8).wait("submit p") is None


@given(st.floats(0.5, 50), st.lists(st.floats(0.0, 3.0), max_size=200))
def test_no_second_has_more_beginnings_than_the_pace_allows(per_second: float, steps: list[float]) -> None:
    pace, now, begun_at = Pace(per_second), 0.0, list[float]()
    for step in steps:
        now += step
        for _ in range(pace.allowed(now)):
            pace.spend()
            begun_at.append(now)
    for first in begun_at:
        assert sum(first <= at < first + 1.0 for at in begun_at) <= per_second * 1.1 + 1.0001
