"""Claims under every fault of a payer, sent in every way, while the clock is moved: each ends there exactly once."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.delivery import PayerLine, TryLog
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import PasRules, Payer
from fhir_coder.payers import BaseProfile, ClientOptions, PayerClient, profile_of
from fhir_coder.payers.breaker import BreakerPolicy
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.payers.profile import PayerProfile
from fhir_coder.payers.sandbox import running
from fhir_coder.stages import Stages
from fhir_coder.store import Ledger, attempts, claims, messages, open_ledger
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import charts
from fhir_coder.store.schema import claims as claim_table
from fhir_coder.store.schema import work as work_table
from fhir_coder.worker import Worker
from tests.building import SITE, drafted, good_chart, rulebook
from tests.wire import wait_for

CLAIMS = int(os.environ.get("FHIR_CODER_DELIVERIES", "60"))
SHIFTS = (timedelta(hours=1), timedelta(hours=-2), timedelta(0), timedelta(minutes=40), timedelta(minutes=-5))
PAYER = "first"
PASSING = (
    *("500:4:every=7", "500:3:every=11:stored=yes", "503:3:every=9:retry-after=0", "429:2:every=8:retry-after=0"),
    *("drop-after-read:3:every=6", "drop-before-read:3:every=10", "half-body:2:every=12", "html:2:every=13"),
    *("content-type:2:every=5", "other-claim:2:every=14", "duplicate-answer:2:every=4", "502:2:every=15"),
)
REFUSING = "422:2:every=16"
WAYS: dict[str, PayerProfile] = {
    "create": BaseProfile(),
    "operation": BaseProfile(submit="operation"),
    "batch": BaseProfile(submit="operation", envelope="batch", per_request=10),
    "transaction": BaseProfile(envelope="transaction"),
}


class MovedClock:
    """The time now, and as much earlier or later as somebody has moved it."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: MovedClock) -> Iterator[Ledger]:
    """A new ledger whose clock is moved."""
    opened = open_ledger(tmp_path / "ledger.db", clock)
    yield opened
    opened.close()


def filed(ledger: Ledger, number: int) -> None:
    """Claims that are ready, each of a chart of its own."""
    draft, at = drafted(good_chart()), ledger.clock()
    with ledger.writing() as connection:
        for place in range(number):
            key, identifier = f"CLINIC/VN/{place}", f"CLM-{place}"
            body = {**draft.claim, "identifier": [{"system": SITE.claim_identifier_system, "value": identifier}]}
            its = replace(draft, chart_key=key, identifier=identifier, payer=PAYER, claim=body)
            connection.execute(insert(charts).values(key=key, first_seen_at=at, cancelled=False))
            claims.insert_claim(connection, claims.Filed(its, to_bytes(body), content_hash(body)), at)


def line(url: str, profile: PayerProfile) -> PayerLine:
    """A payer's client that waits hundredths of a second, and a breaker that does."""
    tries = TryLog()
    options = ClientOptions(on_attempt=tries.note, sleep=lambda _: None)
    client = PayerClient(f"{url}/fhir", profile, timeout=(2.0, 5.0), options=options)
    breaker = BreakerPolicy(failures=4, slow=4.0, probe=0.02, cap=0.1, lease=20.0)
    return PayerLine(client, RetryPolicy(0.01, 0.1, 60, 0.02, 0.1), tries, breaker)


@contextmanager
def working(stages: Stages) -> Iterator[None]:
    worker = Worker(stages.delivery._ledger, stages, threads=2)
    worker.start()
    try:
        yield
    finally:
        worker.stop()
        for one in stages.delivery.lines.values():
            one.client.close()


def statuses(ledger: Ledger) -> Counter[str]:
    query = select(claim_table.c.status, func.count()).group_by(claim_table.c.status)
    with ledger.reading() as connection:
        return Counter({row[0]: row[1] for row in connection.execute(query)})


def move_clock(clock: MovedClock, is_over: threading.Event, dice: random.Random) -> None:
    """Move the clock to and fro until all is over; then it stands latest, and nothing waits for a time to come."""
    while not is_over.wait(dice.uniform(0.05, 0.3)):
        clock.shift = dice.choice(SHIFTS)
    clock.shift = timedelta(hours=12)


