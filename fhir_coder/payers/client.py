"""Talks to one payer over HTTP: one attempt at a time, with the few seconds of retry that are surely harmless.

Nothing is repeated here that the payer may have taken: that is the ledger's decision, after a look-up.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, urljoin, urlsplit

import requests
import tenacity
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError

from fhir_coder.model import Identifier, Json, Outcome, OutcomeKind
from fhir_coder.payers.answer import HttpAnswer
from fhir_coder.payers.auth import AuthError, auth_of
from fhir_coder.payers.base import FHIR_HEADERS, BaseProfile
from fhir_coder.payers.batch import answers_in, batch_of
from fhir_coder.payers.connections import expect_departure, has_departed
from fhir_coder.payers.outcomes import Failure, outcome_of_failure, outcome_of_status
from fhir_coder.payers.profile import PayerProfile, PayerRequest
from fhir_coder.payers.sessions import FAILURES, SessionTokenDesk, open_session
from fhir_coder.payers.shown import header_lines, without_userinfo
from fhir_coder.settings.access import AccessSettings

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""More than any ClaimResponse: the rest of a longer answer is not read."""

_CHUNK_BYTES = 64 * 1024
_MOST_TRIES = 4
_KNOCK_SECONDS = 2.0
_PLAIN = BaseProfile()
_REFUSED_WHOLE = "the batch was refused: each goes alone"
_UNREADABLE = Outcome(OutcomeKind.UNKNOWN, "the answer cannot be read")
_METADATA = PayerRequest("GET", "metadata", {"Accept": "application/fhir+json"})


@dataclass(frozen=True, slots=True)
class Try:
    """One HTTP request of an attempt: what for (submit, find, poll), when, what was sent, and what it came to.

    `line` is method and address; headers are lines of which secrets are left out.
    """

    what: str
    started_at: datetime
    ended_at: datetime
    outcome: Outcome
    line: str
    headers: str
    body: bytes
    answer_headers: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request with several claims came to, and each of its claims."""

    whole: Outcome
    outcomes: Sequence[Outcome]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client behaves beyond its payer's settings. Waits are seconds.

    `max_wait_in_attempt` bounds all waiting between the HTTP requests of one call; `default_wait` is the first wait
    where the payer names none, doubled each time.
    """

    max_wait_in_attempt: float = 2.0
    default_wait: float = 0.25
    max_answer_bytes: int = MAX_ANSWER_BYTES
    clock: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    on_attempt: Callable[[Try], None] | None = None


