"""Talks HTTP to a FHIR server that is read: requests with patience of seconds, tokens, downloads that go on.

Everything asked here may be asked twice. What needs minutes is the feed's business: an error says how long to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
from urllib3.exceptions import HTTPError, ReadTimeoutError

from fhir_coder.intake.fhir_errors import FhirServerError, StoppedError
from fhir_coder.payers.answer import HttpAnswer, read_json, text
from fhir_coder.payers.auth import AuthError, Form, auth_of
from fhir_coder.payers.outcomes import retry_after_seconds
from fhir_coder.payers.sessions import FAILURES, open_session
from fhir_coder.settings import FhirFeed

FHIR_JSON = "application/fhir+json"
MAX_PAGE_BYTES = 64 * 1024 * 1024
"""The longest answer that is taken into memory; a page of searches has no business to be longer."""

_BLOCK = 256 << 10
_MOST_TRIES = 4
_FIRST_WAIT, _LONGEST_PATIENCE = 0.5, 30.0
_BUSY = frozenset({429, 503})
_TEMPORARY = _BUSY | {408, 500, 502, 504}

R = TypeVar("R")


class FhirServer:
    """One FHIR server, asked by one thread. `stopping` ends waits and downloads with StoppedError."""

    def __init__(self, feed: FhirFeed, stopping: threading.Event) -> None:
        self.base = feed.url.rstrip("/")
        self._feed, self.stopping = feed, stopping
        self._auth = auth_of(feed)
        self._hosts = {_origin(self.base), *map(_origin, feed.hosts)}
        self._session = open_session(feed)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def get(self, url: str, headers: Mapping[str, str] | None = None, *, once: bool = False) -> HttpAnswer:
        """GET an address of the server, relative to its base or whole; any answer below 400.

        Raises FhirServerError: for 4xx and 5xx, `other_host` for an address that leads elsewhere. `once`: only what
        the server says it did not take is asked again.
        """
        there = self.address(url)
        again = _was_put_off if once else _is_temporary
        return self._patiently(lambda: self._answered("GET", there, headers or {}), again)

    def delete(self, url: str) -> None:
        """DELETE an address of the server; raises FhirServerError."""
        there = self.address(url)
        self._patiently(lambda: self._answered("DELETE", there, {}))

    def download(self, url: str, file: Path, *, with_token: bool = True) -> None:
        """Download to a file, from where it ends where it is there already (RFC 9110 14). Raises FhirServerError.

        Patience is for tries in a row that bring nothing.
        """
        there = self.address(url)
        while not self._patiently(lambda: self._rest(there, file, with_token)):
            pass

    def address(self, url: str) -> str:
        """A whole address from one relative to the base. Raises FhirServerError (`other_host`)."""
        try:
            there = urljoin(self.base + "/", url)
            is_here = _origin(there) in self._hosts
        except ValueError:
            raise FhirServerError("address_unusable") from None
        if not is_here:
            # A link is the server's word only: our token goes nowhere else on the strength of it.
            raise FhirServerError("other_host")
        return there

    # --- tokens

    def token_url(self) -> str:
        """Where tokens are had: the setting, else what the server says (SMART App Launch 2.2, conformance)."""
        if self._feed.token_url:
            return self._feed.token_url
        answer = self._whole("GET", f"{self.base}/.well-known/smart-configuration", {"Accept": "application/json"})
        url = text(read_json(answer.body), "token_endpoint")
        if answer.status != 200 or not url:
            raise FhirServerError("no_token_endpoint", answer.status)
        return url

    def post_form(self, url: str, form: Form, headers: Mapping[str, str]) -> HttpAnswer:
        """Post a form to the token endpoint."""
        shown = {"Accept": "application/json", **headers}
        return self._whole("POST", url, shown, form)

    # --- one request

    def _answered(self, method: str, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        """An answer below 400, with a renewed token where the one shown was refused."""
        for is_last in (False, True):
            shown = self._shown()
            answer = self._whole(method, url, {"Accept": FHIR_JSON, **shown, **headers})
            if answer.status != 401 or is_last or not self._auth.renew(shown.get("Authorization", "")):
                break
        _refuse(answer.status)
        return answer

    def _shown(self) -> dict[str, str]:
        try:
            shown = self._auth.authorization(self)
        except AuthError as error:
            raise FhirServerError(error.reason, error.http_status) from None
        return {"Authorization": shown} if shown else {}

    def _whole(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Form | None = None,
    ) -> HttpAnswer:
        """An answer with its whole body. Raises FhirServerError where there was none, or one that says `later`."""
        with _telling(), self._sent(method, url, headers, form) as response:
            body = bytearray()
            for block in response.iter_content(_BLOCK):
                body += block
                if len(body) > MAX_PAGE_BYTES:
                    raise FhirServerError("too_large", response.status_code)
            answer = HttpAnswer(response.status_code, _headers(response), bytes(body), True, datetime.now(UTC))
        _put_off(answer.status, answer.headers)
        return answer

    def _rest(self, url: str, file: Path, with_token: bool) -> bool:
        """Download more of a file; true where that was the rest of it."""
        had = file.stat().st_size if file.exists() else 0
        headers = {"Accept": "application/fhir+ndjson", "Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={had}-"} if had else {}
        shown = self._shown() if with_token else {}
        headers |= shown
        try:
            with _telling(), self._sent("GET", url, headers) as response:
                if response.status_code == 401:
                    raise FhirServerError(
                        "unauthorized", 401, is_temporary=self._auth.renew(shown.get("Authorization", ""))
                    )
                _put_off(response.status_code, _headers(response))
                return self._append(response, file, had)
        except FhirServerError as error:
            if error.is_temporary and file.exists() and file.stat().st_size > had:
                return False  # it broke off, but not at once: the next request begins behind what came
            raise

    def _append(self, response: requests.Response, file: Path, had: int) -> bool:
        said = response.headers.get("Content-Range", "")
        if (had and response.status_code == 416) or (
            response.status_code == 206 and not said.startswith(f"bytes {had}-")
        ):
            is_all = said == f"bytes */{had}"
            if not is_all:
                file.unlink(missing_ok=True)
            return is_all
        if response.status_code not in (200, 206):
            _refuse(response.status_code)
            raise FhirServerError(f"http_{response.status_code}", response.status_code)
        with file.open("ab" if response.status_code == 206 else "wb") as target:
            # Raw: a server that packs all the same must not have its bytes counted twice over in a range.
            while block := response.raw.read(_BLOCK, decode_content=False):
                target.write(block)
                if self.stopping.is_set():
                    raise StoppedError
        return True

    @contextmanager
    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], form: Form | None = None
    ) -> Iterator[requests.Response]:
        timeout = (self._feed.connect_timeout, self._feed.read_timeout)
        with self._session.request(
            method, url, headers=dict(headers), data=form, timeout=timeout, allow_redirects=False, stream=True
        ) as response:
            yield response

    # --- patience

    def _patiently(self, ask: Callable[[], R], again: Callable[[BaseException], bool] | None = None) -> R:
        if self.stopping.is_set():
            raise StoppedError
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(again or _is_temporary),
            wait=_wait,
            stop=_is_over,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(ask)

    def _sleep(self, seconds: float) -> None:
        if self.stopping.wait(seconds):
            raise StoppedError


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _headers(response: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _put_off(status: int, headers: Mapping[str, str]) -> None:
    """Raise what an answer means that says `later`."""
    if status in _TEMPORARY:
        wait = retry_after_seconds(headers.get("retry-after", ""), datetime.now(UTC)) or 0.0
        raise FhirServerError(f"http_{status}", status, wait, is_temporary=True)


def _refuse(status: int) -> None:
    """Raise what an answer means that is none. A redirect is one too: it may lead to another host."""
    if status == 401:
        raise FhirServerError("unauthorized", status)
    if 300 <= status < 400 and status != 304:
        raise FhirServerError("redirected", status)
    if status >= 400:
        raise FhirServerError(f"http_{status}", status)


@contextmanager
def _telling() -> Iterator[None]:
    """Failures of a connection as errors of ours, which hold no address and no text of the other side."""
    try:
        yield
    except FAILURES as error:
        reason = _reason(error)
        raise FhirServerError(reason, is_temporary=reason in ("not_reached", "timeout", "connection_lost")) from None


def _reason(error: BaseException) -> str:
    return next(reason for kind, reason in _REASONS if isinstance(error, kind))


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.SSLError, "tls"),
    (requests.Timeout, "timeout"),
    (ReadTimeoutError, "timeout"),
    (requests.exceptions.ChunkedEncodingError, "connection_lost"),
    (HTTPError, "connection_lost"),
    (requests.ConnectionError, "not_reached"),
    (requests.RequestException, "address_unusable"),
    (ConnectionError, "connection_lost"),
    (OSError, "file_unusable"),
)
"""What a failure was, the most special kind first; requests' own errors are OSErrors too."""


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, FhirServerError) and error.is_temporary


def _was_put_off(error: BaseException) -> bool:
    return isinstance(error, FhirServerError) and error.http_status in _BUSY


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_for = error.retry_after if isinstance(error, FhirServerError) else 0.0
    return max(asked_for, _FIRST_WAIT * 2.0 ** (state.attempt_number - 1))


def _is_over(state: tenacity.RetryCallState) -> bool:
    return state.attempt_number >= _MOST_TRIES or state.idle_for + state.upcoming_sleep > _LONGEST_PATIENCE
