"""Every fault of the sandbox through a real socket, and setting them while it runs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from fhir_coder.claims.wire import to_bytes
from fhir_coder.payers.sandbox import running
from tests.sandbox import SYSTEM, held, make_claim, post

NOW = datetime(2026, 11, 3, 9, 0, 0, 500_000, tzinfo=UTC)


def answer_to(fault: str, path: str = "/Claim") -> requests.Response:
    """What the first claim is answered under a fault; the claim must then be there."""
    with running(faults=[fault], clock=lambda: NOW) as url:
        answer = post(url, make_claim(), path)
        assert [c["id"] for c in held(url)] == ["1"]
    return answer


def raw(url: str, claim: bytes) -> bytes:
    """All bytes that come back for a claim, until the connection ends."""
    parts = urlsplit(url)
    head = f"POST /Claim HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(claim)}\r\n\r\n"
    with socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=10) as connection:
        connection.sendall(head.encode() + claim)
        found = bytearray()
        try:
            while chunk := connection.recv(65536):
                found += chunk
        except ConnectionError:
            pass
    return bytes(found)


@pytest.mark.parametrize(("fault", "is_there"), [("drop-before-read", False), ("drop-after-read", True)])
def test_a_dropped_connection_gives_no_byte(fault: str, is_there: bool) -> None:
    with running(faults=[fault]) as url:
        assert raw(url, to_bytes(make_claim())) == b""
        assert bool(held(url)) == is_there


def test_half_a_body_is_less_than_was_promised() -> None:
    with running(faults=["half-body"]) as url:
        head, _, body = raw(url, to_bytes(make_claim())).partition(b"\r\n\r\n")
    promised = next(int(h.partition(b":")[2]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length"))
    assert 0 < len(body) < promised


def test_a_burst_is_as_long_as_it_was_said() -> None:
    with running(faults=["502:3"]) as url:
        statuses = [post(url, make_claim()).status_code for _ in range(5)]
    assert statuses == [502, 502, 502, 201, 409]


def test_a_fault_without_an_end_stays_until_it_is_taken_away() -> None:
    with running(faults=["503:*"]) as url:
        assert {post(url, make_claim()).status_code for _ in range(4)} == {503}
        assert requests.delete(f"{url}/_sandbox/faults", timeout=10).json() == {"removed": 1}
        assert post(url, make_claim()).status_code == 201


def test_every_third_request_is_hit() -> None:
    with running(faults=["500:2:every=3"]) as url:
        statuses = [post(url, make_claim(f"C-{n}")).status_code for n in range(9)]
    assert statuses == [201, 201, 500, 201, 201, 500, 201, 201, 201]


def test_retry_after_is_told_in_seconds_or_as_a_date_that_is_not_too_early() -> None:
    with running(faults=["429:1:retry-after=5", "503:1:retry-after-date=5"], clock=lambda: NOW) as url:
        seconds, date = (post(url, make_claim()).headers["Retry-After"] for _ in range(2))
    assert seconds == "5"
    assert 5 <= (parsedate_to_datetime(date) - NOW).total_seconds() < 6


def test_a_slow_answer_comes_late_and_whole() -> None:
    with running(faults=["slow:1:seconds=0.3"]) as url:
        begun = time.monotonic()
        answer = post(url, make_claim())
    assert (answer.status_code, time.monotonic() - begun >= 0.3) == (201, True)


def test_a_web_page_comes_instead_of_an_answer() -> None:
    answer = answer_to("html:1:stored=yes:status=502")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")


def test_the_content_type_is_wrong_and_the_body_right() -> None:
    answer = answer_to("content-type:1:type=application/xml")
    assert (answer.headers["Content-Type"], answer.json()["id"]) == ("application/xml", "1")


def test_the_clock_is_off_in_the_date() -> None:
    skewed = parsedate_to_datetime(answer_to("clock-skew:1:seconds=-3600").headers["Date"])
    assert (skewed - NOW.replace(microsecond=0)).total_seconds() == -3600


def test_the_date_is_right_otherwise() -> None:
    with running(clock=lambda: NOW) as url:
        assert post(url, make_claim()).headers["Date"] == "Tue, 03 Nov 2026 09:00:00 GMT"


@pytest.mark.parametrize("path", ["/Claim", "/Claim/$submit"])
def test_an_answer_may_be_for_another_claim(path: str) -> None:
    answer = answer_to("other-claim", path)
    told = answer.json()
    named = told["identifier"][0] if path == "/Claim" else told["request"]["identifier"]
    assert (named["system"], named["value"]) == (SYSTEM, "C-1-OTHER")
    assert answer.headers["Location"].endswith("/Claim/0" if path == "/Claim" else "/Claim/1")


def test_an_answer_may_come_twice() -> None:
    told = answer_to("duplicate-answer", "/Claim/$submit").json()
    assert [e["resource"]["id"] for e in told["entry"]] == ["1-response"] * 2


def test_questions_are_hit_where_it_is_said() -> None:
    faults = ["503:1:at=question", "other-claim:1:at=question", "duplicate-answer:1:at=question"]
    with running(faults=faults) as url:
        assert post(url, make_claim()).status_code == 201
        asked = [requests.get(f"{url}/Claim", {"identifier": "C-1"}, timeout=10) for _ in range(4)]
    assert asked[0].status_code == 503
    found = [[e["resource"]["identifier"][0]["value"] for e in a.json()["entry"]] for a in asked[1:]]
    assert found == [["C-1-OTHER"], ["C-1", "C-1"], ["C-1"]]


def test_a_question_may_be_dropped() -> None:
    with running(faults=["drop-before-read:1:at=any"]) as url, pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/Claim/1", timeout=10)


# --- setting them while it runs


@pytest.fixture
def url() -> Iterator[str]:
    with running(faults=["503:1:on=5"]) as address:
        yield address


def faults(url: str) -> Any:
    return requests.get(f"{url}/_sandbox/faults", timeout=10).json()


def set_faults(url: str, body: Any, **headers: str) -> requests.Response:
    return requests.post(f"{url}/_sandbox/faults", json=body, headers=headers, timeout=10)


def test_faults_are_set_listed_and_taken_away(url: str) -> None:
    made = set_faults(url, {"specs": ["500:2", " slow:1:seconds=0 "]})
    assert (made.status_code, made.json()) == (
        201,
        [{"id": 2, "spec": "500:2", "hits": 0}, {"id": 3, "spec": "slow:1:seconds=0", "hits": 0}],
    )
    assert post(url, make_claim()).status_code == 500
    assert [(f["id"], f["hits"]) for f in faults(url)] == [(1, 0), (2, 1), (3, 0)]
    assert requests.delete(f"{url}/_sandbox/faults/2", timeout=10).status_code == 204
    assert requests.delete(f"{url}/_sandbox/faults/2", timeout=10).status_code == 404
    assert [f["id"] for f in faults(url)] == [1, 3]


def test_json_that_curl_calls_a_form_is_json(url: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    made = requests.post(f"{url}/_sandbox/faults", b'{"spec": "404"}', headers=headers, timeout=10)
    assert (made.status_code, [f["spec"] for f in made.json()]) == (201, ["404"])


def test_a_place_is_counted_from_when_the_fault_was_set(url: str) -> None:
    for number in range(3):
        post(url, make_claim(f"A-{number}"))
    assert set_faults(url, {"spec": "404:1:on=2"}).status_code == 201
    assert [post(url, make_claim(f"B-{n}")).status_code for n in range(2)] == [201, 503]
    assert post(url, make_claim("B-3")).status_code == 404


@pytest.mark.parametrize(
    "body", [{"spec": "dropp"}, {"specs": ["500", "500:0"]}, {"spec": ""}, [], None, {"specs": [1]}]
)
def test_a_faulty_fault_is_refused_and_none_is_set(url: str, body: Any) -> None:
    answer = set_faults(url, body)
    assert (answer.status_code, bool(answer.json()["errors"])) == (400, True)
    assert [f["id"] for f in faults(url)] == [1]


def test_a_page_of_another_site_sets_no_fault(url: str) -> None:
    assert set_faults(url, {"spec": "500"}, Origin="http://elsewhere.example").status_code == 403
    assert set_faults(url, {"spec": "500"}, Origin=url).status_code == 201
    away = requests.delete(f"{url}/_sandbox/faults", headers={"Origin": "http://elsewhere.example"}, timeout=10)
    assert (away.status_code, len(faults(url))) == (403, 2)


def test_a_form_sets_faults_too(url: str) -> None:
    assert (
        requests.post(f"{url}/_sandbox/faults", {"spec": "404"}, timeout=10)
        .headers["Content-Type"]
        .startswith("text/html")
    )
    assert [f["spec"] for f in faults(url)] == ["503:1:on=5", "404"]
    requests.post(f"{url}/_sandbox/faults", {"clear": "yes"}, timeout=10)
    assert faults(url) == []