class PayerClient:
    """One payer's endpoint. Many threads may use it: each has kept-alive connections of its own.

    `url` is the FHIR base address. `timeout` is (connect, read) in seconds; a whole answer may take three times the
    read timeout.
    """

    def __init__(
        self,
        url: str,
        profile: PayerProfile = _PLAIN,
        *,
        access: AccessSettings | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        options: ClientOptions = ClientOptions(),
    ) -> None:
        self.url = url.rstrip("/")
        self.profile = profile
        self._access = access or AccessSettings.model_construct(url=url)  # an address that is none is told when asked
        self._auth, self._tokens = auth_of(self._access), SessionTokenDesk(self._access)
        self._timeout, self._options = timeout, options
        self._own = threading.local()
        self._sessions: list[requests.Session] = []

    def prepared(self, claim: bytes, identifier_system: str, identifier: str) -> PayerRequest:
        """What is sent for a claim: to be kept before it is sent first, and sent unchanged however often."""
        return self.profile.submit_request(claim, Identifier(identifier, identifier_system))

    def send(self, request: PayerRequest, identifier_system: str, identifier: str) -> Outcome:
        """Send what was prepared for a claim."""
        name = Identifier(identifier, identifier_system)
        return self._attempt("submit", request, lambda answer: self.profile.read_submit(answer, name))

    @property
    def per_request(self) -> int:
        """How many claims the payer takes with one request."""
        return self.profile.per_request

    def send_all(self, requests: Sequence[PayerRequest], identifier_system: str, identifiers: Sequence[str]) -> Sent:
        """Send what was prepared for some claims with one request: what it came to, and what for each claim.

        A batch that the payer refuses as a whole was not sent as far as each of its claims is concerned.
        """
        outcomes: list[Outcome] = []
        names = [Identifier(identifier, identifier_system) for identifier in identifiers]

        def read(answer: HttpAnswer) -> Outcome:
            told = answers_in(answer, len(names))
            if told is None:
                return outcome_of_status(answer) if answer.status not in (200, 201) else _UNREADABLE
            read_one = self.profile.read_submit
            outcomes[:] = [read_one(one, name) for one, name in zip(told, names, strict=True)]
            return Outcome(OutcomeKind.TAKEN, "taken", answer.status)

        whole = self._attempt("submit", batch_of(requests, FHIR_HEADERS), read)
        refused = whole.kind is OutcomeKind.REFUSED
        of_each = replace(whole, kind=OutcomeKind.NOT_SENT, reason=_REFUSED_WHOLE) if refused else whole
        return Sent(whole, outcomes or [of_each] * len(names))

    def submit(self, claim: bytes, identifier_system: str, identifier: str) -> Outcome:
        """Prepare a claim and send it."""
        return self.send(self.prepared(claim, identifier_system, identifier), identifier_system, identifier)

    def find(self, identifier_system: str, identifier: str, claim: bytes = b"") -> Outcome:
        """Ask whether the payer has a claim."""
        name = Identifier(identifier, identifier_system)
        request = self.profile.find_request(name, claim)
        return self._attempt("find", request, lambda answer: self.profile.read_find(answer, name))

    def poll(self, reference: str, identifier_system: str, identifier: str, claim: bytes = b"") -> Outcome:
        """Ask for the decision on a claim the payer has; `reference` is its name there, empty where not known.

        A reference that leads to another host is not followed: the claim is asked for by its identifier.
        """
        name = Identifier(identifier, identifier_system)
        known = reference if self._is_here(reference) else ""
        request = self.profile.poll_request(known, name, claim)
        return self._attempt("poll", request, lambda answer: self.profile.read_poll(answer, known, name))

    def fetch(self, address: str) -> Json | None:
        """What is at an address of the payer's, empty where there is nothing; None where it cannot be asked now."""
        if not self._is_here(address):
            return {}
        expect_departure()
        answer, _ = self._ask(PayerRequest("GET", address, {"Accept": "application/fhir+json"}))
        if isinstance(answer, Failure) or answer.status >= 500 or answer.status in (401, 403, 429):
            return None
        return answer.resource or {}

    def subscribe(self, subscription: bytes, endpoint: str) -> Outcome:
        """Have the payer post its news to an address of ours: a Subscription (R4 2.46), one however often asked for."""
        headers = FHIR_HEADERS | {"If-None-Exist": f"url={quote(endpoint, safe='')}"}
        answer, _ = self._ask(PayerRequest("POST", "Subscription", headers, subscription))
        if isinstance(answer, Failure):
            return outcome_of_failure(answer)
        if answer.status not in (200, 201):
            return outcome_of_status(answer)
        name = str((answer.resource or {}).get("id", ""))
        return Outcome(OutcomeKind.TAKEN, "taken", answer.status, reference=f"Subscription/{name}" if name else "")

    def knock(self) -> bool:
        """Whether the payer answers at all, asked for its metadata (R4 3.1.0.8): no claim is sent to find it out."""
        connect, read = self._timeout
        patience = (min(connect, _KNOCK_SECONDS), min(read, _KNOCK_SECONDS))
        try:
            with self._request(_METADATA, patience) as answer:
                return answer.status_code < 500 and answer.status_code != 429
        except (AuthError, *FAILURES, ValueError):
            return False

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
        answer, shown = self._ask(request)
        outcome = outcome_of_failure(answer) if isinstance(answer, Failure) else read(answer)
        if self._options.on_attempt:
            told = "" if isinstance(answer, Failure) else header_lines(answer.headers)
            line = f"{request.method} {without_userinfo(urljoin(self.url + '/', request.path))}"
            ended_at = self._options.clock()
            self._options.on_attempt(Try(what, started_at, ended_at, outcome, line, shown, request.body, told))
        return outcome

    # --- one HTTP request

    def _ask(self, request: PayerRequest) -> tuple[HttpAnswer | Failure, str]:
        """The answer, or why there is none, and the headers that were sent with it."""
        expect_departure()
        try:
            response = self._request(request, self._timeout)
        except AuthError:
            return Failure.NO_TOKEN, header_lines(request.headers)
        except (*FAILURES, ValueError) as error:  # ValueError: an address that is none
            sent = getattr(getattr(error, "request", None), "headers", request.headers)
            return _failure(error), header_lines(sent)
        with response:
            return self._read(response), header_lines(response.request.headers)

    def _request(self, request: PayerRequest, timeout: tuple[float, float]) -> requests.Response:
        """The answer's head, with a renewed token where the one shown was refused. Raises AuthError."""
        shown = self._auth.authorization(self._tokens)
        response = self._requested(request, timeout, shown)
        if response.status_code == 401 and self._auth.renew(shown):
            response.close()
            expect_departure()
            response = self._requested(request, timeout, self._auth.authorization(self._tokens))
        return response

    def _requested(self, request: PayerRequest, timeout: tuple[float, float], shown: str) -> requests.Response:
        return self._session().request(
            request.method,
            urljoin(self.url + "/", request.path),
            data=request.body or None,
            headers={**request.headers, **({"Authorization": shown} if shown else {})},
            timeout=timeout,
            allow_redirects=False,
            stream=True,
        )

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
        except FAILURES:
            whole = False
        headers = {name.lower(): value for name, value in response.headers.items()}
        kept = bytes(body[: self._options.max_answer_bytes])
        return HttpAnswer(response.status_code, headers, kept, whole, self._options.clock())

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = open_session(self._access)
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
