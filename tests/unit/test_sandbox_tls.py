"""The sandbox over TLS: its certificate, the wrong one on demand, and certificates of clients."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from fhir_coder.errors import FhirCoderError
from fhir_coder.payers.sandbox import TlsFiles, running
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def get(url: str, authority: Authority, **more: object) -> int:
    with requests.Session() as session:
        return session.get(f"{url}/metadata", verify=str(authority.ca), timeout=10, **more).status_code  # type: ignore[arg-type]  # options as requests takes them


def test_the_next_connections_see_another_hosts_certificate(authority: Authority) -> None:
    tls = TlsFiles(*authority.issue("payer.example"))
    with running(tls=tls, faults=["wrong-certificate:2:on=2"]) as url:
        assert get(url, authority) == 200
        for _ in range(2):
            with pytest.raises(requests.exceptions.SSLError, match="certificate"):
                get(url, authority)
        assert get(url, authority) == 200


def test_a_connection_that_is_open_stays_as_it_is(authority: Authority) -> None:
    tls = TlsFiles(*authority.issue("payer.example"))
    with running(tls=tls) as url, requests.Session() as session:
        ca = str(authority.ca)
        assert session.get(f"{url}/metadata", timeout=10, verify=ca).status_code == 200
        session.post(f"{url}/_sandbox/faults", json={"spec": "wrong-certificate"}, timeout=10, verify=ca)
        assert session.get(f"{url}/metadata", timeout=10, verify=ca).status_code == 200


def test_a_client_shows_a_certificate_where_it_is_asked_for_one(authority: Authority) -> None:
    tls = TlsFiles(*authority.issue("payer.example"), client_ca=authority.ca)
    cert, key = authority.issue("adapter.example")
    with running(tls=tls) as url:
        assert get(url, authority, cert=(str(cert), str(key))) == 200
        with pytest.raises(requests.ConnectionError):
            get(url, authority)


def test_files_that_cannot_be_used_are_told(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("payer.example")
    other = authority.issue("other.example")[1]
    secret = authority.issue("secret.example", passphrase=b"x")
    text = tmp_path / "text.pem"
    text.write_text("no PEM")
    faulty = (
        (TlsFiles(cert, other), "--tls"),
        (TlsFiles(cert, tmp_path / "none"), "--tls"),
        (TlsFiles(text, key), "--tls"),
        (TlsFiles(*secret), "--tls"),
        (TlsFiles(cert, key, text), "--client-ca"),
    )
    for files, option in faulty:
        with pytest.raises(FhirCoderError, match=option), running(tls=files):
            pass
