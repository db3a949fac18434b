"""`payers test`: what each step says in plain words, against real servers that are right or wrong in one thing."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_coder.claims.model_check import model_findings
from fhir_coder.payers.handshake import STEPS, Step, is_passed, shake_hands
from fhir_coder.payers.sample import sample_claim
from fhir_coder.settings.access import AccessSettings
from tests.certificates import Authority
from tests.fhir_server import HOST, Server
from tests.ports import listening, tunnel

POISON = "Quetzalcoatlus"


def capabilities(*operations: str, version: str = "4.0.1", create: bool = True) -> Any:
    claim = {"type": "Claim", "operation": [{"name": name} for name in operations]}
    claim |= {"interaction": [{"code": "create"}]} if create else {}
    return {"resourceType": "CapabilityStatement", "fhirVersion": version, "rest": [{"resource": [claim]}]}


@contextmanager
def payer(answers: dict[str, tuple[int, Any]], tls: tuple[Path, Path] | None = None, most: Any = None) -> Iterator[str]:
    """A payer that gives fixed answers by path; its FHIR base address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            status, said = answers.get(self.path.removeprefix("/fhir"), (404, {}))
            data = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a broken handshake is the test
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        context.maximum_version = most or context.maximum_version
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"{'https' if tls else 'http'}://{HOST}:{server.server_address[1]}/fhir"
    server.shutdown()
    server.server_close()
    thread.join()


def steps_of(url: str, **settings: Any) -> dict[str, Step]:
    given = {"url": url, "connect_timeout": 2.0, "read_timeout": 5.0, **settings}
    return {step.name: step for step in shake_hands(AccessSettings.model_validate(given))}


def words(steps: dict[str, Step]) -> list[str]:
    return [steps[name].status.value for name in STEPS]


GOOD = {"/metadata": (200, capabilities("submit"))}


def test_a_payer_that_is_right_passes_every_step(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with payer(GOOD, authority.issue("payer.test")) as url:
        steps = steps_of(url, tls_ca=authority.ca)
    assert words(steps) == ["ok", "ok", "ok", "warning", "skipped", "ok", "skipped"]
    assert "certificate of payer.test by test authority, valid " in steps["tls"].text
    assert steps["tls"].advice.startswith("It ends on "), "the certificates of the tests end tomorrow"
    assert is_passed(list(steps.values()))


def test_a_host_without_an_address_fails_at_dns_and_the_rest_is_not_tried() -> None:
    steps = steps_of("https://payer.invalid/fhir")
    assert words(steps) == ["ok", "failed", *["skipped"] * 5]
    assert steps["tcp"].text == "not tried: dns failed"
    assert not is_passed(list(steps.values()))


def test_a_port_that_refuses_fails_at_tcp() -> None:
    with socket.create_server((HOST, 0)) as bound:
        port = bound.getsockname()[1]
    steps = steps_of(f"http://{HOST}:{port}/fhir")
    assert (words(steps)[2], steps["tcp"].text) == ("failed", f"port {port} refuses connections")


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("stranger", "the authority of the certificate is not known; it is of payer.test by test authority"),
        ("other name", "the certificate is for another name; it is of payer.test"),
        ("old version", "no TLS version that both sides take (at least 1.3)"),
        ("no TLS", "the port does not speak TLS as expected"),
    ],
)
def test_what_is_wrong_with_tls_is_said_in_plain_words(case: str, told: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = None if case == "no TLS" else authority.issue("payer.test")
    with payer(GOOD, files, most=ssl.TLSVersion.TLSv1_2) as served:
        url = served.replace("http://", "https://")
        settings: dict[str, Any] = {} if case == "stranger" else {"tls_ca": authority.ca}
        if case == "old version":
            settings["tls_minimum"] = "1.3"
        steps = steps_of(url.replace(HOST, "localhost") if case == "other name" else url, **settings)
    assert words(steps)[3:] == ["failed", "skipped", "skipped", "skipped"]
    assert steps["tls"].text.startswith(told)
    assert steps["tls"].advice


def test_a_payer_that_wants_a_client_certificate_is_found_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("payer.test", "payer")
    with Server(cert, key, authority.ca) as server:
        steps = steps_of(server.url, tls_ca=authority.ca)
        failed = next(step for step in steps.values() if step.status == "failed")
        assert "tls_cert" in failed.advice
        own_cert, own_key = authority.issue("adapter", "client")
        assert is_passed(list(steps_of(server.url, tls_ca=authority.ca, tls_cert=own_cert, tls_key=own_key).values()))


def test_a_payer_is_tried_through_a_proxy_and_a_proxy_that_refuses_is_told(tmp_path: Path) -> None:
    def refused(plain: socket.socket) -> None:
        plain.recv(65536)
        plain.sendall(b"HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n")

    authority = Authority(tmp_path)
    with payer(GOOD, authority.issue("payer.test")) as url, listening(tunnel) as good, listening(refused) as bad:
        through, stopped = (steps_of(url, tls_ca=authority.ca, proxy=f"http://{HOST}:{port}") for port in (good, bad))
    assert words(through)[3:] == ["warning", "skipped", "ok", "skipped"]
    assert through["dns"].text == f"the proxy {HOST} is {HOST}"
    assert (words(stopped)[3], stopped["tls"].text) == ("failed", "the proxy does not let us through")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"/metadata": (401, {})}, "the payer answered HTTP 401"),
        ({"/metadata": (302, {})}, "the payer redirects (HTTP 302)"),
        ({}, "there is no /metadata at url (HTTP 404)"),
        ({"/metadata": (503, {})}, "the payer answered HTTP 503"),
        ({"/metadata": (200, b"<html>hello</html>")}, "the answer is no CapabilityStatement"),
    ],
)
def test_metadata_that_is_not_to_be_had_fails(answers: dict[str, tuple[int, Any]], told: str) -> None:
    with payer(answers) as url:
        step = steps_of(url)["metadata"]
    assert (step.status, step.text) == ("failed", told)
    assert step.advice


