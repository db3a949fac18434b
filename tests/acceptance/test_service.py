"""The service as its users meet it: processes, ports, faults of the payer and of the input."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from fhir_coder.queries import ChartSearch, claim_story, list_charts, list_claims, list_messages
from fhir_coder.scenarios import Scenario, find_scenarios
from fhir_coder.shipped import EXAMPLE_TABLES, shipped
from fhir_coder.trial import HOST, Trial

POISON = "Quetzalcoatlus"


OWN_TABLE = """
id = "ours"
title = "Our own diagnosis codes"
kind = "diagnosis"
source_system = "urn:fhir-coder:local"
target_system = "http://hl7.org/fhir/sid/icd-10-cm"
version = "1"
publisher = "the site"
licence = "ours"
valid_from = "2015-10-01"
valid_to = ""
source = "written by hand"
note = ""
"""


def use_tables(trial: Trial, folder: Path) -> None:
    """Give a trial another folder of site tables."""
    text = trial.settings_file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("dir = "))
    trial.settings_file.write_text(text.replace(line, f'dir = "{folder}"'))


def command(trial: Trial, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command against a trial's settings."""
    words = [sys.executable, "-m", "fhir_coder", *arguments, "-c", str(trial.settings_file)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_payer_that_is_down_at_the_start_gets_its_claims_when_it_comes(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    trial.start_adapter()
    trial.send(scenarios["covid"])
    assert not trial.wait_until_settled(2)
    assert {c.status for c in list_claims(trial.ledger)} <= {"ready", "sent"}
    trial.start_payer()
    assert trial.wait_until_settled()
    assert [c.status for c in list_claims(trial.ledger)] == ["complete"]


def test_timeout_after_send_is_looked_up_before_resend(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    trial.start_payer(["drop-after-read:1"])
    trial.start_adapter()
    trial.send(scenarios["covid"])
    assert trial.wait_until_settled()
    story = claim_story(trial.ledger, list_claims(trial.ledger)[0].identifier)
    assert [(a.kind, a.outcome) for a in story.attempts[:2]] == [("submit", "unknown"), ("look-up", "found")]
    assert [h["received"] for h in trial.payer_claims()] == [1]


def test_a_claim_that_never_arrived_is_sent_again_after_the_look_up(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    trial.start_payer(["drop-before-read:1"])
    trial.start_adapter()
    trial.send(scenarios["covid"])
    assert trial.wait_until_settled()
    story = claim_story(trial.ledger, list_claims(trial.ledger)[0].identifier)
    assert [(a.kind, a.outcome) for a in story.attempts[:2]] == [("submit", "unknown"), ("look-up", "not-found")]
    assert [a.kind for a in story.attempts[2:3]] == ["submit"]
    assert [h["received"] for h in trial.payer_claims()] == [1]


def test_retry_after_is_the_lower_bound_of_the_wait(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    trial.start_payer(["503:1:retry-after=3"])
    trial.start_adapter()
    trial.send(scenarios["covid"])
    assert trial.wait_until_settled()
    first, second, *_ = claim_story(trial.ledger, list_claims(trial.ledger)[0].identifier).attempts
    assert (first.outcome, first.http_status) == ("busy", 503)
    assert (second.started_at - first.ended_at).total_seconds() >= 3


def test_a_held_claim_is_never_sent(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    trial.start_payer()
    trial.start_adapter()
    trial.send(scenarios["unmapped-diagnosis"])
    trial.send(scenarios["missing-subscriber"])
    assert trial.wait_until_settled()
    assert {c.status for c in list_claims(trial.ledger)} == {"held"}
    assert trial.payer_claims() == []
    assert "no_" in command(trial, "work", "list").stdout


def test_the_same_visit_over_two_feeds_is_billed_once(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    trial.start_payer()
    trial.start_adapter()
    bundle = scenarios["synthea-like-bundle"]
    trial.send(bundle)
    assert trial.wait_until_settled()
    for file in bundle.files:
        (trial.inbox / file.name).write_bytes(file.read_bytes())
    assert trial.wait_until_settled()
    assert {h["received"] for h in trial.payer_claims()} == {1}
    assert len(trial.payer_claims()) == 2


def test_unreadable_payloads_are_answered_kept_and_stop_nobody(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    trial.start_payer()
    trial.start_adapter()
    with trial.mllp() as client:
        assert client.send(b"not a message").code == "AR"
        assert client.send(b"MSH|^~\\&|A|B|||20261103||DFT^P03||P|2.5.1\rPID|1\r").code == "AR"
        assert client.send(scenarios["covid"].files[0].read_bytes()).code == "AA"
    answer = trial.post("fhir", b'{"resourceType": ', "application/fhir+json")
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    (trial.inbox / "empty.hl7").write_bytes(b"")
    (trial.inbox / "picture.hl7").write_bytes(b"\x89PNG\x00\xff not a message")
    assert trial.wait_until_settled()
    statuses = [m.status for m in list_messages(trial.ledger)]
    assert statuses.count("quarantined") == 5
    assert [c.status for c in list_claims(trial.ledger)] == ["complete"]
    assert {p.name for p in (trial.inbox / "failed").iterdir()} == {"empty.hl7", "picture.hl7"}


def test_the_same_control_id_with_other_bytes_is_a_conflict_that_is_kept(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    body = scenarios["covid"].files[0].read_bytes()
    trial.start_adapter()
    with trial.mllp() as client:
        assert client.send(body).code == "AA"
        assert client.send(body).code == "AA"
        assert client.send(body.replace(b"312.50", b"999.50")).code == "AE"
    assert sorted(m.status for m in list_messages(trial.ledger)) in (["charted", "conflict"], ["conflict", "received"])


def test_a_row_added_to_a_table_releases_the_held_claim_at_the_next_start(
    trial: Trial, scenarios: dict[str, Scenario], tmp_path: Path
) -> None:
    tables = tmp_path / "tables"
    shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, tables)
    use_tables(trial, tables)
    trial.start_payer()
    trial.start_adapter()
    trial.send(scenarios["unmapped-diagnosis"])
    assert trial.wait_until_settled()
    assert [c.status for c in list_claims(trial.ledger)] == ["held"]
    trial.stop("adapter")
    (tables / "ours.csv").write_text("source_code,target_code\nDX-UNKNOWN,R21\n")
    (tables / "ours.toml").write_text(OWN_TABLE)
    trial.start_adapter()
    assert trial.wait_until_settled()
    assert [c.status for c in list_claims(trial.ledger)] == ["complete"]
    assert command(trial, "work", "list").stdout.strip() == "none"


def test_a_part_that_cannot_be_used_holds_the_claim_until_a_person_closes_its_item(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    trial.start_payer()
    trial.start_adapter()
    body = scenarios["covid"].files[0].read_bytes()
    spoiled = body.replace(b"|24.00&USD|", b"|24.0O&USD|")
    assert spoiled != body
    with trial.mllp() as client:
        assert client.send(spoiled).code == "AA"
    assert trial.wait_until_settled()
    assert [c.status for c in list_claims(trial.ledger)] == ["held"]
    listed = json.loads(command(trial, "work", "list", "--json").stdout)
    assert [i["reason"] for i in listed] == ["unusable-part"]
    done = command(trial, "work", "close", str(listed[0]["id"]), "--why", "the charge was made in error")
    assert done.returncode == 0, done.stderr
    assert trial.wait_until_settled()
    assert [c.status for c in list_claims(trial.ledger)] == ["complete"]
    assert command(trial, "work", "list").stdout.strip() == "none"


def test_a_token_that_is_not_in_the_environment_is_said_and_nothing_starts(trial: Trial) -> None:
    before, payers = trial.settings_file.read_text().split("[[payers]]", 1)
    payers = payers.replace('auth = "none"', 'auth = "bearer"', 1)
    payers = payers.replace('secret_env = ""', 'secret_env = "FHIR_CODER_NO_SUCH_TOKEN"', 1)
    trial.settings_file.write_text(f"{before}[[payers]]{payers}")
    done = command(trial, "serve")
    assert done.returncode == 2
    assert "FHIR_CODER_NO_SUCH_TOKEN is not set" in done.stderr


def test_a_port_in_use_is_said_and_nothing_starts(trial: Trial) -> None:
    with socket.create_server((HOST, trial.mllp_port)):
        done = command(trial, "serve")
    assert done.returncode == 2
    assert f"port {trial.mllp_port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_service_on_one_ledger_is_refused(trial: Trial) -> None:
    trial.start_adapter()
    done = command(trial, "serve")
    assert done.returncode != 0
    assert "another fhir-coder" in done.stderr


def test_a_table_with_faults_starts_nothing_and_lists_them_all(trial: Trial, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "bad.csv").write_text("source_code,target_code,colour\nX1,G0463,red\n")
    use_tables(trial, tables)
    done = command(trial, "serve")
    assert done.returncode == 2
    assert "bad.csv" in done.stderr
    assert "Traceback" not in done.stderr


def chart_keys(trial: Trial) -> list[str]:
    return [row.key for row in list_charts(trial.ledger, ChartSearch())]


def test_no_output_names_a_patient(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    """A poison name goes through every feed and every fault; no log, list, metric or page shows it."""
    trial.start_payer(["500:1", "drop-after-read:1:on=3"])
    trial.start_adapter()
    covid = scenarios["covid"].files[0].read_bytes().split(b"\r")
    pid = next(i for i, s in enumerate(covid) if s.startswith(b"PID"))
    fields = covid[pid].split(b"|")
    fields[5] = POISON.encode() + b"^" + POISON.encode()
    poisoned = b"\r".join([*covid[:pid], b"|".join(fields), *covid[pid + 1 :]])
    bundle = scenarios["synthea-like-bundle"].files[0].read_bytes()
    document = json.loads(bundle)
    for entry in document["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"] = [{"family": POISON, "given": [POISON]}]
    gap = poisoned.replace(b"LK000101", b"LKPOISON1").replace(b"VN-1001", b"VN-9001")
    gap = gap.replace(b"840539006", POISON.encode()).replace(b"312.50", POISON.encode())
    with trial.mllp() as client:
        answers = [client.send(body).raw for body in (poisoned, gap, b"MSH|^~\\&|\r" + fields[5], fields[5])]
    answers.append(trial.post("fhir", json.dumps(document).encode(), "application/fhir+json").content)
    answers.append(trial.post("fhir", b'{"resourceType": "' + POISON.encode() + b'"', "application/json").content)
    (trial.inbox / "broken.ndjson").write_bytes(b'{"resourceType":"Condition","code":"' + POISON.encode() + b'"}\n')
    assert trial.wait_until_settled()

    outputs = {f"answer {n}": a.decode("latin-1") for n, a in enumerate(answers)}
    outputs |= {name: trial.log_of(name) for name in ("adapter", "payer")}
    for words in (
        ("status",),
        ("messages", "list"),
        ("claims", "list"),
        ("work", "list"),
        ("messages", "list", "--json"),
        ("messages", "list", "--patient", "LK10001"),
        ("messages", "list", "--status", "quarantined", "--since", "2h"),
        ("messages", "reprocess", "--all", "--accept-conflict", "--dry-run"),
        ("messages", "reprocess", "--status", "quarantined"),
        ("messages", "edit", "LK000101", "--with", str(trial.settings_file)),
        ("charts", "list"),
        ("charts", "list", "--patient", "LK10001"),
        *(("charts", "show", key, *form) for key in chart_keys(trial) for form in ((), ("--json",))),
        ("charts", "verify"),
    ):
        done = command(trial, *words)
        outputs[" ".join(words)] = done.stdout + done.stderr
    for page in ("", "status", "metrics", "health"):
        outputs[f"GET /{page}"] = requests.get(f"http://{HOST}:{trial.http_port}/{page}", timeout=10).text
    assert outputs["adapter"]
    shown = [name for name, text in outputs.items() if POISON.lower() in text.lower()]
    assert shown == []


@pytest.mark.timeout(300)
def test_the_demo_ends_well_and_shows_the_retry_and_the_look_up() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fhir_coder", "demo"], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for said in ("exactly once", "look-up", "busy", "U07.1", "Waits for a person"):
        assert said in done.stdout


@pytest.mark.timeout(300)
def test_replay_of_the_shipped_scenarios_is_as_expected(tmp_path: Path) -> None:
    report = tmp_path / "replay.xml"
    words = [sys.executable, "-m", "fhir_coder", "replay", str(shipped("fixtures")), "--junit", str(report)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert report.read_text().count("<testcase") == len(find_scenarios([shipped("fixtures")]))
