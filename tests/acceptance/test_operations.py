"""Keeping a service well: what `doctor` sees, a backup of a running service, and what a restore brings back."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from fhir_coder.client import MllpClient
from fhir_coder.operations import Sign, examine, make_backup, restore
from fhir_coder.queries import list_claims, list_messages
from fhir_coder.scenarios import Scenario
from fhir_coder.settings import load_settings
from fhir_coder.shipped import EXAMPLE_TABLES, shipped
from fhir_coder.store import open_ledger, work
from fhir_coder.store.events import Change, record
from fhir_coder.trial import HOST, Trial
from tests.certificates import Authority
from tests.wire import wait_for

VISITS = 12


def visit(template: bytes, number: int) -> bytes:
    """The template's message for another visit, with its own control id."""
    name = f"{number:04d}"
    changed = template.replace(b"LK000101", f"OPS-{name}".encode()).replace(b"VN-1001", f"VN-OPS{name}".encode())
    return changed.replace(b"LK10001^", f"LK-OPS{name}^".encode())


def run(trial: Trial, *words: str) -> subprocess.CompletedProcess[str]:
    """A command on the trial's settings."""
    command = [sys.executable, "-m", "fhir_coder", *words, "-c", str(trial.settings_file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=trial.folder, check=False)


def signs(trial: Trial) -> dict[str, list[Sign]]:
    """What is found of each part, no payer asked."""
    found: dict[str, list[Sign]] = {}
    for one in examine(load_settings(trial.settings_file), ask_payers=False):
        found.setdefault(one.part, []).append(one)
    return found


def send(client: MllpClient, template: bytes, numbers: range) -> list[int]:
    """Send visits; answers those that were acknowledged."""
    return [number for number in numbers if client.send(visit(template, number)).code == "AA"]


def rewrite(trial: Trial, old: str, new: str) -> None:
    text = trial.settings_file.read_text(encoding="utf-8")
    assert old in text
    trial.settings_file.write_text(text.replace(old, new, 1), encoding="utf-8")


def tables_of(trial: Trial) -> str:
    """The folder of tables in the trial's settings."""
    return str(tomllib.loads(trial.settings_file.read_text(encoding="utf-8"))["tables"]["dir"])


def backed_up(trial: Trial, folder: Path) -> Path:
    """A backup of an empty ledger."""
    open_ledger(trial.folder / "ledger.db").close()
    make_backup(load_settings(trial.settings_file), folder / "kept")
    return folder / "kept"


# --- backup and restore


def test_a_backup_of_a_running_service_holds_all_that_was_acknowledged_and_after_a_restore_nothing_is_billed_twice(
    trial: Trial, scenarios: dict[str, Scenario], tmp_path: Path
) -> None:
    template = scenarios["covid"].files[0].read_bytes()
    trial.start_payer()
    trial.start_adapter()
    is_over, sent_meanwhile = threading.Event(), []

    def go_on() -> None:
        with trial.mllp() as client:
            number = VISITS
            while not is_over.is_set():
                sent_meanwhile.extend(send(client, template, range(number, number + 1)))
                number += 1
                is_over.wait(0.02)

    with trial.mllp() as client:
        before = send(client, template, range(VISITS))
    sender = threading.Thread(target=go_on)
    sender.start()
    try:
        made = run(trial, "backup", str(tmp_path / "kept"))
    finally:
        is_over.set()
        sender.join()
    assert made.returncode == 0, made.stderr
    assert trial.wait_until_settled()
    trial.stop("adapter")
    billed = {claim["identifier"] for claim in trial.payer_claims()}
    everything = len(before) + len(sent_meanwhile)
    assert len(before) == VISITS
    assert sent_meanwhile
    assert len(billed) == everything

    trial.ledger.close()
    trial._ledger = None
    back = run(trial, "restore", str(tmp_path / "kept"), "--replace")
    assert back.returncode == 0, back.stderr
    kept = {message.control_id for message in list_messages(trial.ledger, limit=1000)}
    assert kept >= {f"OPS-{number:04d}" for number in before}

    trial.start_adapter()
    with trial.mllp() as client:  # the senders send again what they sent since
        assert len(send(client, template, range(everything))) == everything
    assert trial.wait_until_settled()
    claims = list_claims(trial.ledger, limit=1000)
    assert Counter(claim.status for claim in claims) == {"complete": everything}
    assert {claim.identifier for claim in claims} == billed
    assert Counter(one["received"] for one in trial.payer_claims()) == {1: everything}


def test_a_claim_that_waited_when_the_backup_was_made_is_looked_up_before_it_is_sent(
    trial: Trial, scenarios: dict[str, Scenario], tmp_path: Path
) -> None:
    trial.start_adapter()  # without a payer: the claim waits
    trial.send(scenarios["covid"])
    assert run(trial, "backup", str(tmp_path / "kept")).returncode == 0
    trial.start_payer()
    assert trial.wait_until_settled(90)
    trial.stop("adapter")
    trial.ledger.close()
    trial._ledger = None
    assert [one["received"] for one in trial.payer_claims()] == [1]

    assert run(trial, "restore", str(tmp_path / "kept"), "--replace").returncode == 0
    trial.start_adapter()
    assert trial.wait_until_settled(90)

    assert [claim.status for claim in list_claims(trial.ledger)] == ["complete"]
    assert [one["received"] for one in trial.payer_claims()] == [1]


def test_a_restore_moves_nothing_it_was_not_asked_to_and_never_under_a_service(
    trial: Trial, scenarios: dict[str, Scenario], tmp_path: Path
) -> None:
    trial.start_adapter()
    trial.send(scenarios["covid"])
    kept = tmp_path / "kept"
    assert run(trial, "backup", str(kept)).returncode == 0
    again = run(trial, "backup", str(kept))
    assert again.returncode == 1
    assert "is there already" in again.stderr

    busy = run(trial, "restore", str(kept), "--replace")
    assert busy.returncode == 1
    assert "another fhir-coder works on" in busy.stderr
    trial.stop("adapter")
    there = run(trial, "restore", str(kept))
    assert there.returncode == 1
    assert "--replace moves it aside first" in there.stderr
    done = run(trial, "restore", str(kept), "--replace", "--json")
    aside = Path(json.loads(done.stdout)["set_aside"])
    with closing(sqlite3.connect(aside / "ledger.db")) as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone()[0] == 1


@pytest.mark.parametrize("harm", ["changed", "removed", "no manifest"])
def test_a_backup_that_is_not_whole_is_refused_with_the_file_at_fault(trial: Trial, tmp_path: Path, harm: str) -> None:
    kept = backed_up(trial, tmp_path)
    file = kept / ("backup.json" if harm == "no manifest" else "ledger.db")
    if harm == "changed":
        with file.open("r+b") as opened:
            opened.seek(5000)
            opened.write(b"\xff")
    else:
        file.unlink()

    refused = run(trial, "restore", str(kept), "--replace")

    assert refused.returncode == 1
    assert file.name in refused.stderr
    assert (trial.folder / "ledger.db").is_file()


def test_a_service_does_not_start_on_a_restore_that_was_broken_off(trial: Trial, tmp_path: Path) -> None:
    kept = backed_up(trial, tmp_path)
    (trial.folder / "ledger.db.restoring").touch()

    refused = run(trial, "serve")
    assert refused.returncode == 1
    assert "has not ended: give the command again" in refused.stderr
    settings = load_settings(trial.settings_file)
    assert restore(settings, kept, actor="test", replace=True).looked_up == 0
    assert run(trial, "status").returncode == 0


def test_a_backup_can_be_read_by_nobody_else(trial: Trial, tmp_path: Path) -> None:
    assert backed_up(trial, tmp_path).stat().st_mode & 0o077 == 0


def test_tables_are_brought_back_where_they_are_asked_for(trial: Trial, tmp_path: Path) -> None:
    shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, tmp_path / "tables")
    rewrite(trial, tables_of(trial), str(tmp_path / "tables"))
    kept = backed_up(trial, tmp_path)
    fees = (tmp_path / "tables" / "fees.csv").read_bytes()
    (tmp_path / "tables" / "fees.csv").write_bytes(b"")

    done = restore(load_settings(trial.settings_file), kept, actor="test", replace=True, with_tables=True)

    assert (tmp_path / "tables" / "fees.csv").read_bytes() == fees
    assert done.set_aside is not None
    assert (done.set_aside / "tables" / "fees.csv").read_bytes() == b""


