"""`payers subscribe`: a payer is asked to post its decisions here, by a real process over a real socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fhir_coder.model import Json

SETTINGS = """
[site]
name = "Clinic"
npi = "1234567893"

[[payers]]
name = "plan-pas"
url = "{url}/fhir"
profile = "davinci-pas"
use = "preauthorization"
notify_token_env = "{token}"

[payers.pas]
contact_phone = "555-0100"
"""
HERE = "http://127.0.0.1:9/payers/plan-pas/notifications"


class Payer(HTTPServer):
    """A payer that answers every Subscription with one status."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Desk)
        self.status = status
        self.asked: list[tuple[str, dict[str, str], Json]] = []


class _Desk(BaseHTTPRequestHandler):
    server: Payer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        answer = json.dumps({"resourceType": "Subscription", "id": "77"}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[201])
def payer(request: pytest.FixtureRequest) -> Iterator[Payer]:
    served = Payer(request.param)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


def subscribe(folder: Path, payer: Payer, *, to: str = HERE, token: str = "NEWS_TOKEN") -> tuple[int, str]:
    file = folder / "fhir-coder.toml"
    file.write_text(SETTINGS.format(url=f"http://127.0.0.1:{payer.server_address[1]}", token=token), encoding="utf-8")
    command = [sys.executable, "-m", "fhir_coder", "payers", "subscribe", "plan-pas", "--to", to, "-c", str(file)]
    ran = subprocess.run(
        command,
        env={**os.environ, "NEWS_TOKEN": "SECRET-OF-THE-NEWS"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_the_payer_gets_one_subscription_with_our_token_and_the_token_is_not_shown(
    tmp_path: Path, payer: Payer
) -> None:
    code, said = subscribe(tmp_path, payer)
    ((path, headers, sent),) = payer.asked
    assert (code, said.strip()) == (0, "plan-pas: subscribed (Subscription/77)")
    assert path == "/fhir/Subscription"
    assert headers["If-None-Exist"] == "url=http%3A%2F%2F127.0.0.1%3A9%2Fpayers%2Fplan-pas%2Fnotifications"
    assert sent["channel"]["endpoint"] == HERE
    assert sent["channel"]["header"] == ["Authorization: Bearer SECRET-OF-THE-NEWS"]
    assert sent["_criteria"]["extension"][0]["valueString"] == "orgIdentifier=1234567893"


@pytest.mark.parametrize("payer", [404], indirect=True)
def test_a_payer_that_takes_no_subscription_is_told_of_with_exit_status_1(tmp_path: Path, payer: Payer) -> None:
    code, said = subscribe(tmp_path, payer)
    assert code == 1
    assert "plan-pas: not subscribed: 404 refused" in said


def test_what_would_show_the_token_on_the_way_is_refused_before_anything_is_sent(tmp_path: Path, payer: Payer) -> None:
    code, said = subscribe(tmp_path, payer, to="http://us.example/payers/plan-pas/notifications")
    assert code == 2
    assert "--to: an https:// address" in said
    code, said = subscribe(tmp_path, payer, token="")
    assert code == 2
    assert "notify_token_env" in said
    assert payer.asked == []
