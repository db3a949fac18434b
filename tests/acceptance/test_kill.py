"""Killed in the middle: what was acknowledged is there, every claim is at the payer once."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from fhir_coder.client import MllpClient, NotReachableError
from fhir_coder.queries import claim_story, list_claims, list_messages
from fhir_coder.scenarios import Scenario
from fhir_coder.trial import Trial

KILLS = int(os.environ.get("FHIR_CODER_KILLS", "5"))
SENDERS = 4
PATIENCE = 60.0 + 6.0 * KILLS
LINES = 2
"""Lines that one message of the template is billed by."""


def visit(template: bytes, name: str) -> bytes:
    """The template's message for another visit, with its own control id."""
    return (
        template.replace(b"LK000101", f"KILL-{name}".encode())
        .replace(b"VN-1001", f"VN-{name}".encode())
        .replace(b"LK10001^", f"LK-{name}^".encode())
    )


class Sender:
    """Sends a message a visit, each until it is acknowledged, as an interface engine does; on until told to stop."""

    def __init__(self, trial: Trial, template: bytes, number: int) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._trial, self._template, self._number = trial, template, number
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> None:
        """Send what is on its way, then no more."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._is_over.is_set() and time.monotonic() < until:
            try:
                with self._trial.mllp() as client:
                    while not self._is_over.is_set():
                        self._send(client)
            except NotReachableError:
                self._is_over.wait(0.05)  # the adapter is down: the engine tries again

    def _send(self, client: MllpClient) -> None:
        name = f"{self._number}{len(self.acknowledged):05d}"
        code = client.send(visit(self._template, name)).code
        (self.acknowledged if code == "AA" else self.refused).append(name)
        self._is_over.wait(0.05)  # a feed's pace, so that the kills fall into the middle of it


def kill_something(trial: Trial, dice: random.Random) -> None:
    """Kill the intake, the workers, or both in either order; have a whole adapter again."""
    what = dice.choice(("adapter", "workers", "both", "adapter while it starts"))
    if what in ("workers", "both"):
        trial.kill_workers()
    if what == "workers":
        return
    trial.kill("adapter")
    if what == "adapter while it starts":
        trial.start_adapter(wait=False)
        time.sleep(dice.uniform(0.0, 1.0))
        trial.kill("adapter")
    trial.start_adapter()


@pytest.mark.timeout(3 * PATIENCE)
def test_kill_9_under_load_loses_nothing_and_bills_nothing_twice(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    """Every acknowledged message is in the ledger once, its facts in its chart once, every claim at the payer once."""
    dice = random.Random()
    template = scenarios["covid"].files[0].read_bytes()
    trial.start_payer(["drop-after-read:2:on=3", "503:2:retry-after=1:on=7", "500:1:on=11"])
    trial.start_adapter()
    senders = [Sender(trial, template, number) for number in range(SENDERS)]
    for _ in range(KILLS):
        time.sleep(dice.uniform(0.1, 0.9))
        kill_something(trial, dice)
    time.sleep(0.5)
    for sender in senders:
        sender.finish()
    assert trial.wait_until_settled(PATIENCE)

    assert [sender.refused for sender in senders] == [[]] * SENDERS
    acknowledged = {name for sender in senders for name in sender.acknowledged}
    assert len(acknowledged) > 10 * KILLS
    kept = Counter(m.control_id for m in list_messages(trial.ledger, limit=100_000))
    assert {f"KILL-{name}" for name in acknowledged} <= set(kept)
    assert set(kept.values()) == {1}
    # A sender that is told to stop may have sent a message whose acknowledgment it did not see.
    assert len(kept) <= len(acknowledged) + SENDERS
    assert_each_claim_is_at_the_payer_once(trial, len(kept))
    assert integrity(trial.folder / "ledger.db") == ["ok"]


def assert_each_claim_is_at_the_payer_once(trial: Trial, visits: int) -> None:
    claims = list_claims(trial.ledger, limit=100_000)
    assert {c.status for c in claims} == {"complete"}
    assert len({c.chart_key for c in claims}) == len(claims) == visits
    assert {lines_of(trial, c.identifier) for c in claims} == {LINES}
    held = trial.payer_claims()
    assert sorted(h["identifier"] for h in held) == sorted(c.identifier for c in claims)
    assert {h["received"] for h in held} == {1}


def lines_of(trial: Trial, identifier: str) -> int:
    return len(orjson.loads(claim_story(trial.ledger, identifier).row.body)["item"])


def integrity(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("PRAGMA integrity_check")]


def test_a_file_read_before_a_kill_is_not_billed_twice(
    trial: Trial, scenarios: dict[str, Scenario], tmp_path: Path
) -> None:
    """A crash between keeping and moving leaves the file; it is recognised when it is read again."""
    trial.start_payer()
    trial.start_adapter()
    trial.send(scenarios["ndjson-clinic"])
    assert trial.wait_until_settled()
    trial.kill("adapter")
    for path in (trial.inbox / "done").iterdir():
        path.rename(trial.inbox / path.name)
    trial.start_adapter()
    assert trial.wait_until_settled()

    assert [h["received"] for h in trial.payer_claims()] == [1]
    assert not [p for p in trial.inbox.iterdir() if p.is_file()]
