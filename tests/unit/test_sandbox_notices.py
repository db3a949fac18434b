"""What the sandbox pushes to subscribers: of what, when, in which form, and again where nobody takes it."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.subscription import Subscription

from fhir_coder.model import Json
from fhir_coder.payers.sandbox import Rules, running
from fhir_coder.payers.sandbox.subscriptions import TOPIC
from tests.sandbox import make_claim, post

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"


@dataclass(frozen=True)
class Came:
    """A notification as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def resource(self) -> Json:
        found: Json = json.loads(self.body)
        return found


@dataclass
class Subscriber:
    """A server that takes notifications, or answers with the statuses it is given first."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    came: queue.Queue[Came] = field(default_factory=queue.Queue)

    def next(self) -> Came:
        return self.came.get(timeout=30)


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    taken = Subscriber()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._take()

        def do_PUT(self) -> None:
            self._take()

        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            taken.came.put(Came(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(taken.statuses.pop(0) if taken.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    Thread(target=server.serve_forever, daemon=True).start()
    taken.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    yield taken
    server.shutdown()
    server.server_close()


def wanted(endpoint: str, criteria: str = "ClaimResponse?outcome=complete", **channel: Any) -> Json:
    made = {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"}
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "decisions",
        "criteria": criteria,
        "channel": made | channel,
    }


def by_topic(endpoint: str, content: str = "full-resource", **more: Any) -> Json:
    payload = {"extension": [{"url": f"{BACKPORT}payload-content", "valueCode": content}]}
    return wanted(endpoint, TOPIC, _payload=payload) | more


def subscribe(url: str, resource: Json) -> requests.Response:
    return requests.post(f"{url}/Subscription", json=resource, timeout=10)


def test_a_decision_is_put_where_the_subscriber_wants_it(subscriber: Subscriber) -> None:
    with running() as url:
        made = subscribe(url, wanted(subscriber.url, header=["Authorization: Bearer abc"]))
        Subscription.model_validate(made.json())
        assert (made.status_code, made.json()["status"], made.headers["Location"]) == (
            201,
            "active",
            f"{url}/Subscription/1",
        )
        post(url, make_claim())
        came = subscriber.next()
    assert (came.method, came.path) == ("PUT", "/hook/ClaimResponse/1-response")
    assert came.headers["authorization"] == "Bearer abc"
    assert (came.resource["outcome"], came.resource["request"]["identifier"]["value"]) == ("complete", "C-1")


def test_a_subscriber_without_a_payload_gets_an_empty_post(subscriber: Subscriber) -> None:
    with running() as url:
        subscribe(url, wanted(subscriber.url, payload=""))
        post(url, make_claim())
        came = subscriber.next()
    assert (came.method, came.path, came.body) == ("POST", "/hook", b"")


def test_a_pended_claim_is_told_of_when_it_is_decided(subscriber: Subscriber) -> None:
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(rules=Rules(pend_seconds=60), clock=lambda: now[0]) as url:
        subscribe(url, wanted(subscriber.url))
        subscribe(url, wanted(subscriber.url + "/open", "ClaimResponse?outcome=queued"))
        post(url, make_claim())
        assert (subscriber.next().path, subscriber.came.empty()) == ("/hook/open/ClaimResponse/1-response", True)
        now[0] += timedelta(seconds=60)
        assert subscriber.next().path == "/hook/ClaimResponse/1-response"


def test_only_what_fits_the_criteria_is_told(subscriber: Subscriber) -> None:
    with running() as url:
        subscribe(url, wanted(subscriber.url, "Claim?identifier=C-2"))
        for name in ("C-1", "C-2", "C-3"):
            post(url, make_claim(name))
        assert subscriber.next().path == "/hook/Claim/2"
        subscribe(url, wanted(subscriber.url, "Claim?identifier=C-4"))
        post(url, make_claim("C-4"))
        assert subscriber.next().path == "/hook/Claim/4"
        assert subscriber.came.empty()


def test_a_topic_begins_with_a_handshake_and_tells_of_pended_claims_only(subscriber: Subscriber) -> None:
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(rules=Rules(pend_seconds=60, pend_codes=frozenset({"J1885"})), clock=lambda: now[0]) as url:
        made = subscribe(f"{url}/fhir", by_topic(subscriber.url))
        assert (made.status_code, made.json()["status"]) == (201, "active")
        greeting = subscriber.next()
        at_once = make_claim("C-1")
        at_once["item"][1]["productOrService"]["coding"][0]["code"] = "G0101"
        post(url, at_once)
        post(url, make_claim("C-2"))
        now[0] += timedelta(seconds=60)
        told = subscriber.next()
    assert (greeting.method, greeting.path, parameters(greeting)["type"]) == ("POST", "/hook", "handshake")
    assert (parameters(told)["type"], parameters(told)["events-since-subscription-start"]) == (
        "event-notification",
        "1",
    )
    status, response = told.resource["entry"]
    assert status["fullUrl"] == f"{url}/fhir/Subscription/1/$status"
    assert response["fullUrl"] == f"{url}/fhir/ClaimResponse/2-response"
    assert response["resource"]["request"]["identifier"]["value"] == "C-2"


def parameters(came: Came) -> dict[str, Any]:
    Bundle.model_validate(came.resource)
    listed = came.resource["entry"][0]["resource"]["parameter"]
    return {p["name"]: next((v for k, v in p.items() if k.startswith("value")), p.get("part")) for p in listed}


@pytest.mark.parametrize(
    ("content", "entries", "focus"), [("empty", 1, False), ("id-only", 1, True), ("full-resource", 2, True)]
)
def test_a_topic_tells_as_much_as_it_was_asked_to(
    subscriber: Subscriber, content: str, entries: int, focus: bool
) -> None:
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(rules=Rules(pend_seconds=1), clock=lambda: now[0]) as url:
        subscribe(url, by_topic(subscriber.url, content))
        subscriber.next()
        post(url, make_claim())
        now[0] += timedelta(seconds=1)
        told = subscriber.next()
    parts = {p["name"] for p in parameters(told)["notification-event"]}
    assert (len(told.resource["entry"]), "focus" in parts) == (entries, focus)


def test_a_topic_is_filtered_by_organization(subscriber: Subscriber) -> None:
    def filtered(endpoint: str, organization: str) -> Json:
        said = {"url": f"{BACKPORT}filter-criteria", "valueString": f"orgIdentifier={organization}"}
        return by_topic(endpoint, _criteria={"extension": [said]})

    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(rules=Rules(pend_seconds=1), clock=lambda: now[0]) as url:
        subscribe(url, filtered(subscriber.url + "/other", "9999999999"))
        subscribe(url, filtered(subscriber.url + "/ours", "1234567893"))
        assert {subscriber.next().path for _ in range(2)} == {"/hook/other", "/hook/ours"}
        post(url, make_claim())
        now[0] += timedelta(seconds=1)
        assert subscriber.next().path == "/hook/ours"
        assert subscriber.came.empty()


def test_a_handshake_that_is_not_taken_leaves_the_subscription_in_error(subscriber: Subscriber) -> None:
    subscriber.statuses = [500]
    with running() as url:
        assert subscribe(url, by_topic(subscriber.url)).json()["status"] == "error"


def shown(url: str) -> Json:
    found: Json = requests.get(f"{url}/_sandbox/subscriptions", timeout=10).json()[0]
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for a condition, half a minute at most."""
    until = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.01)