def delivered(ledger: Ledger, clock: MovedClock, number: int, settled: Sequence[str], dice: random.Random) -> bool:
    """Whether all claims came to an end, the clock moved until most of them had."""
    is_over = threading.Event()
    mover = threading.Thread(target=move_clock, args=(clock, is_over, dice))
    mover.start()
    try:
        wait_for(lambda: sum(statuses(ledger)[one] for one in settled) >= number * 2 // 3, 15)
    finally:
        is_over.set()
        mover.join()
    return wait_for(lambda: sum(statuses(ledger)[one] for one in settled) == number, 60)


def arrived(file: Path) -> Counter[str]:
    """How often each claim stands in the payer's own books."""
    with closing(sqlite3.connect(file)) as books:
        return Counter(value for (value,) in books.execute("SELECT value FROM claims"))


def attempts_of_all(ledger: Ledger) -> dict[str, list[Any]]:
    with ledger.reading() as connection:
        rows = list(connection.execute(select(claim_table.c.id, claim_table.c.identifier)))
        return {row.identifier: attempts.of_claim(connection, row.id) for row in rows}


def not_settled(ledger: Ledger) -> list[Any]:
    """What became last of each claim that has come to no end."""
    with ledger.reading() as connection:
        rows = connection.execute(select(claim_table).where(claim_table.c.status.not_in(("complete", "held"))))
        waits = {row.key: (row.stage, row.due_at, row.tries) for row in connection.execute(select(work_table))}
        return [
            (
                r.status,
                waits.get(r.id),
                [(a.kind, a.outcome, a.reason, a.next_action) for a in attempts.of_claim(connection, r.id)],
            )
            for r in rows
        ]


def broken_rules(made: dict[str, list[Any]]) -> list[str]:
    """Claims that were sent again without a look-up, or after a refusal."""
    found = []
    for identifier, its in made.items():
        for one, following in pairwise(its):
            is_open = one.outcome in ("unknown", "look-up", "")
            if one.kind == "submit" and is_open and following.kind != "look-up":
                found.append(f"{identifier}: {following.kind} after {one.outcome}")
            if one.outcome == "refused" and following.kind == "submit":
                found.append(f"{identifier}: sent again after a refusal")
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", WAYS)
def test_each_claim_ends_at_the_payer_once_whatever_fails_and_however_the_clock_is_moved(
    way: str, ledger: Ledger, clock: MovedClock, tmp_path: Path
) -> None:
    dice = random.Random(f"{way} {CLAIMS}")
    faults = [*dice.sample(PASSING, len(PASSING)), REFUSING]
    books = tmp_path / "payer.db"
    filed(ledger, CLAIMS)
    with running(faults=faults, store_path=books) as url:
        stages = Stages(ledger, rulebook(), {PAYER: line(url, WAYS[way])})
        with working(stages):
            assert delivered(ledger, clock, CLAIMS, ("complete", "held"), dice), not_settled(ledger)
    made, there, ended = attempts_of_all(ledger), arrived(books), statuses(ledger)

    print(f"{way}: {dict(ended)}, {sum(map(len, made.values()))} attempts, at the payer {len(there)}")
    assert broken_rules(made) == []
    assert set(there.values()) <= {1}
    assert len(there) == ended["complete"]
    assert Counter(a.outcome for its in made.values() for a in its)["unknown"] > 0


REVIEWED = max(20, CLAIMS // 3)
REVIEW = Payer(
    "plan-review",
    "Plan",
    plans=("PLAN",),
    prior_auth_codes=frozenset({"G0463"}),
    profile="davinci-pas",
    use="preauthorization",
    pas=PasRules("555-0100", service_type="1"),
)
CONCEPTS = {"v2-class": {"O": "AMB"}, "v2-sex": {"F": "female"}, "v2-relationship": {"18": "self"}}


def planned(number: int) -> bytes:
    """A visit that is planned, with a service that the payer is asked about ahead."""
    return (
        f"MSH|^~\\&|APP|CLINIC|||20261103100000||ADT^A05|C{number}|P|2.5.1\rEVN||20261103100000\r"
        f"PID|1||PAT-{number}^^^CLINIC^MR||Testcase^Tess||19800229|F\r"
        f"PV1|1|O|||||||||||||||||V{number}^^^CLINIC|||||||||||||||||||||||||20261103090000\r"
        "DG1|1||I10^^I10|||F\r"
        f"IN1|1|PLAN|PLAN|PLAN|||||||||||||18||||||||||||||||||||||||||||||||MEM{number}\r"
        "PR1|1||G0463^^HCPCS||20261103\r"
    ).encode()


@pytest.mark.timeout(300)
def test_each_request_ahead_of_a_service_ends_at_a_da_vinci_payer_once(
    ledger: Ledger, clock: MovedClock, tmp_path: Path
) -> None:
    dice, books = random.Random("pas"), tmp_path / "payer.db"
    book = rulebook(payers=(REVIEW,), site=replace(SITE, place_of_service={"AMB": "11"}))
    book = replace(book, hl7v2_rules=replace(book.hl7v2_rules, concepts=CONCEPTS))
    with ledger.writing() as connection:
        for body in map(planned, range(REVIEWED)):
            messages.keep(connection, Incoming("adt", read_header(body), body), clock())
    with running(faults=PASSING, store_path=books, profile="davinci-pas") as url:
        stages = Stages(ledger, book, {REVIEW.name: line(url, profile_of(REVIEW))})
        with working(stages):
            # Each visit has a claim too, which is held: it was planned, and nothing says that it took place.
            is_over = delivered(ledger, clock, 2 * REVIEWED, ("complete", "denied", "partial", "held"), dice)
            assert is_over, not_settled(ledger)
    made, there, ended = attempts_of_all(ledger), arrived(books), statuses(ledger)

    sent = {identifier: its for identifier, its in made.items() if its}
    print(f"davinci-pas: {dict(ended)}, {sum(map(len, made.values()))} attempts, at the payer {len(there)}")
    assert broken_rules(made) == []
    assert len(sent) == REVIEWED
    assert there == Counter(dict.fromkeys(sent, 1))
