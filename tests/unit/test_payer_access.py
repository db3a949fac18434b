"""Who we are for a payer, over real sockets: secrets, tokens, keys, certificates, proxies. Nothing secret is told."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keyring
import pytest
from joserfc import jwk
from keyring.backend import KeyringBackend

from fhir_coder.errors import UsageError
from fhir_coder.model import Outcome, OutcomeKind
from fhir_coder.payers import ClientOptions, PayerClient, Try
from fhir_coder.payers.auth import auth_faults
from fhir_coder.payers.keys import KeySet, public_set, signing_key
from fhir_coder.settings.access import AccessSettings
from tests.certificates import Authority
from tests.fhir_server import HOST, Server
from tests.ports import listening, tunnel

POISON = "Quetzalcoatlus"
KEYS: dict[str, Any] = {"EC": jwk.ECKey.generate_key("P-384"), "RSA": jwk.RSAKey.generate_key(2048)}


def own_file(folder: Path, text: str, name: str = "secret") -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return file


@contextmanager
def client_of(access: AccessSettings, tries: list[Try] | None = None) -> Iterator[PayerClient]:
    noted = tries if tries is not None else []
    options = ClientOptions(on_attempt=noted.append, sleep=lambda _: None)
    client = PayerClient(access.url, access=access, timeout=(2.0, 5.0), options=options)
    try:
        yield client
    finally:
        client.close()


def asked(client: PayerClient) -> Outcome:
    return client.find("urn:s", "C-1")


@pytest.fixture
def payer() -> Iterator[Server]:
    with Server(types=["Claim"]) as server:
        yield server


def settings_of(kind: str, payer: Server, folder: Path) -> AccessSettings:
    """Settings that the payer takes for this kind of auth, and the payer set to it."""
    if kind in KEYS:
        payer.set(auth="smart", public_key={**KEYS[kind].as_dict(private=False), "kid": "k1"})
        file = own_file(folder, json.dumps({**KEYS[kind].as_dict(private=True), "kid": "k1"}), "key")
        return AccessSettings(url=payer.url, auth="smart", client_id="adapter", key_file=file)
    secret = own_file(folder, POISON)
    if kind == "client-credentials":
        payer.set(auth=kind, secret=f"adapter:{POISON}")
        return AccessSettings(url=payer.url, auth=kind, client_id="adapter", secret_file=secret)
    payer.set(auth=kind, secret=f"ada:{POISON}" if kind == "basic" else POISON)
    return AccessSettings(url=payer.url, auth=kind, user="ada", secret_file=secret)


@pytest.mark.parametrize("kind", ["basic", "bearer", "client-credentials", "EC", "RSA"])
def test_a_payer_lets_us_in_and_nothing_written_down_tells_the_secret(payer: Server, kind: str, tmp_path: Path) -> None:
    tries: list[Try] = []
    with client_of(settings_of(kind, payer, tmp_path), tries) as client:
        assert asked(client).http_status == 200
    assert len(payer.requests("/Claim")) == 1
    written = repr(tries) + repr(client)
    assert POISON not in written
    assert "Authorization: (not kept)" in tries[0].headers
    assert "token-" not in written


def test_one_token_does_for_all_threads(payer: Server, tmp_path: Path) -> None:
    with client_of(settings_of("EC", payer, tmp_path)) as client, ThreadPoolExecutor(8) as pool:
        statuses = {outcome.http_status for outcome in pool.map(lambda _: asked(client), range(32))}
    assert statuses == {200}
    assert len(payer.requests("/token")) == 1


def test_a_token_is_asked_for_anew_before_it_ends(payer: Server, tmp_path: Path) -> None:
    access = settings_of("client-credentials", payer, tmp_path)
    payer.set(expires_in=1)
    until = time.monotonic() + 20
    with client_of(access) as client:
        while len(payer.requests("/token")) < 2 and time.monotonic() < until:
            assert asked(client).http_status == 200
    assert len(payer.requests("/token")) >= 2


def test_a_token_refused_once_is_renewed_and_refused_twice_is_a_refusal(payer: Server, tmp_path: Path) -> None:
    access = settings_of("client-credentials", payer, tmp_path)
    payer.set(token_lives=1)
    with client_of(access) as client:
        assert [asked(client).http_status for _ in range(2)] == [200, 200]
        assert len(payer.requests("/Claim")) == 3
        payer.set(token_lives=0)
        assert asked(client).kind is OutcomeKind.UNAUTHORIZED
    assert len(payer.requests("/Claim")) == 5


def test_a_secret_changed_in_its_file_is_read_after_a_401(payer: Server, tmp_path: Path) -> None:
    access = settings_of("bearer", payer, tmp_path)
    with client_of(access) as client:
        assert asked(client).http_status == 200
        payer.set(secret="the-next-one")
        assert asked(client).kind is OutcomeKind.UNAUTHORIZED
        own_file(tmp_path, "the-next-one")
        assert asked(client).http_status == 200


@pytest.mark.parametrize("broken", ["refused", "gone", "no secret"])
def test_without_a_token_nothing_is_sent(payer: Server, tmp_path: Path, broken: str) -> None:
    access = settings_of("client-credentials", payer, tmp_path)
    if broken == "refused":
        payer.set(secret="another")
    elif broken == "gone":
        access = access.model_copy(update={"token_url": f"http://{HOST}:1/token"})
    else:
        (tmp_path / "secret").unlink()
    with client_of(access) as client:
        outcome = client.submit(b"{}", "urn:s", "C-1")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.NOT_SENT, "no access token, secret or key to be had")
    assert payer.requests("/Claim") == []


def test_a_token_endpoint_without_tls_on_another_machine_gets_nothing(payer: Server, tmp_path: Path) -> None:
    access = settings_of("client-credentials", payer, tmp_path)
    away = access.model_copy(update={"token_url": "http://payer.example.org/token"})
    with client_of(away) as client:
        assert asked(client).kind is OutcomeKind.NOT_SENT
    assert payer.requests("/Claim") == []


# --- keyring


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return POISON if (service, username) == ("fhir-coder", "acme") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def ring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("ring")
def test_a_secret_may_come_from_a_keyring() -> None:
    access = AccessSettings(url="https://p.example", auth="bearer", secret_keyring="fhir-coder/acme")
    assert access.secret() == POISON
    other = AccessSettings(url="https://p.example", auth="bearer", secret_keyring="fhir-coder/other")
    assert auth_faults(other) == [("secret_keyring", "the keyring has no such entry")]


# --- keys that rotate


def smart(file: Path) -> AccessSettings:
    return AccessSettings(url="https://p.example", auth="smart", client_id="me", key_file=file)


def test_a_key_is_published_before_it_signs_and_the_old_one_after_it_signed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    keys = KeySet(file)
    old = keys.add("ES384")
    assert file.stat().st_mode & 0o077 == 0
    new = keys.add("RS384")
    access = smart(file)
    assert signing_key(access).id == old
    assert [key["kid"] for key in public_set([access, access])["keys"]] == [old, new]
    keys.use(new)
    assert (signing_key(access).id, signing_key(access).algorithm) == (new, "RS384")
    with pytest.raises(UsageError, match="let another one sign first"):
        KeySet(file).drop(new)
    KeySet(file).drop(old)
    assert [key["kid"] for key in public_set([access])["keys"]] == [new]


def test_the_published_set_has_public_halves_only(tmp_path: Path) -> None:
    keys = KeySet(tmp_path / "keys.json")
    keys.add("ES384")
    keys.add("RS384")
    shown = public_set([smart(tmp_path / "keys.json")])
    assert all(not set(key) & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} for key in shown["keys"])
    assert [(key["kty"], key["alg"], key["use"]) for key in shown["keys"]] == [
        ("EC", "ES384", "sig"),
        ("RSA", "RS384", "sig"),
    ]


@pytest.mark.parametrize("content", ["{}", "[]", "nothing", '{"keys": [5]}', '{"keys": [{"kty": "EC"}]}'])
def test_a_file_that_is_no_set_of_keys_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    file = own_file(tmp_path, content, "keys.json")
    with pytest.raises(UsageError, match="the file holds no JWK"):
        KeySet(file)
    assert file.read_text() == content


# --- TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def guarded(authority: Authority) -> Iterator[tuple[Server, dict[str, Path]]]:
    """A payer that asks for client certificates, and what a client with one sets."""
    cert, key = authority.issue("payer.test", "payer")
    own_cert, own_key = authority.issue("adapter", "client")
    with Server(cert, key, authority.ca) as server:
        yield server, {"tls_cert": own_cert, "tls_key": own_key, "tls_ca": authority.ca}


def test_a_client_certificate_and_a_private_authority_let_us_in(guarded: tuple[Server, dict[str, Path]]) -> None:
    server, files = guarded
    with client_of(AccessSettings(url=server.url, **files)) as client:
        assert client.knock()
    without = {"tls_ca": files["tls_ca"]}
    with client_of(AccessSettings(url=server.url, **without)) as client:
        assert not client.knock()


def test_a_certificate_of_a_stranger_or_for_another_name_is_not_taken(
    guarded: tuple[Server, dict[str, Path]], tmp_path: Path
) -> None:
    server, files = guarded
    (tmp_path / "other").mkdir()
    stranger = files | {"tls_ca": Authority(tmp_path / "other", "other authority").ca}
    named = AccessSettings(url=server.url.replace(HOST, "localhost"), **files)
    for access in (AccessSettings(url=server.url, **stranger), named):
        with client_of(access) as client:
            outcome = asked(client)
        assert (outcome.kind, outcome.reason) == (OutcomeKind.NOT_SENT, "TLS handshake failed")


def test_a_payer_without_the_least_tls_version_gets_nothing(authority: Authority) -> None:
    cert, key = authority.issue("payer.test", "payer")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    got: list[bytes] = []

    def answer(plain: socket.socket) -> None:
        with context.wrap_socket(plain, server_side=True) as secured:
            got.append(secured.recv(65536))
            secured.sendall(b"HTTP/1.1 400 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with listening(answer) as port:
        for least, expected in (("1.3", OutcomeKind.NOT_SENT), ("1.2", OutcomeKind.REFUSED)):
            access = AccessSettings.model_validate(
                {"url": f"https://{HOST}:{port}/fhir", "tls_ca": authority.ca, "tls_minimum": least}
            )
            with client_of(access) as client:
                assert asked(client).kind is expected
    assert len(got) == 1


# --- proxies


def test_a_payer_is_reached_through_a_proxy(guarded: tuple[Server, dict[str, Path]]) -> None:
    server, files = guarded
    seen: list[bytes] = []

    def noticed(plain: socket.socket) -> None:
        seen.append(plain.recv(65536, socket.MSG_PEEK).split(b"\r\n")[0])
        tunnel(plain)

    with listening(noticed) as port:
        access = AccessSettings.model_validate({"url": server.url, "proxy": f"http://{HOST}:{port}", **files})
        with client_of(access) as client:
            assert client.knock()
    assert [line.rpartition(b" ")[0] for line in seen] == [f"CONNECT {HOST}:{server.port}".encode()]


def test_what_broke_behind_a_proxy_after_sending_is_unknown(payer: Server) -> None:
    def taken_and_dropped(plain: socket.socket) -> None:
        plain.recv(65536)

    with listening(taken_and_dropped) as port:
        access = AccessSettings(url=payer.url, proxy=f"http://{HOST}:{port}")
        with client_of(access) as client:
            assert client.submit(b"{}", "urn:s", "C-1").kind is OutcomeKind.UNKNOWN


def test_a_proxy_that_lets_nothing_through_leaves_the_claim_unsent(guarded: tuple[Server, dict[str, Path]]) -> None:
    server, files = guarded

    def refused(plain: socket.socket) -> None:
        plain.recv(65536)
        plain.sendall(b"HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n")

    with listening(refused) as port:
        access = AccessSettings.model_validate({"url": server.url, "proxy": f"http://{HOST}:{port}", **files})
        with client_of(access) as client:
            assert client.submit(b"{}", "urn:s", "C-1").kind is OutcomeKind.NOT_SENT