def wait_for_tries(url: str, tries: int) -> None:
    wait_until(lambda: shown(url)["waiting"] == [tries])


def test_a_notification_that_is_not_taken_is_sent_again(subscriber: Subscriber) -> None:
    subscriber.statuses = [503, 500]
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(clock=lambda: now[0]) as url:
        subscribe(url, wanted(subscriber.url))
        post(url, make_claim())
        for pause in (1, 2):
            subscriber.next()
            # The clock is moved only after the sandbox has written down when it tries again.
            wait_for_tries(url, pause)
            now[0] += timedelta(seconds=pause)
        subscriber.next()
        wait_until(lambda: (shown(url)["told"], shown(url)["waiting"]) == (1, []))


def test_a_subscriber_that_never_answers_is_given_up(subscriber: Subscriber) -> None:
    subscriber.statuses = [500] * 6
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    with running(clock=lambda: now[0]) as url:
        subscribe(url, wanted(subscriber.url))
        post(url, make_claim())
        for tries in range(1, 6):
            subscriber.next()
            wait_for_tries(url, tries)
            now[0] += timedelta(seconds=64)
        subscriber.next()
        wait_until(lambda: shown(url)["status"] == "error")
        post(url, make_claim("C-2"))
        wait_until(lambda: shown(url)["waiting"] == [])
        assert subscriber.came.empty()


