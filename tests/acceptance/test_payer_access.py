"""A payer that asks who we are and calls back: real processes, TLS, a token endpoint that fetches our public keys."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from fhir_coder.payers.keys import KeySet
from fhir_coder.payers.sandbox import Rules, running
from fhir_coder.queries import claim_story, list_answers, list_claims
from fhir_coder.scenarios import Scenario
from fhir_coder.settings import PayerSettings, example_settings, read_settings, to_toml
from fhir_coder.trial import HOST, Trial

TOKEN = "callback-token-of-the-payer"


def with_payer(trial: Trial, **settings: object) -> None:
    """Let the trial's only payer have these settings."""
    before = read_settings(trial.settings_file)
    payer = before.payers[0].model_dump() | settings
    changed = before.model_copy(update={"payers": (PayerSettings.model_validate(payer),)})
    trial.settings_file.write_text(to_toml(changed))


def status_of(trial: Trial, wanted: str) -> str:
    """The status of the only claim, once it is the wanted one or time is up."""
    until = time.monotonic() + 30.0
    while True:
        found = [c.status for c in list_claims(trial.ledger)]
        if found == [wanted] or time.monotonic() > until:
            return ", ".join(found)
        time.sleep(0.05)


def test_a_pended_claim_is_decided_by_the_notification_of_its_payer(
    trial: Trial, scenarios: dict[str, Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBACK_TOKEN", TOKEN)
    with running(rules=Rules(pend_seconds=1.0)) as payer:
        with_payer(trial, url=f"{payer}/fhir", poll_base=600.0, notify_token_env="CALLBACK_TOKEN")
        trial.start_adapter()
        address = f"http://{HOST}:{trial.http_port}/payers/{example_settings().payers[0].name}/notifications"
        channel = {"type": "rest-hook", "endpoint": address, "payload": "application/fhir+json"}
        asked = {"resourceType": "Subscription", "status": "requested", "reason": "decisions"}
        asked |= {"criteria": "ClaimResponse?status=active"}
        body = asked | {"channel": channel | {"header": [f"Authorization: Bearer {TOKEN}"]}}
        made = requests.post(f"{payer}/fhir/Subscription", json=body, timeout=10)
        assert made.status_code == 201
        trial.send(scenarios["covid"])
        assert status_of(trial, "complete") == "complete"
    story = claim_story(trial.ledger, list_claims(trial.ledger)[0].identifier)
    assert ("callback", "answered") in [(a.kind, a.outcome) for a in story.attempts]
    assert {a.status for a in list_answers(trial.ledger)} <= {"applied", "repeated"}
    assert TOKEN not in trial.log_of("adapter")
    assert all(TOKEN.encode() not in file.read_bytes() for file in trial.folder.glob("ledger.db*"))


def test_our_public_keys_are_shown_to_everybody_and_a_new_one_at_once(trial: Trial, tmp_path: Path) -> None:
    keys = KeySet(tmp_path / "keys.json")
    first = keys.add("ES384")
    with_payer(trial, auth="smart", client_id="adapter", key_file=str(tmp_path / "keys.json"))
    trial.start_adapter()
    address = f"http://{HOST}:{trial.http_port}/.well-known/jwks.json"
    shown = requests.get(address, timeout=10)
    assert shown.headers["Content-Type"] == "application/jwk-set+json"
    assert [key["kid"] for key in shown.json()["keys"]] == [first]
    assert "d" not in shown.json()["keys"][0]
    second = keys.add("RS384")
    assert [key["kid"] for key in requests.get(address, timeout=10).json()["keys"]] == [first, second]
    (tmp_path / "keys.json").write_text("broken")
    assert requests.get(address, timeout=10).status_code == 503
    assert "broken" not in trial.log_of("adapter")
