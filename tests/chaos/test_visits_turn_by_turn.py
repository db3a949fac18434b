"""Every order of turns that is drawn: messages, stages, requests and ends of the process, one after the other."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fhir_coder.app import App
from fhir_coder.payers.sandbox import Rules, running
from fhir_coder.queries import keys_to_verify, verify
from fhir_coder.store import items
from tests.chaos.books import differences, read_books
from tests.chaos.site import chaos_settings
from tests.chaos.turns import Turns
from tests.chaos.visits import InventedVisit, arrivals, invented_visits

SEEDS = int(os.environ.get("FHIR_CODER_SEEDS", "3"))
VISITS = 12
FAULTS = (
    "drop-after-read:3:on=5",
    "400:2:on=10",
    "500:2:on=15:stored=yes",
    "503:3:on=20",
    "drop-before-read:2:on=25",
    "half-body:2:on=30",
    "422:2:on=35",
)
STATED = {"finding", "gap", "denial"}
"""What may wait for a person when all is settled: a held claim, or one that the payer has denied."""


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with App(chaos_settings()) as one:
        yield one


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_payer_ends_with_the_claims_of_convert_whatever_comes_between(app: App, tmp_path: Path, seed: int) -> None:
    dice, visits = random.Random(seed), invented_visits(seed, VISITS)
    with capture_logs():
        turns = played(app, tmp_path, dice, visits)
    try:
        assert list(differences(visits, app, read_books(tmp_path / "payer.db"))) == []
        assert not_verified(turns) == []
        with turns.ledger.reading() as connection:
            assert {item.kind for item in items.open_items(connection, 1000)} <= STATED
    finally:
        turns.close()


def played(app: App, folder: Path, dice: random.Random, visits: list[InventedVisit]) -> Turns:
    """Play the messages of visits to their end. The payer answers later now and then, by the adapter's own clock."""
    began: list[Turns] = []

    def clock() -> datetime:
        return began[0].now if began else datetime(2026, 12, 1, tzinfo=UTC)

    rules = Rules(pend_seconds=dice.choice((0.0, 0.05, 1.0)))
    faults = FAULTS if dice.random() < 0.7 else ()
    with running(store_path=folder / "payer.db", faults=faults, rules=rules, clock=clock) as url:
        kills, pace = dice.choice((0.0, 0.005, 0.02)), dice.choice((0.005, 0.02, 0.1, 0.3))
        turns = Turns(app, folder, f"{url}/fhir", dice, kills, pace, arrivals(visits, dice))
        began.append(turns)
        turns.finish()
    return turns


def not_verified(turns: Turns) -> list[str]:
    """The stored charts that are not what their messages give."""
    found = (verify(turns.ledger, key, turns.stages.folding.chart_anew) for key in keys_to_verify(turns.ledger))
    return [one.key for one in found if one.result != "equal"]