# --- doctor


def test_a_service_that_is_well_is_said_to_be(trial: Trial) -> None:
    trial.start_payer()
    trial.start_adapter()
    told = run(trial, "doctor")
    assert told.returncode == 0, told.stdout
    assert "FAILED" not in told.stdout
    assert "a service works on this ledger" in told.stdout


def test_a_payer_that_does_not_answer_is_named_with_what_to_do(trial: Trial) -> None:
    told = run(trial, "doctor")
    assert told.returncode == 1
    assert "FAILED   payer lakeshore: tcp: " in told.stdout
    assert run(trial, "doctor", "--offline").returncode == 0


def test_a_port_that_another_program_has_is_named(trial: Trial) -> None:
    with socket.create_server((HOST, trial.mllp_port)):
        (found,) = signs(trial)["port of feed mllp"]
    assert found.state == "failed"
    assert "cannot be had" in found.text


def test_a_service_that_hangs_is_named_by_its_port(trial: Trial) -> None:
    trial.start_adapter()
    rewrite(trial, f"port = {trial.mllp_port}", f"port = {trial.mllp_port + 1 if trial.mllp_port < 65535 else 1}")
    (found,) = signs(trial)["port of feed mllp"]
    assert found.state == "failed"
    assert "does not answer" in found.text


