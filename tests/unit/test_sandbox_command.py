"""`fhir-coder payer` as a process: what it says when it begins, and what it says where it cannot."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.certificates import Authority
from tests.sandbox import make_claim

COMMAND = [sys.executable, "-m", "fhir_coder", "payer"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_it_speaks_by_its_options(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    cert, key = authority.issue("payer.example")
    rules = tmp_path / "rules.toml"
    rules.write_text('denied_codes = ["J1885"]\npend_seconds = 3600\n')
    options = ["--port", str(port), "--rules", str(rules), "--pend-seconds", "0", "--fault", "503"]
    options += ["--tls", str(cert), str(key), "--store", str(tmp_path / "payer.db")]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            url = f"https://127.0.0.1:{port}"
            assert process.stdout is not None
            assert process.stdout.readline() == f"sandbox payer: {url}/fhir   what it holds: {url}/_sandbox/\n"
            answers = [sent(f"{url}/fhir/Claim/$submit", authority) for _ in range(2)]
        finally:
            process.terminate()
    assert [a.status_code for a in answers] == [503, 200]
    assert answers[1].json()["disposition"] == "1 of 2 lines are accepted."
    assert (tmp_path / "payer.db").is_file()


def sent(url: str, authority: Authority) -> requests.Response:
    """The answer to a claim; the process may need a moment before it listens."""
    until = time.monotonic() + 60
    while True:
        try:
            return requests.post(
                url, json=make_claim(item=[], total=None) | whole(), verify=str(authority.ca), timeout=10
            )
        except requests.ConnectionError:
            assert time.monotonic() < until, "it does not listen"
            time.sleep(0.05)


def whole() -> dict[str, object]:
    """Lines and total with numbers that JSON's own writer knows."""
    lines = [("G0463", 150.25), ("J1885", 10.5)]
    money = [{"value": value, "currency": "USD"} for _, value in lines]
    items = [
        {
            "sequence": n,
            "diagnosisSequence": [1],
            "productOrService": {"coding": [{"code": code}]},
            "quantity": {"value": 1},
            "unitPrice": net,
            "net": net,
        }
        for n, ((code, _), net) in enumerate(zip(lines, money, strict=True), start=1)
    ]
    return {"item": items, "total": {"value": 160.75, "currency": "USD"}}


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--fault", "dropp"], 2, "dropp: is none of"),
        (["--rules", "none.toml"], 2, "none.toml: No such file"),
        (["--profile", "x12"], 2, "--profile is one of base, davinci-pas"),
        (["--client-ca", "ca.pem"], 2, "--client-ca needs --tls"),
        (["--tls", "no.pem", "no.key"], 1, "--tls: no.pem and no.key cannot be used"),
        (["--store", "no/folder/payer.db"], 1, "no file for the payer's claims can be opened there"),
    ],
)
def test_it_says_why_it_cannot_begin(tmp_path: Path, options: list[str], status: int, told: str) -> None:
    command = [*COMMAND, "--port", str(free_port()), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
