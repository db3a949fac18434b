"""Forty visits at once, as processes: shuffled, repeated, killed in the middle, with a payer that fails."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fhir_coder.app import App
from fhir_coder.client import NotReachableError
from fhir_coder.queries import list_messages
from fhir_coder.store import items
from fhir_coder.trial import Trial
from tests.chaos.books import differences, read_books
from tests.chaos.site import chaos_settings
from tests.chaos.visits import arrivals, invented_visits

RUNS = max(1, int(os.environ.get("FHIR_CODER_SEEDS", "3")) // 3)
SENDERS, VISITS, KILLS, PATIENCE = 4, 40, 3, 240.0
FAULTS = ("503:3:retry-after=1:on=4", "drop-after-read:3:on=12", "500:2:on=25:stored=yes", "drop-before-read:2:on=40")


@pytest.fixture
def chaos(tmp_path: Path) -> Iterator[Trial]:
    """A payer and an adapter with payers of every way of correcting."""
    with Trial(tmp_path, chaos_settings()) as one:
        yield one


def send_all(trial: Trial, bodies: Sequence[bytes], acknowledged: list[bytes]) -> None:
    """Send messages one by one until each is acknowledged, as an interface engine does."""
    waiting, until = list(bodies), time.monotonic() + PATIENCE
    while waiting and time.monotonic() < until:
        try:
            with trial.mllp() as client:
                while waiting:
                    assert client.send(waiting[0]).code == "AA"
                    acknowledged.append(waiting.pop(0))
        except NotReachableError:
            time.sleep(0.05)


def kill_something(trial: Trial, dice: random.Random) -> None:
    """Kill the intake, the workers, or both; have a whole adapter again."""
    what = dice.choice(("adapter", "workers", "both"))
    if what != "adapter":
        trial.kill_workers()
    if what != "workers":
        trial.kill("adapter")
        trial.start_adapter()


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.parametrize("seed", range(RUNS))
def test_kills_faults_and_disorder_leave_the_payer_with_the_claims_of_convert(chaos: Trial, seed: int) -> None:
    dice, visits = random.Random(f"any order {seed}"), invented_visits(1000 + seed, VISITS)
    bodies, acknowledged = arrivals(visits, dice), list[bytes]()
    chaos.start_payer(FAULTS)
    chaos.start_adapter()
    shares = [bodies[number::SENDERS] for number in range(SENDERS)]
    senders = [threading.Thread(target=send_all, args=(chaos, share, acknowledged)) for share in shares]
    for sender in senders:
        sender.start()
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.3, 1.5))
        kill_something(chaos, dice)
    for sender in senders:
        sender.join()
    assert chaos.wait_until_settled(PATIENCE)

    assert len(acknowledged) == len(bodies)
    assert len(list_messages(chaos.ledger, limit=100_000)) == len(set(bodies))
    with App.from_file(chaos.settings_file) as app:
        assert list(differences(visits, app, read_books(chaos.folder / "payer.db"))) == []
    with chaos.ledger.reading() as connection:
        assert {item.kind for item in items.open_items(connection, 1000)} <= {"finding", "gap", "denial"}
    command = [sys.executable, "-m", "fhir_coder", "charts", "verify", "-c", str(chaos.settings_file)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert verified.returncode == 0, verified.stdout
