"""Talks to one payer over HTTP: one attempt at a time, with the few seconds of retry that are surely harmless.

Nothing is repeated here that the payer may have taken: that is the ledger's decision, after a look-up.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError, ReadTimeoutError

from fhir_coder.model import Identifier, Outcome, OutcomeKind
from fhir_coder.payers.answer import HttpAnswer
from fhir_coder.payers.base import profile_named
from fhir_coder.payers.connections import NoticingAdapter, expect_departure, has_departed
from fhir_coder.payers.outcomes import Failure, outcome_of_failure
from fhir_coder.payers.profile import PayerProfile, PayerRequest

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""More than any ClaimResponse: the rest of a longer answer is not read."""

_CHUNK_BYTES = 64 * 1024
_MOST_TRIES = 4
_FAILURES = (requests.RequestException, HTTPError, OSError)


@dataclass(frozen=True, slots=True)
class Try:
    """One HTTP request of an attempt: what for (submit, find, poll), when, and what it came to."""

    what: str
    started_at: datetime
    ended_at: datetime
    kind: OutcomeKind
    http_status: int | None
    reason: str


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client behaves beyond its payer's settings. Waits are seconds.

    `max_wait_in_attempt` bounds all waiting between the HTTP requests of one call; `default_wait` is the first wait
    where the payer names none, doubled each time. Proxies of the environment count only with `trust_env`.
    """

    max_wait_in_attempt: float = 2.0
    default_wait: float = 0.25
    max_answer_bytes: int = MAX_ANSWER_BYTES
    trust_env: bool = False
    clock: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    on_attempt: Callable[[Try], None] | None = None


class PayerClient:
    """One payer's endpoint. Many threads may use it: each has kept-alive connections of its own.

    `url` is the FHIR base address, `profile` a profile or the name of one. `timeout` is (connect, read) in seconds; a
    whole answer may take three times the read timeout. Raises KeyError for an unknown profile, nothing later on.
    """

    def __init__(
        self,
        url: str,
        profile: PayerProfile | str = "base",
        *,
        submit: str = "create",
        token: str | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        options: ClientOptions = ClientOptions(),
    ) -> None:
        self.url = url.rstrip("/")
        self.profile = profile_named(profile, submit) if isinstance(profile, str) else profile
        self._token, self._timeout, self._options = token, timeout, options
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def submit(self, claim: bytes, identifier_system: str, identifier: str) -> Outcome:
        """Send a claim."""
        name = Identifier(identifier, identifier_system)
        return self._attempt("submit", self.profile.submit_request(claim, name), self.profile.read_submit)

    def find(self, identifier_system: str, identifier: str) -> Outcome:
        """Ask whether the payer has a claim."""
        name = Identifier(identifier, identifier_system)
        request = self.profile.find_request(name)
        return self._attempt("find", request, lambda answer: self.profile.read_find(answer, name))

    def poll(self, reference: str, identifier_system: str, identifier: str) -> Outcome:
        """Ask for the decision on a claim the payer has; `reference` is its name there, empty where not known.

        A reference that leads to another host is not followed: the claim is asked for by its identifier.
        """
        name = Identifier(identifier, identifier_system)
        known = reference if self._is_here(reference) else ""
        request = self.profile.poll_request(known, name)
        return self._attempt("poll", request, lambda answer: self.profile.read_poll(answer, known, name))

    def close(self) -> None:
        """Close all connections."""
        while self._sessions:
            self._sessions.pop().close()
        self._own = threading.local()

    # --- one attempt

    def _attempt(self, what: str, request: PayerRequest, read: Callable[[HttpAnswer], Outcome]) -> Outcome:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(_may_repeat),
            wait=self._wait,
            stop=self._is_over,
            sleep=self._options.sleep,
            retry_error_callback=_last_outcome,
        )
        return retrying(self._try, what, request, read)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        asked_for: float = _last_outcome(state).retry_after or 0.0
        return max(asked_for, self._options.default_wait * 2.0 ** (state.attempt_number - 1))

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        waited = state.idle_for + state.upcoming_sleep
        return state.attempt_number >= _MOST_TRIES or waited > self._options.max_wait_in_attempt

    def _try(self, what: str, request: PayerRequest, read: Callable[[HttpAnswer], Outcome]) -> Outcome:
        started_at = self._options.clock()
        answer = self._ask(request)
        outcome = outcome_of_failure(answer) if isinstance(answer, Failure) else read(answer)
        if self._options.on_attempt:
            ended_at = self._options.clock()
            self._options.on_attempt(Try(what, started_at, ended_at, outcome.kind, outcome.http_status, outcome.reason))
        return outcome

    # --- one HTTP request

    def _ask(self, request: PayerRequest) -> HttpAnswer | Failure:
        expect_departure()
        try:
            response = self._session().request(
                request.method,
                urljoin(self.url + "/", request.path),
                data=request.body or None,
                headers=dict(request.headers),
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
        except (*_FAILURES, ValueError) as error:  # ValueError: an address that is none
            return _failure(error)
        with response:
            return self._read(response)

    def _read(self, response: requests.Response) -> HttpAnswer:
        """The answer with as much of its body as came, in time and in bounds."""
        latest = time.monotonic() + 3 * self._timeout[1]
        body, whole = bytearray(), False
        try:
            while len(body) <= self._options.max_answer_bytes and time.monotonic() < latest:
                chunk = response.raw.read1(_CHUNK_BYTES, decode_content=True)
                if not chunk:
                    whole = True
                    break
                body += chunk
        except _FAILURES:
            whole = False
        headers = {name.lower(): value for name, value in response.headers.items()}
        kept = bytes(body[: self._options.max_answer_bytes])
        return HttpAnswer(response.status_code, headers, kept, whole, self._options.clock())

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
            session.trust_env = self._options.trust_env
            session.mount("http://", NoticingAdapter())
            session.mount("https://", NoticingAdapter())
            if self._token:
                session.headers["Authorization"] = f"Bearer {self._token}"
            self._sessions.append(session)
        return session

    def _is_here(self, reference: str) -> bool:
        try:
            there = urlsplit(urljoin(self.url + "/", reference))
        except ValueError:
            return False
        here = urlsplit(self.url)
        return (there.scheme, there.netloc) == (here.scheme, here.netloc)


def _may_repeat(outcome: Outcome) -> bool:
    """Only what the payer surely did not take, and what a second can change."""
    refused = outcome.kind is OutcomeKind.NOT_SENT and outcome.reason == Failure.CONNECTION_REFUSED.value
    return refused or outcome.kind is OutcomeKind.BUSY


def _last_outcome(state: tenacity.RetryCallState) -> Outcome:
    assert state.outcome is not None  # tenacity asks only after a try
    outcome: Outcome = state.outcome.result()
    return outcome


def _failure(error: BaseException) -> Failure:
    """Which failure an exception was; before or after departure is what the connection noticed."""
    causes = tuple(_causes(error))
    rows = _AFTER if has_departed() else _BEFORE
    return next(failure for kind, failure in rows if any(isinstance(cause, kind) for cause in causes))


_BEFORE: tuple[tuple[type[BaseException], Failure], ...] = (
    (NameResolutionError, Failure.NAME_NOT_RESOLVED),
    (ConnectionRefusedError, Failure.CONNECTION_REFUSED),
    (ssl.SSLError, Failure.TLS),
    (ConnectTimeoutError, Failure.CONNECT_TIMEOUT),
    (requests.Timeout, Failure.CONNECT_TIMEOUT),  # a TLS handshake that never ends
    (NewConnectionError, Failure.NOT_CONNECTED),
    (requests.ConnectionError, Failure.NOT_CONNECTED),
    (BaseException, Failure.NOT_MADE),
)
_AFTER: tuple[tuple[type[BaseException], Failure], ...] = (
    (ReadTimeoutError, Failure.READ_TIMEOUT),
    (TimeoutError, Failure.READ_TIMEOUT),
    (BaseException, Failure.CONNECTION_LOST),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
