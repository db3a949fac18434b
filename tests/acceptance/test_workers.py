"""The workers' process beside the service: it may die at any time, and it never outlives the service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from fhir_coder.queries import list_claims, list_messages
from fhir_coder.scenarios import Scenario
from fhir_coder.trial import Trial
from tests.acceptance.test_service import command
from tests.wire import wait_for


def visit(template: bytes, number: int) -> bytes:
    """The template's message for another visit, with its own control id."""
    return (
        template.replace(b"LK000101", b"WORK%06d" % number)
        .replace(b"VN-1001", b"VN-W%06d" % number)
        .replace(b"LK10001^", b"LK-W%06d^" % number)
    )


def children_of(pid: int) -> list[int]:
    """The running child processes of a process."""
    told = [children.read_text() for children in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in told for child in text.split()]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def workers_of(trial: Trial) -> int:
    """The process id of a trial's workers."""
    assert wait_for(lambda: children_of(trial.process_id("adapter")), 30)
    (pid,) = children_of(trial.process_id("adapter"))
    return pid


def logged(trial: Trial, event: str) -> list[dict[str, object]]:
    """The lines of the adapter's log with an event."""
    lines = [json.loads(line) for line in trial.log_of("adapter").splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_workers_that_are_killed_are_started_again_while_intake_goes_on_and_every_claim_is_billed_once(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    template = scenarios["covid"].files[0].read_bytes()
    trial.start_payer(["drop-after-read:1:on=2"])
    trial.start_adapter()
    number = 0
    with trial.mllp() as client:
        for kill in range(1, 4):
            for _ in range(4):
                assert client.send(visit(template, number)).code == "AA"
                number += 1
            os.kill(workers_of(trial), signal.SIGKILL)
            for _ in range(4):
                assert client.send(visit(template, number)).code == "AA"
                number += 1
            assert wait_for(lambda n=kill: len(logged(trial, "workers_restarted")) == n, 60)
    assert trial.wait_until_settled(120)

    assert len(list_messages(trial.ledger, limit=1000)) == number
    assert {c.status for c in list_claims(trial.ledger, limit=1000)} == {"complete"}
    held = trial.payer_claims()
    assert (len(held), {h["received"] for h in held}) == (number, {1})
    assert [line["reason"] for line in logged(trial, "workers_died")] == ["signal 9"] * 3


def test_deliverers_that_are_killed_are_started_again_and_every_claim_is_at_the_payer_once(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    template = scenarios["covid"].files[0].read_bytes()
    trial.start_payer(["drop-after-read:1:on=2"])
    trial.start_adapter()
    number = 0
    with trial.mllp() as client:
        for kill in range(1, 3):
            for _ in range(6):
                assert client.send(visit(template, number)).code == "AA"
                number += 1
            (deliverers,) = children_of(workers_of(trial))
            os.kill(deliverers, signal.SIGKILL)
            assert wait_for(lambda n=kill: len(logged(trial, "workers_restarted")) == n, 60)
    assert trial.wait_until_settled(120)

    assert {c.status for c in list_claims(trial.ledger, limit=1000)} == {"complete"}
    held = trial.payer_claims()
    assert (len(held), {h["received"] for h in held}) == (number, {1})


def test_deliverers_do_not_outlive_the_workers(trial: Trial) -> None:
    trial.start_adapter()
    workers = workers_of(trial)
    (deliverers,) = children_of(workers)

    os.kill(workers, signal.SIGKILL)

    assert wait_for(lambda: not Path(f"/proc/{deliverers}").exists(), 10)


def test_workers_of_a_service_that_is_killed_are_gone_within_two_seconds_and_the_next_service_starts_at_once(
    trial: Trial,
) -> None:
    trial.start_adapter()
    workers = workers_of(trial)
    trial.kill("adapter")
    trial.start_adapter(wait=False)

    assert wait_for(lambda: not is_running(workers), 2)
    assert wait_for(lambda: len(logged(trial, "service_started")) == 2, 30)


def test_workers_of_a_service_that_is_killed_while_they_start_are_gone_too(trial: Trial) -> None:
    trial.start_adapter(wait=False)
    workers = workers_of(trial)
    trial.kill("adapter")

    assert wait_for(lambda: not is_running(workers), 10)


def test_a_service_that_is_told_to_end_lets_its_workers_finish_and_leaves_none_behind(
    trial: Trial, scenarios: dict[str, Scenario]
) -> None:
    """The signals that go to every process of a group or a unit do not end the workers before their service."""
    trial.start_payer()
    trial.start_adapter()
    workers = workers_of(trial)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(workers, number)
    trial.send(scenarios["covid"])
    assert trial.wait_until_settled()
    trial.stop("adapter")

    assert not is_running(workers)
    assert (len(logged(trial, "service_stopped")), logged(trial, "workers_died")) == (1, [])


def test_a_service_whose_workers_cannot_start_ends_with_their_fault_and_their_exit_status(trial: Trial) -> None:
    text = trial.settings_file.read_text()
    line = next(line for line in text.splitlines() if line.startswith("dir = "))
    (trial.folder / "tables").mkdir()
    (trial.folder / "tables" / "bad.csv").write_text("source_code,target_code,colour\nX1,G0463,red\n")
    trial.settings_file.write_text(text.replace(line, f'dir = "{trial.folder / "tables"}"'))
    served, checked = command(trial, "serve"), command(trial, "tables", "check")

    assert served.returncode == 2
    assert "bad.csv" in served.stderr
    assert "Traceback" not in served.stderr
    assert checked.returncode != 0


def test_the_workers_end_with_a_reason_where_nobody_told_them_anything() -> None:
    """Started by hand, with nothing on standard input, the process ends: it is no command."""
    words = [sys.executable, "-m", "fhir_coder.worker_process"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
