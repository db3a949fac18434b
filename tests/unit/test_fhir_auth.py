"""Keys and assertions of SMART backend services, and what settings of a FHIR feed may say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk, jwt
from pydantic import ValidationError

from fhir_coder.payers.auth import assertion, auth_faults
from fhir_coder.payers.keys import signing_key
from fhir_coder.settings import FhirFeed


def feed(**settings: Any) -> FhirFeed:
    base = {"name": "ehr", "kind": "fhir", "url": "https://ehr.example.org/fhir", "since": "2026-01-01"}
    return FhirFeed.model_validate({**base, **settings})


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "key"
    file.write_text(text)
    file.chmod(mode)
    return file


RSA: Any = jwk.RSAKey.generate_key(2048)
EC: Any = jwk.ECKey.generate_key("P-384")
SMALL: Any = jwk.ECKey.generate_key("P-256")


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS384"), (EC, "ES384")])
def test_an_assertion_says_what_smart_asks_for(tmp_path: Path, key: Any, algorithm: str) -> None:
    file = key_file(tmp_path, key.as_pem(private=True).decode())
    ours = feed(auth="smart", client_id="me", key_file=file, key_id="k1")
    first, second = (assertion(ours, "https://auth/token", 1000) for _ in range(2))
    found = jwt.decode(first, key, algorithms=[algorithm])

    assert found.header == {"alg": algorithm, "kid": "k1", "typ": "JWT"}
    ids = {found.claims.pop("jti"), jwt.decode(second, key, algorithms=[algorithm]).claims["jti"]}
    assert len(ids) == 2
    assert found.claims == {"iss": "me", "sub": "me", "aud": "https://auth/token", "iat": 1000, "exp": 1240}


def test_the_key_of_a_set_is_the_one_that_key_id_names(tmp_path: Path) -> None:
    keys = [{**RSA.as_dict(private=True), "kid": "old"}, {**EC.as_dict(private=True), "kid": "new"}]
    file = key_file(tmp_path, json.dumps({"keys": keys}))

    named = [signing_key(feed(auth="smart", client_id="me", key_file=file, key_id=i)).id for i in ("old", "new")]
    assert named == ["old", "new"]
    assert signing_key(feed(auth="smart", client_id="me", key_file=file)).id == "old", "the first, where none is named"
    faults = auth_faults(feed(auth="smart", client_id="me", key_file=file, key_id="other"))
    assert faults == [("key_file", "the set has no key of the id that key_id names")]


@pytest.mark.parametrize(
    ("text", "mode", "fault"),
    [
        (EC.as_pem(private=True).decode(), 0o644, "the file may be read by others: chmod 600"),
        (EC.as_pem(private=True).decode(), 0o600, "the key has no id: set key_id to what the server knows it by"),
        (SMALL.as_pem(private=True).decode(), 0o600, "the key must be RSA (RS384) or EC P-384 (ES384)"),
        (EC.as_pem(private=False).decode(), 0o600, "the file holds no private RSA or EC key"),
        ("no key", 0o600, "the file holds no private RSA or EC key without a passphrase"),
        ("{}", 0o600, "the file holds no JWK"),
        ('{"keys": 5}', 0o600, "the file holds no JWK"),
    ],
)
def test_a_key_that_cannot_sign_is_a_fault_before_anything_starts(
    tmp_path: Path, text: str, mode: int, fault: str
) -> None:
    assert auth_faults(feed(auth="smart", client_id="me", key_file=key_file(tmp_path, text, mode))) == [
        ("key_file", fault)
    ]


def test_a_secret_that_is_not_there_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    faults = auth_faults(feed(auth="bearer", secret_env="NO_SUCH"))

    assert faults == [("secret_env", "the environment variable NO_SUCH is not set")]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"auth": "smart"}, "needs client_id and key_file"),
        ({"auth": "basic", "user": "me"}, "needs secret_env, secret_file or secret_keyring"),
        (
            {"auth": "bearer", "secret_env": "X", "url": "http://ehr.example.org/fhir"},
            "nothing secret is sent over http",
        ),
        ({"tls_cert": "a"}, "tls_cert and tls_key go together"),
        ({"hosts": ["https://files.example.org/x"]}, "without a path"),
        ({"types": []}, "at least one resource type"),
        ({"bulk": "everything"}, "pattern"),
        ({"url": "https://user:secret@ehr.example.org/fhir"}, "pattern"),
        ({"name": "a/b"}, "pattern"),
    ],
)
def test_settings_that_cannot_work_are_faults(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        feed(**settings)