def test_settings_that_cannot_be_read_are_listed_line_by_line(trial: Trial) -> None:
    rewrite(trial, 'kind = "mllp"', 'kind = "mlpp"')
    told = run(trial, "doctor")
    assert told.returncode == 1
    assert "FAILED   settings: " in told.stdout
    assert "Traceback" not in told.stderr


def test_a_table_with_a_fault_is_named_with_its_line(trial: Trial, tmp_path: Path) -> None:
    shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, tmp_path / "tables")
    with (tmp_path / "tables" / "visits.csv").open("a", encoding="utf-8") as table:
        table.write("4525004,Emergency visit,hcpcs,G04677,,,,,1,,,,no code\n")
    rewrite(trial, tables_of(trial), str(tmp_path / "tables"))
    found = [one for one in signs(trial)["tables"] if one.state == "failed"]
    assert len(found) == 1
    assert "visits.csv:" in found[0].text


@pytest.mark.parametrize(("days", "state"), [(-1, "failed"), (7, "warning"), (90, "ok")])
def test_a_certificate_that_ends_soon_is_warned_of(trial: Trial, tmp_path: Path, days: int, state: str) -> None:
    cert, key = Authority(tmp_path).issue("listener", days=days + 0.1)
    rewrite(trial, 'kind = "mllp"', f'kind = "mllp"\ntls_cert = "{cert}"\ntls_key = "{key}"')
    (found,) = signs(trial)["certificate of feed mllp"]
    assert found.state == state


def test_a_ledger_that_is_broken_is_named(trial: Trial) -> None:
    open_ledger(trial.folder / "ledger.db").close()
    (trial.folder / "ledger.db").write_bytes(b"no database at all" * 100)
    (found,) = signs(trial)["ledger"]
    assert found.state == "failed"
    assert "restore a backup" in found.advice


def test_a_clock_that_went_back_is_named(trial: Trial) -> None:
    with trial.ledger.writing() as connection:
        record(connection, datetime.now(UTC) + timedelta(hours=3), Change("payer", "lakeshore", "up", "down", "busy"))
    (found,) = signs(trial)["clock"]
    assert found.state == "failed"
    assert "NTP" in found.advice


def test_work_that_nobody_takes_up_is_named(trial: Trial) -> None:
    with trial.ledger.writing() as connection:
        work.ask(connection, "chart", "CLINIC/VN/1", datetime.now(UTC) - timedelta(hours=5))
    (found,) = signs(trial)["work"]
    assert found.state == "failed"
    assert "overdue by 5 h" in found.text


# --- metrics and health