def test_what_is_due_when_the_sandbox_ends_is_sent_by_the_next_one(subscriber: Subscriber, tmp_path: Path) -> None:
    now = [datetime(2026, 11, 3, 9, 0, tzinfo=UTC)]
    for _ in range(2):
        with running(rules=Rules(pend_seconds=60), clock=lambda: now[0], store_path=tmp_path / "payer.db") as url:
            if not requests.get(f"{url}/_sandbox/claims", timeout=10).json():
                subscribe(url, wanted(subscriber.url))
                post(url, make_claim())
                now[0] += timedelta(seconds=30)
                continue
            now[0] += timedelta(seconds=30)
            assert subscriber.next().path == "/hook/ClaimResponse/1-response"


def test_notices_are_doubled_or_about_another_claim_on_demand(subscriber: Subscriber) -> None:
    with running(faults=["duplicate-answer:1:at=notice", "other-claim:1:at=notice"]) as url:
        subscribe(url, wanted(subscriber.url))
        for name in ("C-1", "C-2"):
            post(url, make_claim(name))
        came = [subscriber.next() for _ in range(3)]
    named = [c.resource["request"]["identifier"]["value"] for c in came]
    assert named == ["C-1", "C-1", "C-2-OTHER"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"criteria": "Patient?name=x"}, "Subscription.criteria"),
        ({"criteria": "Claim?colour=red"}, "Subscription.criteria"),
        ({"channel": {"type": "email", "endpoint": "http://x"}}, "Subscription.channel.type"),
        ({"channel": {"type": "rest-hook", "endpoint": "file:///etc/passwd"}}, "Subscription.channel.endpoint"),
        ({"channel": {"type": "rest-hook", "endpoint": "http://["}}, "Subscription.channel.endpoint"),
        (
            {"channel": {"type": "rest-hook", "endpoint": "http://x", "payload": "text/csv"}},
            "Subscription.channel.payload",
        ),
        (
            {"channel": {"type": "rest-hook", "endpoint": "http://x", "header": ["A\r\nB: c"]}},
            "Subscription.channel.header",
        ),
        ({"resourceType": "Claim"}, None),
    ],
)
def test_a_subscription_that_cannot_be_served_is_refused(change: Json, path: str | None) -> None:
    with running() as url:
        answer = subscribe(url, wanted("http://127.0.0.1:9/hook") | change)
    assert answer.status_code == 422
    assert [i.get("expression", [None])[0] for i in answer.json()["issue"]] == [path]


def test_a_subscription_is_read_and_taken_back(subscriber: Subscriber) -> None:
    with running() as url:
        subscribe(url, wanted(subscriber.url))
        assert requests.get(f"{url}/Subscription/1", timeout=10).json()["criteria"] == "ClaimResponse?outcome=complete"
        assert requests.delete(f"{url}/Subscription/1", timeout=10).status_code == 204
        assert requests.delete(f"{url}/Subscription/1", timeout=10).status_code == 404
        assert requests.get(f"{url}/Subscription/1", timeout=10).status_code == 404
