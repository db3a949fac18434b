"""Finding, showing, reprocessing and correcting messages while the service runs: commands beside a real process."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_coder.queries import list_claims, list_messages
from fhir_coder.scenarios import Scenario
from fhir_coder.trial import Trial

MRN = "LK10001"
USER = f"user {pwd.getpwuid(os.getuid()).pw_name}"


def command(trial: Trial, *arguments: str, status: int = 0, **environment: str) -> str:
    """Run a command against a trial's settings; answers what it prints."""
    words = [sys.executable, "-m", "fhir_coder", *arguments, "-c", str(trial.settings_file)]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def listed(trial: Trial, *options: str) -> list[dict[str, str]]:
    """What `messages list --json` says."""
    text = command(trial, "messages", "list", "--json", *options)
    found: list[dict[str, str]] = json.loads(text[: text.rindex("]") + 1])
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it is so: the service looks for work of others every five seconds."""
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, "it never came to be so"
        time.sleep(0.05)


@pytest.fixture
def covid(scenarios: dict[str, Scenario]) -> bytes:
    return scenarios["covid"].files[0].read_bytes()


def test_messages_are_found_by_everything_that_may_be_asked(
    trial: Trial, scenarios: dict[str, Scenario], covid: bytes
) -> None:
    trial.start_adapter()
    for name in ("covid", "xray-wrist", "synthea-like-bundle"):
        trial.send(scenarios[name])
    with trial.mllp() as client:
        assert client.send(covid.replace(b"312.50", b"999.50")).code == "AE"
        assert client.send(b"not a message").code == "AR"
    wait_for(lambda: not any(m.status == "received" for m in list_messages(trial.ledger)))

    (mine,) = listed(trial, "--control-id", "LK000101", "--status", "charted")
    assert (mine["type"], mine["feed"]) == ("DFT^P03", "mllp")
    assert listed(trial, "--control-id", "lk000101") == []
    assert [m["id"] for m in listed(trial, "--chart", "LAKESHORE/VN/VN-1001")] == [mine["id"]]
    assert [m["id"] for m in listed(trial, "--patient", MRN)] == [mine["id"]]
    assert listed(trial, "--patient", "LK1000") == []
    assert [m["type"] for m in listed(trial, "--type", "Bundle")] == ["Bundle"]
    assert {m["status"] for m in listed(trial, "--status", "quarantined")} == {"quarantined"}
    every = listed(trial, "--since", "2h")
    assert [m["id"] for m in every] == [m.id for m in list_messages(trial.ledger)]
    assert listed(trial, "--until", "2h") == []
    assert listed(trial, "--since", "2026-01-01", "--feed", "nobody") == []
    pages = [listed(trial, "--limit", "3")]
    pages.append(listed(trial, "--limit", "50", "--before", pages[0][-1]["id"]))
    assert [m for page in pages for m in page] == every
    key = trial.folder / "ledger.db.patient-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in trial.log_of("adapter")
    assert "not a time" in command(trial, "messages", "list", "--since", "yesterday", status=2)
    assert "--status" in command(trial, "messages", "list", "--status", "lost", status=2)


def test_an_accepted_conflict_and_a_correction_are_taken_by_the_running_service(
    trial: Trial, covid: bytes, tmp_path: Path
) -> None:
    trial.start_payer()
    trial.start_adapter()
    with trial.mllp() as client:
        assert client.send(covid).code == "AA"
        assert client.send(covid.replace(b"312.50", b"999.50")).code == "AE"
    assert trial.wait_until_settled()
    (conflict,) = listed(trial, "--status", "conflict")
    assert "--accept-conflict" in command(trial, "messages", "reprocess", "--status", "conflict")
    assert "charted" in command(trial, "messages", "reprocess", conflict["id"], "--accept-conflict", "--dry-run")

    assert command(trial, "messages", "reprocess", conflict["id"], "--accept-conflict").startswith("1 to be read")
    wait_for(lambda: not listed(trial, "--status", "conflict") and trial.wait_until_settled(1))
    assert [c.total for c in list_claims(trial.ledger)] == ["1023.50", "336.50"]
    assert "conflict" not in command(trial, "work", "list")

    corrected = tmp_path / "corrected.hl7"
    corrected.write_bytes(covid.replace(b"312.50", b"400.00"))
    told = command(trial, "messages", "edit", conflict["id"], "--with", str(corrected))
    wait_for(lambda: len(listed(trial, "--status", "superseded")) == 1 and trial.wait_until_settled(1))
    (old,) = listed(trial, "--status", "superseded")
    new = told.split()[0]
    assert old["id"] == conflict["id"]
    assert list_claims(trial.ledger)[0].total == "424.00"
    assert {h["received"] for h in trial.payer_claims()} == {1}
    shown = command(trial, "messages", "show", new)
    for said in (f"corrects message {old['id']} (superseded)", "999.50", "400.00", "as edited", USER):
        assert said in shown
    assert f"corrected by message {new}" in command(trial, "messages", "show", old["id"])
    again = command(trial, "messages", "edit", old["id"], "--with", str(corrected), status=1)
    assert f"corrected by {new}" in again


def test_a_message_is_edited_in_the_persons_own_editor_with_segments_on_lines(
    trial: Trial, covid: bytes, tmp_path: Path
) -> None:
    trial.start_adapter()
    with trial.mllp() as client:
        client.send(covid.replace(b"LK000101", b""))  # no control id: quarantined
    (broken,) = listed(trial, "--status", "quarantined")
    assert broken["id"] in command(trial, "work", "list")
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\ngrep -c '' \"$1\" > " + str(tmp_path / "lines") + "\nsed -i 's/DFT_P03||/DFT_P03|LK9|/' \"$1\"\n"
    )
    editor.chmod(0o755)

    assert "nothing is filed" in command(trial, "messages", "edit", broken["id"], status=1, EDITOR="false", VISUAL="")
    assert "nothing is filed" in command(trial, "messages", "edit", broken["id"], status=1, EDITOR="true", VISUAL="")
    told = command(trial, "messages", "edit", broken["id"], EDITOR=str(editor), VISUAL="")

    wait_for(lambda: [m["id"] for m in listed(trial, "--status", "superseded")] == [broken["id"]])
    (new,) = listed(trial, "--status", "charted")
    assert told.startswith(new["id"])
    assert new["control_id"] == "LK9"
    assert int((tmp_path / "lines").read_text()) > 5
    assert "quarantine" not in command(trial, "work", "list")


def test_a_message_is_shown_parsed_with_the_names_of_the_standard(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    trial.start_adapter()
    trial.send(scenarios["covid"])
    trial.send(scenarios["synthea-like-bundle"])
    wait_for(lambda: [m.status for m in list_messages(trial.ledger)] == ["charted", "charted"])
    (bundle,) = listed(trial, "--type", "Bundle")

    text = command(trial, "messages", "show", "LK000101", "--parsed")
    assert "Patient identifier list" in text
    assert "Identifier type code" in text
    tree = command(trial, "messages", "show", bundle["id"], "--parsed")
    assert "entry[0]" in tree
    history = command(trial, "messages", "show", "LK000101")
    assert "shown parsed" in history
    assert USER in history


def test_what_to_reprocess_must_be_said(trial: Trial) -> None:
    trial.start_adapter()

    for words in ((), ("LK1", "--all")):
        assert "--all" in command(trial, "messages", "reprocess", *words, status=2)
    assert "no such message" in command(trial, "messages", "reprocess", "LK1", status=1)
    assert command(trial, "messages", "reprocess", "--all").strip() == "none"