def metrics_of(trial: Trial) -> dict[str, float]:
    """Every sample of the metrics page by its name and labels."""
    text = requests.get(f"http://{HOST}:{trial.http_port}/metrics", timeout=10).text
    families = text_string_to_metric_families(text)
    return {f"{s.name}{sorted(s.labels.items())}": s.value for family in families for s in family.samples}


def health(trial: Trial, path: str) -> int:
    return requests.get(f"http://{HOST}:{trial.http_port}/health{path}", timeout=10).status_code


def test_intake_workers_and_deliverers_are_counted_together_and_their_death_takes_nothing_along(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    trial.start_payer(["503:1:retry-after=3:on=1"])
    trial.start_adapter()
    template = scenarios["covid"].files[0].read_bytes()
    with trial.mllp() as client:
        send(client, template, range(3))
        client.send(template.replace(b"MSH|^~", b"MSH|^"))
    assert trial.wait_until_settled()

    def submits() -> float:  # counted a moment after they are written down
        return sum(n for key, n in metrics_of(trial).items() if "requests_total" in key and "'submit'" in key)

    assert wait_for(lambda: submits() == 4, 10)
    found = metrics_of(trial)

    assert found["fhir_coder_acknowledgments_total[('code', 'AA')]"] == 3
    assert found["fhir_coder_acknowledgments_total[('code', 'AR')]"] == 1
    assert found["fhir_coder_work_done_total[('stage', 'read')]"] == 3
    assert found["fhir_coder_work_seconds_count[('stage', 'chart')]"] >= 3
    assert found["fhir_coder_retries_total[('payer', 'lakeshore')]"] == 1
    assert found["fhir_coder_request_seconds_count[('payer', 'lakeshore')]"] >= 4
    assert found["fhir_coder_stage_waiting[('stage', 'chart')]"] == 0

    trial.kill_workers()
    with trial.mllp() as client:
        send(client, template, range(3, 5))
    assert trial.wait_until_settled()
    assert metrics_of(trial)["fhir_coder_work_done_total[('stage', 'read')]"] == 5


def test_readiness_tells_whether_messages_can_be_kept_and_work_whether_they_are_worked_on(trial: Trial) -> None:
    trial.start_adapter()
    assert [health(trial, path) for path in ("", "/live", "/ready", "/working")] == [200] * 4
    trial.kill_workers()
    assert wait_for(lambda: health(trial, "/working") == 503, 10)
    assert [health(trial, path) for path in ("/live", "/ready")] == [200, 200]
    assert wait_for(lambda: health(trial, "/working") == 200, 30)


# --- systemd


def test_the_unit_of_the_docs_is_one_that_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "run-the-service.md").read_text(encoding="utf-8")
    (unit,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    text = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", unit).replace("User=fhir-coder\n", "")
    (tmp_path / "fhir-coder.service").write_text(text, encoding="utf-8")

    done = subprocess.run(
        [analyze, "verify", str(tmp_path / "fhir-coder.service")], capture_output=True, text=True, check=False
    )

    told = [line for line in done.stderr.splitlines() if "fhir-coder.service" in line]
    assert told == []
    assert "Restart=on-failure" in unit


# --- TLS of the HTTP side


def test_a_renewed_certificate_of_the_http_side_is_used_for_the_next_connection(trial: Trial, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("service")
    text = trial.settings_file.read_text(encoding="utf-8")
    section = f'[http]\ntls_cert = "{cert}"\ntls_key = "{key}"\n'
    trial.settings_file.write_text(text.replace("[http]\n", section, 1), encoding="utf-8")
    trial.start_adapter(wait=False)
    place = (HOST, trial.http_port)

    def shown() -> str:
        try:
            return ssl.get_server_certificate(place, timeout=5)
        except OSError:
            return ""

    assert wait_for(lambda: bool(shown()), 30)
    first = shown()
    url = f"https://{HOST}:{trial.http_port}/health"
    assert requests.get(url, verify=str(authority.ca), timeout=10).status_code == 200

    authority.issue("service")
    second = shown()
    assert second not in ("", first)
    assert requests.get(url, verify=str(authority.ca), timeout=10).status_code == 200

    cert.write_text("no certificate", encoding="utf-8")
    assert shown() == second
    assert "certificate_refused" in trial.log_of("adapter")
