"""Notifications of the sandbox: who is to be told of what and when, in the books, and the thread that tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import requests
import structlog

from fhir_coder.claims.wire import to_bytes
from fhir_coder.model import Json
from fhir_coder.payers.answer import member, objects, text
from fhir_coder.payers.sandbox.answers import FHIR_JSON, of_another_claim
from fhir_coder.payers.sandbox.dialect import Dialect
from fhir_coder.payers.sandbox.faults import FaultPlan
from fhir_coder.payers.sandbox.notice_book import Notice, NoticeBook
from fhir_coder.payers.sandbox.search import Condition
from fhir_coder.payers.sandbox.store import Books, KeptClaim
from fhir_coder.payers.sandbox.subscriptions import Subscribed, topic_bundle

MAX_TRIES = 6
"""How often a notification is sent where nobody takes it; between them 1, 2, 4 ... seconds."""

_LOOK_EVERY = 0.25
_ANSWER_WITHIN = 10

log = structlog.get_logger("fhir_coder")


class Notifier:
    """Plans notifications as claims are kept, and sends them when they are due. Any thread may use it."""

    def __init__(self, books: Books, plan: FaultPlan, clock: Callable[[], datetime], dialect: Dialect) -> None:
        self._books, self.subscriptions, self._faults, self._clock = books, NoticeBook(books), plan, clock
        self._dialect = dialect
        self._wake = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more. What is due then is sent when the books are opened again."""
        with self._wake:
            self._is_over = True
            self._wake.notify_all()
        self._thread.join()

    def plan(self, kept: KeptClaim, resources: Mapping[str, Json]) -> None:
        """Write down who is to be told of a claim that is just kept; only while the books are open."""
        told = self.subscriptions.all()
        for subscribed in told:
            moments = sorted(_moments(subscribed, kept))
            if not subscribed.is_topic or subscribed.wants_organization(_organizations(resources)):
                self.subscriptions.note(Notice(subscribed.id, kept.id, moment.timestamp()) for moment in moments)
        # The thread waits for the books, and finds what is in them when they are closed.
        if told:
            self.nudge()

    def subscribe(self, base: str, resource: Json) -> Subscribed:
        """Keep a subscription made at an address; one to a topic is in force when its greeting was taken."""
        subscribed = self.subscriptions.keep(base, resource | {"status": "requested"})
        is_taken = not subscribed.is_topic or self._sent(subscribed, "POST", "", self._greeting(subscribed))
        status = {"status": "active"} if is_taken else {"status": "error", "error": "The handshake was not taken."}
        found = Subscribed(subscribed.id, subscribed.base, subscribed.resource | status)
        self.subscriptions.update(found)
        return found

    def nudge(self) -> None:
        """There may be something to send now."""
        with self._wake:
            self._wake.notify_all()

    # --- the thread

    def _run(self) -> None:
        while not self._is_over:
            try:
                pause = self._send_due()
            except Exception as error:
                # Whatever went wrong must not end the thread, and its text may hold what a claim says.
                log.error("sandbox_failed", error=type(error).__name__)
                pause = _LOOK_EVERY
            with self._wake:
                if not self._is_over and pause:
                    self._wake.wait(pause)

    def _send_due(self) -> float | None:
        """Send what is due; how long to wait then, in seconds."""
        now = self._clock().timestamp()
        due = self.subscriptions.due(now)
        for notice in due:
            if self._is_over:
                break
            self._tell(notice)
        # The clock may be moved: it is looked at often, but only while something waits.
        return 0 if due else _LOOK_EVERY

    def _tell(self, notice: Notice) -> None:
        subscribed = self.subscriptions.by_id(notice.subscription)
        kept = self._books.by_id(notice.claim)
        if subscribed is None or kept is None or not self._is_wanted(subscribed, kept):
            self.subscriptions.end(notice)
            return
        told = Subscribed(subscribed.id, subscribed.base, subscribed.resource, subscribed.events + 1)
        taken = [self._sent(told, *request) for request in self._requests(told, kept)]
        if all(taken):
            self.subscriptions.end(notice)
            self.subscriptions.update(told)
        elif notice.tries + 1 >= MAX_TRIES:
            self.subscriptions.end(notice)
            broken = {"status": "error", "error": "A notification was not taken."}
            self.subscriptions.update(
                Subscribed(subscribed.id, subscribed.base, subscribed.resource | broken, subscribed.events)
            )
        else:
            self.subscriptions.postpone(notice, self._clock().timestamp() + 2**notice.tries)

    def _is_wanted(self, subscribed: Subscribed, kept: KeptClaim) -> bool:
        if text(subscribed.resource, "status") != "active":
            return False
        if subscribed.is_topic:
            return True
        where = subscribed.search(self._clock()).where
        return self._books.count(Condition(f"{where.sql} AND number = ?", (*where.values, int(kept.id)))) == 1

    def _requests(self, subscribed: Subscribed, kept: KeptClaim) -> Iterator[tuple[str, str, Json | None]]:
        """Method, path and body of the notification; more than one, another or a late one where a fault says so."""
        fault = self._faults.next("notice")
        if fault and fault.name == "slow":
            time.sleep(fault.seconds)
        resource = self._about(subscribed, kept)
        if fault and fault.name == "other-claim":
            resource = of_another_claim(resource)
        for _ in range(2 if fault and fault.name == "duplicate-answer" else 1):
            yield self._request(subscribed, resource)

    def _about(self, subscribed: Subscribed, kept: KeptClaim) -> Json:
        if subscribed.kind == "Claim":
            return kept.claim
        response = kept.response if self._clock() >= kept.decided_at else self._dialect.pended(kept.response)
        return self._dialect.answer(kept, response) if subscribed.is_topic else response

    def _request(self, subscribed: Subscribed, resource: Json) -> tuple[str, str, Json | None]:
        # A Bundle that answers has no id: it goes by that of the claim.
        identity = text(resource, "id") or text(member(resource, "identifier"), "value")
        path = f"{text(resource, 'resourceType')}/{identity}"
        if subscribed.is_topic:
            address = f"{subscribed.base}/{path}"
            return "POST", "", topic_bundle(subscribed, "event-notification", self._now(), (address, resource))
        # R4 2.46.6.1: with a payload the endpoint is a FHIR base and is sent an update, else an empty POST.
        return ("PUT", f"/{path}", resource) if subscribed.payload else ("POST", "", None)

    def _greeting(self, subscribed: Subscribed) -> Json:
        return topic_bundle(subscribed, "handshake", self._now())

    def _now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def _sent(self, subscribed: Subscribed, method: str, path: str, body: Json | None) -> bool:
        """Whether a notification was taken."""
        content = {"Content-Type": FHIR_JSON} if body is not None else {}
        try:
            answer = requests.request(
                method,
                f"{subscribed.endpoint}{path}",
                data=to_bytes(body) if body is not None else b"",
                headers=subscribed.headers | content,
                timeout=_ANSWER_WITHIN,
                allow_redirects=False,
            )
        except (requests.RequestException, ValueError):
            return False
        return 200 <= answer.status_code < 300


def _moments(subscribed: Subscribed, kept: KeptClaim) -> set[datetime]:
    """When a claim is news to a subscriber. A response comes into being queued and changes when it is decided."""
    taken_at = kept.taken_at or kept.decided_at
    if subscribed.is_topic:
        return {kept.decided_at} - {taken_at}
    return {taken_at, kept.decided_at} if subscribed.kind == "ClaimResponse" else {taken_at}


def _organizations(resources: Mapping[str, Json]) -> list[str]:
    """The identifiers of the organizations that came with a claim."""
    found = [r for r in resources.values() if r.get("resourceType") == "Organization"]
    return [text(i, "value") for resource in found for i in objects(resource, "identifier")]
