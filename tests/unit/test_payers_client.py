"""The client against real sockets: what was surely not sent may be repeated, everything else is the ledger's."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from fhir_coder.model import OutcomeKind
from fhir_coder.payers import ClientOptions, PayerClient, Try, connections
from fhir_coder.payers.client import _failure
from fhir_coder.payers.outcomes import Failure
from fhir_coder.payers.shown import without_userinfo
from fhir_coder.settings.access import AccessSettings


def read_request(connection: socket.socket) -> bytes:
    """One HTTP request; empty where the client closed."""
    got = b""
    while b"\r\n\r\n" not in got:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        got += chunk
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def http(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Payer:
    """A scripted server: each entry answers one request; None closes the connection without an answer.

    A connection ends after `per_connection` requests; it says so before, unless `stale`.
    """

    def __init__(self, *script: bytes | None, per_connection: int = 1, stale: bool = False) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._script, self._per_connection, self._stale = list(script), per_connection, stale
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/fhir"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while self._script:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                for served in range(1, self._per_connection + 1):
                    request = read_request(connection)
                    if not request or not self._script:
                        break
                    self.requests.append(request)
                    answer = self._script.pop(0)
                    if answer is None:
                        break
                    if served == self._per_connection and not self._stale:
                        answer = answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
                    connection.sendall(answer)

    def close(self) -> None:
        # A listener in accept is woken by shutdown; its thread then ends.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@contextmanager
def payer(*script: bytes | None, **manner: Any) -> Iterator[Payer]:
    served = Payer(*script, **manner)
    try:
        yield served
    finally:
        served.close()


@contextmanager
def client_of(
    url: str, *, timeout: tuple[float, float] = (5, 5), **options: Any
) -> Iterator[tuple[PayerClient, list[float]]]:
    waits: list[float] = []
    client = PayerClient(url, timeout=timeout, options=ClientOptions(sleep=waits.append, **options))
    try:
        yield client, waits
    finally:
        client.close()


def send(client: PayerClient) -> Any:
    return client.submit(b'{"resourceType":"Claim"}', "urn:s", "C-1")


def test_a_taken_claim_is_one_request_with_the_bytes_as_given() -> None:
    with payer(http(201, b"", "Location: /fhir/Claim/7")) as served, client_of(served.url) as (client, waits):
        outcome = send(client)
    assert (outcome.kind, outcome.reference, waits) == (OutcomeKind.TAKEN, "Claim/7", [])
    assert served.requests[0].startswith(b"POST /fhir/Claim HTTP/1.1\r\n")
    assert served.requests[0].endswith(b'\r\n\r\n{"resourceType":"Claim"}')
    assert b"If-None-Exist: identifier=urn:s|C-1" in served.requests[0]


def test_the_token_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYER_TOKEN", "SECRET")
    with payer(http(401)) as served:
        access = AccessSettings(url=served.url, auth="bearer", secret_env="PAYER_TOKEN")
        client = PayerClient(served.url, access=access)
        outcome = send(client)
        client.close()
    assert outcome.kind is OutcomeKind.UNAUTHORIZED
    assert b"Authorization: Bearer SECRET" in served.requests[0]
    assert "SECRET" not in repr(client) + repr(outcome)


def test_a_connection_lost_after_sending_is_unknown_and_not_repeated() -> None:
    with payer(None, http(201)) as served, client_of(served.url) as (client, waits):
        outcome = send(client)
        assert (outcome.kind, outcome.reason, waits) == (OutcomeKind.UNKNOWN, "connection lost after sending", [])
    assert len(served.requests) == 1


def test_a_stale_kept_connection_is_unknown_or_anew_and_never_sent_twice() -> None:
    taken = http(201, b"", "Location: /fhir/Claim/7")
    with payer(taken, taken, stale=True) as served, client_of(served.url) as (client, _):
        send(client)
        outcome = send(client)
        assert outcome.kind in (OutcomeKind.UNKNOWN, OutcomeKind.TAKEN)
    assert len(served.requests) <= 2


def test_the_connection_is_kept_alive() -> None:
    taken = http(201, b"", "Location: /fhir/Claim/7")
    with payer(taken, taken, per_connection=2) as served, client_of(served.url) as (client, _):
        assert [send(client).kind for _ in range(2)] == [OutcomeKind.TAKEN] * 2
        assert served.connections == 1


def test_no_answer_in_time_is_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with client_of(url, timeout=(5, 0.1)) as (client, waits):
            outcome = send(client)
    assert (outcome.kind, outcome.reason, waits) == (OutcomeKind.UNKNOWN, "no answer in time", [])


def refusing_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_a_refused_connection_is_repeated_within_the_bound_and_not_sent() -> None:
    with client_of(refusing_url()) as (client, waits):
        outcome = send(client)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.NOT_SENT, "connection refused")
    assert waits == [0.25, 0.5, 1.0]


def test_a_name_that_does_not_resolve_is_not_sent() -> None:
    with client_of("http://payer.invalid") as (client, waits):
        outcome = send(client)
    assert (outcome.kind, outcome.reason, waits) == (OutcomeKind.NOT_SENT, "name not resolved", [])


@pytest.mark.parametrize("url", ["nonsense", "http://", "http://[::1", "ftp://payer.example"])
def test_an_address_that_is_none_is_not_sent(url: str) -> None:
    with client_of(url) as (client, _):
        assert send(client).kind is OutcomeKind.NOT_SENT
        assert client.poll("Claim/7", "urn:s", "C-1").kind is OutcomeKind.NOT_SENT


def outcome_over_tls(answer: bytes) -> Any:
    """What comes of sending to a server that answers the TLS hello so."""

    def talk(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)
            with suppress(ConnectionError):
                connection.recv(65536)  # until the client gives up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, args=(listener,), daemon=True)
        thread.start()
        with client_of(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=(0.2, 0.2)) as (client, waits):
            outcome = send(client)
        thread.join(5)
    assert waits == []
    return outcome.kind, outcome.reason


def test_a_failed_tls_handshake_is_not_sent() -> None:
    assert outcome_over_tls(b"no TLS here\r\n") == (OutcomeKind.NOT_SENT, "TLS handshake failed")


def test_a_tls_handshake_that_never_ends_is_not_sent() -> None:
    assert outcome_over_tls(b"") == (OutcomeKind.NOT_SENT, "no connection in time")


def test_busy_is_repeated_where_its_wait_fits() -> None:
    taken = http(201, b"", "Location: /fhir/Claim/7")
    with payer(http(503, b"", "Retry-After: 1"), taken) as served, client_of(served.url) as (client, waits):
        outcome = send(client)
    assert (outcome.kind, waits, len(served.requests)) == (OutcomeKind.TAKEN, [1.0], 2)


def test_busy_with_a_long_wait_is_left_to_the_ledger() -> None:
    with payer(http(429, b"", "Retry-After: 60")) as served, client_of(served.url) as (client, waits):
        outcome = send(client)
    assert (outcome.kind, outcome.retry_after, waits) == (OutcomeKind.BUSY, 60.0, [])


def test_busy_for_ever_ends_within_the_bound() -> None:
    busy = [http(503, b"", "Retry-After: 0")] * 9
    with payer(*busy) as served, client_of(served.url) as (client, waits):
        assert send(client).kind is OutcomeKind.BUSY
    assert sum(waits) <= 2.0
    assert len(served.requests) == 4


@pytest.mark.parametrize("status", [400, 401, 409, 422, 500, 502, 504])
def test_no_other_status_is_repeated(status: int) -> None:
    with payer(http(status), http(201)) as served, client_of(served.url) as (client, waits):
        assert send(client).http_status == status
        assert waits == []
    assert len(served.requests) == 1


def test_a_body_cut_short_is_unknown() -> None:
    with (
        payer(http(201, b'{"resourceType":"Claim","id":"7"}', length=500)) as served,
        client_of(served.url) as (client, _),
    ):
        outcome = send(client)
    assert (outcome.kind, outcome.http_status) == (OutcomeKind.UNKNOWN, 201)


def test_a_refusal_cut_short_is_still_a_refusal() -> None:
    with payer(http(422, b'{"resou', length=500)) as served, client_of(served.url) as (client, _):
        outcome = send(client)
    assert (outcome.kind, outcome.body) == (OutcomeKind.REFUSED, b'{"resou')


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    with payer(http(200, b" " * 5000)) as served, client_of(served.url, max_answer_bytes=1000) as (client, _):
        outcome = send(client)
    assert (outcome.kind, len(outcome.body)) == (OutcomeKind.UNKNOWN, 1000)


def test_an_answer_that_drips_does_not_hold_the_worker() -> None:
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            read_request(connection)
            connection.sendall(http(201, b"", length=100_000))
            while not stop.wait(0.02):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        with client_of(url, timeout=(5, 0.2)) as (client, _):
            assert send(client).kind is OutcomeKind.UNKNOWN
        assert time.monotonic() - began < 5
        stop.set()
        thread.join(5)


def test_a_redirect_is_not_followed() -> None:
    with payer() as elsewhere, payer(http(307, b"", f"Location: {elsewhere.url}")) as served:
        with client_of(served.url) as (client, _):
            assert send(client).kind is OutcomeKind.REFUSED
        assert elsewhere.connections == 0


def test_a_reference_to_another_host_is_not_followed() -> None:
    with payer(http(200, b'{"resourceType":"Bundle"}')) as served, client_of(served.url) as (client, _):
        outcome = client.poll("http://169.254.0.1/latest", "urn:s", "C-1")
    assert outcome.kind is OutcomeKind.PENDING
    assert served.requests[0].startswith(b"GET /fhir/ClaimResponse?request.identifier=urn:s%7CC-1 ")


def test_a_reference_on_the_same_host_is_followed() -> None:
    with payer(http(202), http(202), per_connection=2) as served, client_of(served.url) as (client, _):
        client.poll("/async/4", "urn:s", "C-1")
        client.poll(served.url + "/async/5", "urn:s", "C-1")
    assert [r.split()[1] for r in served.requests] == [b"/async/4", b"/fhir/async/5"]


def test_every_http_request_is_reported() -> None:
    tries: list[Try] = []
    with payer(http(503), http(400)) as served, client_of(served.url, on_attempt=tries.append) as (client, _):
        send(client)
    assert [(t.what, t.outcome.kind, t.outcome.http_status) for t in tries] == [
        ("submit", OutcomeKind.BUSY, 503),
        ("submit", OutcomeKind.REFUSED, 400),
    ]
    assert all(t.started_at.tzinfo and t.started_at <= t.ended_at for t in tries)


def test_proxies_of_the_environment_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", refusing_url())
    with payer(http(400)) as served, client_of(served.url) as (client, _):
        assert send(client).kind is OutcomeKind.REFUSED


def test_threads_do_not_share_connections() -> None:
    with payer(http(400), http(400)) as served, client_of(served.url) as (client, _):
        threads = [threading.Thread(target=send, args=(client,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served.connections == 2


def test_a_tls_break_after_sending_is_unknown() -> None:
    # The same exception as a failed handshake; only the side of the departure tells them apart.
    connections.expect_departure()
    assert _failure(ssl.SSLError()) is Failure.TLS
    connections._departure.begun = True
    assert _failure(ssl.SSLError()) is Failure.CONNECTION_LOST


@pytest.mark.parametrize(
    ("status", "is_there"), [(200, True), (401, True), (404, True), (429, False), (500, False), (503, False)]
)
def test_a_payer_is_there_when_it_answers_anything_but_an_error_of_its_own(status: int, is_there: bool) -> None:
    with payer(http(status)) as served, client_of(served.url) as (client, _):
        assert client.knock() is is_there
    assert served.requests[0].startswith(b"GET /fhir/metadata HTTP/1.1\r\n")


def test_a_payer_where_nobody_listens_is_not_there() -> None:
    with client_of(refusing_url()) as (client, _):
        assert client.knock() is False


def test_what_is_reported_of_a_request_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Try] = []
    answered = http(400, b"{}", "Set-Cookie: SECRET", "Retry-After: 7")
    with payer(answered) as served, client_of(served.url, on_attempt=tries.append) as (client, _):
        monkeypatch.setitem(client._session().headers, "Authorization", "Bearer SECRET")
        send(client)
    (one,) = tries
    assert b"Authorization: Bearer SECRET" in served.requests[0]
    assert "Authorization: (not kept)" in one.headers
    assert "set-cookie: (not kept)" in one.answer_headers
    assert "retry-after: 7" in one.answer_headers
    assert (one.line, one.body) == (f"POST {served.url}/Claim", b'{"resourceType":"Claim"}')
    assert "SECRET" not in repr(one)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:SECRET@payer.example:8443/fhir/Claim?x=1", "https://payer.example:8443/fhir/Claim?x=1"),
        ("https://payer.example/fhir", "https://payer.example/fhir"),
        ("https://[bad", ""),
    ],
)
def test_user_and_password_of_an_address_are_not_shown(address: str, shown: str) -> None:
    assert without_userinfo(address) == shown
