"""The sandbox's token endpoint: who gets a token, what a token opens, and when it is over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from fhir_coder.payers.sandbox import Client, Rules, running
from fhir_coder.payers.sandbox.tokens import ASSERTION_TYPE
from tests.sandbox import held, make_claim, post

BY_SECRET = Client("adapter", secret="s3 cr:et")
GRANT = {"grant_type": "client_credentials", "scope": "system/Claim.c"}
NOW = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)


@pytest.fixture
def now() -> list[datetime]:
    return [NOW]


@pytest.fixture
def url(now: list[datetime]) -> Iterator[str]:
    with running(rules=Rules(clients=(BY_SECRET,), token_seconds=60), clock=lambda: now[0]) as address:
        yield address


def ask(url: str, form: dict[str, str], **more: Any) -> requests.Response:
    return requests.post(f"{url}/oauth/token", form, timeout=10, **more)


def token_of(url: str) -> str:
    answer = ask(url, GRANT | {"client_id": "adapter", "client_secret": "s3 cr:et"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def submit(url: str, token: str) -> int:
    return post(url, make_claim(), Authorization=f"Bearer {token}").status_code


def test_without_a_token_nothing_is_taken_and_nothing_is_told(url: str) -> None:
    for method, path in (
        ("POST", "/Claim"),
        ("GET", "/Claim?identifier=x"),
        ("GET", "/Claim/1"),
        ("POST", "/Subscription"),
    ):
        answer = requests.request(method, url + path, timeout=10)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="sandbox"')
    assert held(url) == []


def test_a_secret_in_the_form_or_the_header_gets_a_token_that_opens(url: str) -> None:
    in_header = ask(url, GRANT, auth=("adapter", "s3+cr%3Aet"))
    assert in_header.headers["Cache-Control"] == "no-store"
    said = in_header.json()
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("bearer", 60, "system/Claim.c")
    assert submit(url, said["access_token"]) == 201
    assert submit(url, token_of(url)) == 409


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        (GRANT, 401, "invalid_client"),
        (GRANT | {"client_id": "adapter", "client_secret": "wrong"}, 401, "invalid_client"),
        (GRANT | {"client_id": "nobody", "client_secret": "s3 cr:et"}, 401, "invalid_client"),
        (GRANT | {"client_assertion": "x.y.z", "client_assertion_type": "saml"}, 400, "invalid_request"),
        (GRANT | {"client_assertion": "x.y.z", "client_assertion_type": ASSERTION_TYPE}, 401, "invalid_client"),
    ],
)
def test_anything_else_gets_none(url: str, form: dict[str, str], status: int, error: str) -> None:
    answer = ask(url, form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


@pytest.mark.parametrize("shown", ["Basic !", "Basic YQ==", "Digest x"])
def test_a_broken_header_gets_none(url: str, shown: str) -> None:
    assert ask(url, GRANT, headers={"Authorization": shown}).status_code == 401


def test_a_token_ends_when_its_time_is_over(url: str, now: list[datetime]) -> None:
    token = token_of(url)
    now[0] += timedelta(seconds=59)
    assert submit(url, token) == 201
    now[0] += timedelta(seconds=1)
    assert submit(url, token) == 401


def test_an_expired_token_fault_takes_every_token_back(url: str) -> None:
    token = token_of(url)
    requests.post(f"{url}/_sandbox/faults", json={"spec": "expired-token"}, timeout=10)
    refused = post(url, make_claim(), Authorization=f"Bearer {token}")
    assert (refused.status_code, 'error="invalid_token"' in refused.headers["WWW-Authenticate"]) == (401, True)
    assert submit(url, token) == 401
    assert submit(url, token_of(url)) == 201


def test_the_token_endpoint_may_fail(url: str) -> None:
    requests.post(f"{url}/_sandbox/faults", json={"spec": "503:1:at=token"}, timeout=10)
    assert ask(url, GRANT, auth=("adapter", "x")).status_code == 503
    assert token_of(url)


def test_a_client_finds_the_endpoint(url: str) -> None:
    for base in (url, f"{url}/fhir"):
        told = requests.get(f"{base}/.well-known/smart-configuration", timeout=10).json()
        assert told["token_endpoint"] == f"{url}/oauth/token"
    security = requests.get(f"{url}/fhir/metadata", timeout=10).json()["rest"][0]["security"]
    assert security["extension"][0]["extension"][0]["valueUri"] == f"{url}/oauth/token"


def test_without_clients_there_is_no_login() -> None:
    with running() as url:
        assert post(url, make_claim()).status_code == 201
        assert requests.get(f"{url}/.well-known/smart-configuration", timeout=10).status_code == 404


# --- signed assertions

KEYS = {"RS384": RSAKey.generate_key(2048, {"kid": "rsa"}), "ES384": ECKey.generate_key("P-384", {"kid": "ec"})}


def key_set() -> str:
    return json.dumps(KeySet(list(KEYS.values())).as_dict(private=False))


def signed(url: str, algorithm: str = "RS384", key: Any = None, **more: Any) -> dict[str, str]:
    key = key or KEYS[algorithm]
    said = {
        "iss": "signer",
        "sub": "signer",
        "aud": f"{url}/oauth/token",
        "exp": int(NOW.timestamp()) + 240,
        "jti": "1",
    }
    assertion = jwt.encode({"alg": algorithm, "kid": key.kid}, said | more, key, algorithms=[algorithm])
    return GRANT | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


@pytest.fixture
def signed_at(tmp_path: Path) -> Iterator[str]:
    file = tmp_path / "jwks.json"
    file.write_text(key_set())
    with running(rules=Rules(clients=(Client("signer", keys=str(file)),)), clock=lambda: NOW) as address:
        yield address


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_signed_assertion_gets_a_token_once(signed_at: str, algorithm: str) -> None:
    form = signed(signed_at, algorithm)
    first, again = ask(signed_at, form), ask(signed_at, form)
    assert submit(signed_at, first.json()["access_token"]) == 201
    assert (again.status_code, again.json()) == (401, {"error": "invalid_client"})


FORGED: list[Callable[[str], dict[str, str]]] = [
    lambda url: signed(url, aud="https://other.example/token"),
    lambda url: signed(url, aud=["https://other.example/token", 3, ["x"]]),
    lambda url: signed(url, iss="other"),
    lambda url: signed(url, sub="other"),
    lambda url: signed(url, exp=int(NOW.timestamp()) - 60),
    lambda url: signed(url, exp=int(NOW.timestamp()) + 3600),
    lambda url: signed(url, exp="soon"),
    lambda url: signed(url, jti=""),
    lambda url: signed(url, key=RSAKey.generate_key(2048, {"kid": "rsa"})),
    lambda url: signed(url, key=RSAKey.generate_key(2048, {"kid": "unknown"})),
]


@pytest.mark.parametrize("forged", FORGED)
def test_an_assertion_that_is_not_good_gets_none(signed_at: str, forged: Callable[[str], dict[str, str]]) -> None:
    assert ask(signed_at, forged(signed_at)).json() == {"error": "invalid_client"}


class _Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = key_set().encode()
        self.send_response(200 if self.path == "/jwks" else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        return


def test_keys_are_fetched_from_the_clients_own_address() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Keys)
    Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    clients = (Client("signer", keys=f"{base}/jwks"), Client("broken", keys=f"{base}/none"))
    with running(rules=Rules(clients=clients), clock=lambda: NOW) as url:
        assert ask(url, signed(url)).status_code == 200
        assert ask(url, signed(url, iss="broken", sub="broken")).json() == {"error": "invalid_client"}
    server.shutdown()
    server.server_close()
