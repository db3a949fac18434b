"""Killed while claims are taken back: every void reaches the payer once."""

from __future__ import annotations

import random
import threading
import time

from fhir_coder.client import NotReachableError
from fhir_coder.queries import list_claims
from fhir_coder.scenarios import Scenario
from fhir_coder.trial import Trial
from tests.acceptance.test_kill import visit

VISITS = 15


def cancel(template: bytes, number: int) -> bytes:
    """The A11 of a visit that `visit` made."""
    head, *rest = visit(template, str(number)).split(b"\r")
    kept = [segment for segment in rest if segment[:3] in (b"PID", b"PV1")]
    fields = head.split(b"|")
    fields[6], fields[8], fields[9] = b"20261231120000", b"ADT^A11", b"VOID%06d" % number
    return b"\r".join([b"|".join(fields), b"EVN||20261231120000", *kept, b""])


def send_all(trial: Trial, bodies: list[bytes]) -> None:
    """Send messages one by one until each is acknowledged."""
    waiting, until = list(bodies), time.monotonic() + 120
    while waiting and time.monotonic() < until:
        try:
            with trial.mllp() as client:
                while waiting:
                    assert client.send(waiting[0]).code == "AA"
                    waiting.pop(0)
        except NotReachableError:
            time.sleep(0.05)


def test_kill_9_while_visits_are_cancelled_voids_each_claim_once(trial: Trial, scenarios: dict[str, Scenario]) -> None:
    template = scenarios["covid"].files[0].read_bytes()
    trial.start_payer([f"drop-after-read:2:on={VISITS + 2}", f"500:1:on={VISITS + 6}"])
    trial.start_adapter()
    send_all(trial, [visit(template, str(n)) for n in range(VISITS)])
    assert trial.wait_until_settled(120)

    sender = threading.Thread(target=send_all, args=(trial, [cancel(template, n) for n in range(VISITS)]))
    sender.start()
    for _ in range(3):
        time.sleep(random.uniform(0.2, 1.0))
        trial.kill("adapter")
        trial.start_adapter()
    sender.join()
    assert trial.wait_until_settled(120)

    statuses = sorted((c.purpose, c.status) for c in list_claims(trial.ledger, limit=1000))
    assert statuses == [("bill", "voided")] * VISITS + [("void", "complete")] * VISITS
    held = trial.payer_claims()
    assert {h["received"] for h in held} == {1}
    assert sum(h["voided"] for h in held) == VISITS
