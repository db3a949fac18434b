"""Killed in the middle: what was acknowledged is there, every claim is at the payer once."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

from fhir_coder.client import NotReachableError
from fhir_coder.queries import list_claims, list_messages
from fhir_coder.scenarios import Scenario
from fhir_coder.trial import Trial

KILLS = int(os.environ.get("FHIR_CODER_KILLS", "5"))
VISITS = 12 * KILLS


def visit(template: bytes, number: int) -> bytes:
    """The template's message for another visit, with its own control id."""
    return (
        template.replace(b"LK000101", b"KILL%06d" % number)
        .replace(b"VN-1001", b"VN-K%06d" % number)
        .replace(b"MRN-1001", b"MRN-K%06d" % number)
    )


class Sender:
    """Sends messages one by one until each is acknowledged, as an interface engine does."""

    def __init__(self, trial: Trial, bodies: list[bytes]) -> None:
        self.acknowledged: list[int] = []
        self._trial, self._bodies = trial, bodies
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        waiting = list(range(len(self._bodies)))
        until = time.monotonic() + 120
        while waiting and time.monotonic() < until:
            try:
                with self._trial.mllp() as client:
                    while waiting:
                        assert client.send(self._bodies[waiting[0]]).code == "AA"
                        self.acknowledged.append(waiting.pop(0))
                        time.sleep(0.02)  # a feed's pace, so that the kills fall into the middle of it
            except NotReachableError:
                time.sleep(0.05)  # the adapter is down: the engine tries again


def test_kill_9_under_load_loses_nothing_and_bills_nothing_twice(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    """Every acknowledged message is in the ledger, every claim at the payer exactly once."""
    template = scenarios["covid"].files[0].read_bytes()
    sender = Sender(trial, [visit(template, n) for n in range(VISITS)])
    trial.start_payer(["drop-after-read:2:on=3", "503:2:retry-after=1:on=7", "500:1:on=11"])
    trial.start_adapter()
    sender.thread.start()
    for _ in range(KILLS):
        time.sleep(random.uniform(0.1, 0.9))
        trial.kill("adapter")
        trial.start_adapter()
    sender.thread.join()
    assert trial.wait_until_settled(120)

    stored = {m.control_id for m in list_messages(trial.ledger, limit=10_000)}
    assert {f"KILL{n:06d}" for n in sender.acknowledged} <= stored
    assert len(sender.acknowledged) == VISITS
    claims = list_claims(trial.ledger, limit=10_000)
    assert {c.status for c in claims} == {"complete"}
    held = trial.payer_claims()
    assert sorted(h["identifier"] for h in held) == sorted(c.identifier for c in claims)
    assert len(held) == VISITS
    assert {h["received"] for h in held} == {1}


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
