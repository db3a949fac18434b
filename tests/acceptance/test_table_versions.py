"""Versions of tables under a running service: real processes, real files, a payer that remembers what it got."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fhir_coder.queries import list_claims
from fhir_coder.scenarios import Scenario
from fhir_coder.shipped import EXAMPLE_TABLES, shipped
from fhir_coder.store.events import events_of
from fhir_coder.trial import Trial
from tests.acceptance.test_workers import workers_of

CHARGES = "charge-master"
OURS = """
id = "ours"
title = "Our own diagnosis codes"
kind = "diagnosis"
source_system = "local"
target_system = "icd10cm"
version = "{label}"
licence = "ours"
valid_from = "2015-10-01"
"""


@pytest.fixture
def site(trial: Trial, tmp_path: Path) -> Path:
    """The folder of the trial's own tables."""
    tables = tmp_path / "tables"
    shutil.copytree(shipped("mappings") / EXAMPLE_TABLES, tables)
    text = trial.settings_file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("dir = "))
    trial.settings_file.write_text(text.replace(line, f'dir = "{tables}"'))
    return tables


@pytest.fixture
def other(site: Path, tmp_path: Path) -> Path:
    """A new version of the charge master in a folder of its own: a known patient's visit gets another code."""
    new = tmp_path / "new"
    new.mkdir()
    header = (site / f"{CHARGES}.toml").read_text()
    (new / f"{CHARGES}.toml").write_text(header.replace('version = "2026.11"', 'version = "other"'))
    rows = (site / f"{CHARGES}.csv").read_text()
    (new / f"{CHARGES}.csv").write_text(rows.replace("hcpcs,G0467,", "hcpcs,G0466,"))
    return new / f"{CHARGES}.csv"


def command(trial: Trial, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fhir_coder", *map(str, words), "-c", str(trial.settings_file)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def until(holds: Callable[[], Any]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.05)


def activate(trial: Trial, *words: str | Path) -> None:
    """Activate tables, and wait until the service works with them."""
    times = trial.log_of("adapter").count("tables_read_again")
    command(trial, "tables", "activate", *words)
    until(lambda: trial.log_of("adapter").count("tables_read_again") > times)


def claims(trial: Trial) -> list[tuple[int, str]]:
    return sorted((c.revision, c.status) for c in list_claims(trial.ledger))


def codes(trial: Trial) -> list[str]:
    """The codes of the newest claim's lines."""
    claim = json.loads(command(trial, "claims", "show", "LAKESHORE/VN/VN-1014", "--fhir").stdout)
    return [item["productOrService"]["coding"][0]["code"] for item in claim["item"]]


def told(trial: Trial, body: bytes) -> None:
    """Send a message and wait for what comes of it."""
    with trial.mllp() as client:
        assert client.send(body).code == "AA"
    assert trial.wait_until_settled()


def test_nothing_that_was_sent_changes_until_a_person_asks(
    trial: Trial, scenarios: dict[str, Scenario], site: Path, other: Path
) -> None:
    body = scenarios["duplicate-message"].files[0].read_bytes()
    charge = next(segment for segment in body.split(b"\r") if segment.startswith(b"FT1|1|"))
    late = charge.replace(b"FT1|1|TX-1014-1", b"FT1|9|TX-1014-9").replace(b"OFF-VISIT-EST", b"OFF-PAP-COLL")
    trial.start_payer()
    trial.start_adapter()
    told(trial, body)
    assert (claims(trial), codes(trial)) == ([(1, "complete")], ["G0467"])

    activate(trial, other, "--from", "always")
    assert trial.wait_until_settled()
    told(trial, body.replace(b"LK001401", b"LK009001"))
    assert claims(trial) == [(1, "complete")]
    assert [held["received"] for held in trial.payer_claims()] == [1]

    told(trial, body.replace(b"LK001401", b"LK009002") + late + b"\r")
    assert claims(trial) == [(1, "replaced"), (2, "complete")]
    assert sorted(codes(trial)) == ["G0467", "Q0091"], "a late charge is added, what was billed keeps its table"

    replayed = json.loads(command(trial, "tables", "diff", f"{CHARGES}@2026.11", "other", "--replay", "--json").stdout)[
        "replay"
    ]
    assert [(c["kept"], c["codes"][0]["old"], c["codes"][0]["new"]) for c in replayed["claims"]] == [
        (True, ["G0467"], ["G0466"])
    ]
    command(trial, "charts", "recode", "LAKESHORE/VN/VN-1014")
    assert trial.wait_until_settled()
    assert claims(trial) == [(1, "replaced"), (2, "replaced"), (3, "complete")]
    assert sorted(codes(trial)) == ["G0466", "Q0091"]
    with trial.ledger.reading() as connection:
        assert [e.actor.startswith("user ") for e in events_of(connection, "table", CHARGES)] == [True]


def test_a_held_claim_goes_out_when_the_workers_die_between_an_activation_and_their_look_at_it(
    trial: Trial, scenarios: dict[str, Scenario], site: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "ours.csv").write_text("source_code,target_code\nDX-UNKNOWN,R21\n")
    (new / "ours.toml").write_text(OURS.format(label="1"))
    trial.start_payer()
    trial.start_adapter()
    trial.send(scenarios["unmapped-diagnosis"])
    assert trial.wait_until_settled()
    assert claims(trial) == [(1, "held")]

    workers = workers_of(trial)
    os.kill(workers, signal.SIGSTOP)
    command(trial, "tables", "activate", new)
    os.kill(workers, signal.SIGKILL)

    until(lambda: claims(trial) == [(1, "complete")])


def test_a_held_claim_goes_out_when_a_table_is_activated_under_the_running_service(
    trial: Trial, scenarios: dict[str, Scenario], site: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / "ours.csv").write_text("source_code,target_code\nDX-UNKNOWN,R21\n")
    (new / "ours.toml").write_text(OURS.format(label="1"))
    trial.start_payer()
    trial.start_adapter()
    trial.send(scenarios["unmapped-diagnosis"])
    assert trial.wait_until_settled()
    assert claims(trial) == [(1, "held")]

    activate(trial, new)
    until(lambda: claims(trial) == [(1, "complete")])

    version = list_claims(trial.ledger)[0]
    listed = json.loads(command(trial, "tables", "versions", "ours", "--json").stdout)
    assert [(v["label"], v["active"], v["current"]) for v in listed] == [("1", True, True)]
    found = json.loads(command(trial, "claims", "list", "--table", listed[0]["version"], "--json").stdout)
    assert [claim["identifier"] for claim in found] == [version.identifier]
    assert json.loads(command(trial, "claims", "list", "--table", "ours@00000000", "--json").stdout) == []