def test_what_the_metadata_does_not_offer_is_a_warning() -> None:
    with payer({"/metadata": (200, capabilities(version="5.0.0", create=False))}) as url:
        step = steps_of(url)["metadata"]
    assert step.status == "warning"
    assert "it is not FHIR R4 (4.0.1)" in step.text
    assert "it declares neither create of Claim nor Claim/$submit" in step.text


@pytest.mark.parametrize(
    ("issues", "expected"),
    [
        ([{"severity": "information", "code": "informational"}], "ok"),
        ([{"severity": "error", "code": "code-invalid", "diagnostics": POISON}], "warning"),
    ],
)
def test_a_sample_claim_is_validated_where_the_payer_offers_it(issues: list[Any], expected: str) -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": issues}
    answers = {"/metadata": (200, capabilities("validate")), "/Claim/$validate": (200, outcome)}
    with payer(answers) as url:
        step = steps_of(url)["claim"]
    assert step.status == expected
    assert POISON not in step.text + step.advice


def test_the_sample_claim_is_a_valid_r4_claim() -> None:
    assert model_findings(orjson.loads(sample_claim())) == []


@pytest.mark.parametrize("fault", ["no file", "refused", "no endpoint"])
def test_what_keeps_us_from_a_token_is_said_without_the_secret(tmp_path: Path, fault: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(POISON)
    secret.chmod(0o600)
    settings: dict[str, Any] = {"auth": "client-credentials", "client_id": "adapter", "secret_file": secret}
    with Server(auth="client-credentials", secret=f"adapter:{'other' if fault == 'refused' else POISON}") as server:
        if fault == "no file":
            secret.unlink()
        base = server.url + "/nowhere" if fault == "no endpoint" else server.url
        steps = steps_of(base, **settings)
    failed = next(step for step in steps.values() if step.status == "failed")
    assert failed.name == ("settings" if fault == "no file" else "token")
    assert failed.advice
    assert POISON not in repr(steps)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "fhir_coder", *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)

    return command


def test_the_command_says_it_as_text_and_as_json_and_ends_with_1_where_a_step_failed(run: Run, tmp_path: Path) -> None:
    with payer(GOOD) as url:
        lines = [f'[[payers]]\nname = "{name}"\nurl = "{at}"\n' for name, at in (("acme", url), ("shut", f"{url}/x"))]
        (tmp_path / "fhir-coder.toml").write_text("".join(lines))
        good, shut, none = (run("payers", "test", name) for name in ("acme", "shut", "none"))
        as_json = run("payers", "test", "shut", "--json")
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "acme: claims can be sent")
    assert (shut.returncode, none.returncode, as_json.returncode) == (1, 2, 1)
    said = json.loads(as_json.stdout)
    assert (said["payer"], said["passed"]) == ("shut", False)
    assert [step["name"] for step in said["steps"]] == list(STEPS)
    assert json.loads(run("payers", "list", "--json").stdout)[0] == {
        "payer": "acme",
        "profile": "base",
        "url": url,
        "auth": "none",
        "tls": "none",
        "state": "up",
    }


def test_keys_are_made_listed_and_rotated_by_command(run: Run, tmp_path: Path) -> None:
    assert run("payers", "keys", "keys.json").returncode == 2
    for algorithm in ("ES384", "RS384"):
        done = run("payers", "keys", "keys.json", "--add", algorithm, "--json")
    first, second = json.loads(done.stdout)
    assert (first["use"], second["use"]) == ("signs", "published")
    run("payers", "keys", "keys.json", "--use", second["key"])
    left = json.loads(run("payers", "keys", "keys.json", "--drop", first["key"], "--json").stdout)
    assert left == [second | {"use": "signs"}]
    assert run("payers", "keys", "keys.json", "--add", "HS256").returncode == 2
    assert (tmp_path / "keys.json").stat().st_mode & 0o077 == 0
