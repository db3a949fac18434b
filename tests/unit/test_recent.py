"""What was used lately is kept up to a weight."""

from __future__ import annotations

from fhir_coder.recent import Recent


def words(limit: int) -> Recent[int, str]:
    return Recent(limit, len)


def test_what_was_used_longest_ago_goes_first() -> None:
    kept = words(6)
    for number, word in enumerate(["aa", "bb", "cc"]):
        kept.put(number, word)
    assert kept.get(0) == "aa"
    kept.put(3, "dd")
    assert [kept.get(n) for n in range(4)] == ["aa", None, "cc", "dd"]


def test_a_value_heavier_than_the_limit_is_kept_alone_until_the_next() -> None:
    kept = words(3)
    kept.put(0, "a")
    kept.put(1, "bbbbbbbb")
    assert (kept.get(0), kept.get(1)) == (None, "bbbbbbbb")
    kept.put(2, "c")
    assert (kept.get(1), kept.get(2)) == (None, "c")


def test_a_value_put_again_or_taken_weighs_no_more() -> None:
    kept = words(4)
    for _ in range(3):
        kept.put(0, "aa")
    kept.put(1, "bb")
    assert kept.take(0) == "aa"
    assert kept.take(0) is None
    kept.put(2, "cc")
    assert [kept.get(n) for n in (1, 2)] == ["bb", "cc"]


def test_what_is_over_is_dropped_with_its_weight() -> None:
    kept = words(4)
    kept.put(0, "aa")
    kept.put(1, "bb")
    kept.drop_where(lambda word: word == "aa")
    kept.put(2, "cc")
    assert [kept.get(n) for n in range(3)] == [None, "bb", "cc"]
