"""Claims without an answer: inquired of the payer, put to a person, settled by what a person learnt another way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from fhir_coder.cli import cli
from fhir_coder.followup import hand_in
from fhir_coder.model import Json, Payer
from fhir_coder.payers.decide import RetryPolicy
from fhir_coder.payers.sandbox import running
from fhir_coder.stages import Stages
from fhir_coder.store import attempts, items
from fhir_coder.store.events import events_of
from tests.building import SITE
from tests.flow.test_billing import Make, Site, ft1, line

DAYS = 7
LONG = 1_000_000.0
"""Seconds: longer than a test takes."""
PAYER = Payer("first", "First PPO", plans=("FIRST",), prior_auth_codes=frozenset())


def inquiring(
    site: Make, *faults: str, unknown: str = "look-up", pend_seconds: float = 0.0, days: int | None = DAYS
) -> Site:
    """A site whose payer's claims are inquired about after a week; it has one claim that was sent."""
    here = site(PAYER, faults=faults, pend_seconds=pend_seconds)
    sends_to(here, here.urls["first"], unknown, days)
    here.hears("DFT^P03", ft1(1))
    return here


def sends_to(here: Site, url: str, unknown: str = "look-up", days: int | None = DAYS) -> None:
    policy = RetryPolicy(0.0, 0.0, 50, 3600.0, unknown=unknown)
    of_payer = replace(line(url, lambda: here.now), policy=policy, inquire_after=86400.0 * days if days else None)
    here.stages = Stages(here.ledger, here.book, {"first": of_payer})


def pended(site: Make) -> Site:
    """A site with a claim that its payer leaves undecided for as long as a test takes."""
    return inquiring(site, pend_seconds=LONG)


def later(here: Site, **passed: float) -> None:
    here.now += timedelta(**passed)
    here.works()


def tries(here: Site, kind: str) -> list[str]:
    with here.ledger.reading() as connection:
        return [a.outcome for a in attempts.of_claim(connection, here.rows()[-1].id) if a.kind == kind]


def open_texts(here: Site) -> list[str]:
    with here.ledger.reading() as connection:
        return [item.text for item in items.open_items(connection)]


def test_an_aged_claim_is_inquired_of_its_payer_and_put_to_a_person(site: Make) -> None:
    here = pended(site)
    later(here, days=DAYS - 1)
    assert (tries(here, "inquiry"), here.items()) == ([], [])

    later(here, days=1, hours=1)
    assert (tries(here, "inquiry"), here.items()) == (["found"], [("no-answer", "found")])
    assert open_texts(here) == [
        "sent 7 days ago, no decision; the payer has it: ask the payer, then claims taken or claims resubmit"
    ]

    later(here, days=1)
    assert tries(here, "inquiry") == ["found"]


def test_it_is_inquired_again_after_the_same_time_once_a_person_has_asked(site: Make) -> None:
    here = pended(site)
    later(here, days=DAYS, hours=1)
    with here.ledger.writing() as connection:
        items.close_identity(connection, here.now, f"no-answer:{here.rows()[-1].id}", "they work on it")
    later(here, days=DAYS - 1)
    assert here.items() == []
    later(here, days=1, hours=1)
    assert (tries(here, "inquiry"), here.items()) == (["found", "found"], [("no-answer", "found")])


def test_the_item_closes_when_the_payer_decides(site: Make) -> None:
    here = pended(site)
    later(here, days=DAYS, hours=1)
    decided = answer(here, {})
    hand_in(here.ledger, here.rows()[-1], orjson.dumps(decided), "user ann", "by post")
    here.works()
    assert (here.rows()[-1].status, here.items()) == ("complete", [])


def test_a_claim_the_payer_does_not_find_says_so(site: Make) -> None:
    here = pended(site)
    with running() as empty:
        sends_to(here, empty + "/fhir")
        later(here, days=DAYS, hours=1)
    assert here.items() == [("no-answer", "not-found")]
    assert open_texts(here)[0].startswith("sent 7 days ago, no decision; the payer does not find it: ")


def test_without_the_setting_nothing_is_inquired(site: Make) -> None:
    here = inquiring(site, pend_seconds=LONG, days=None)
    later(here, days=29)
    assert (tries(here, "inquiry"), here.items()) == ([], [])


# --- what a person learnt


def answer(here: Site, more: Json, identifier: str = "") -> Json:
    """A payer's decision that came by another way."""
    named = {"system": SITE.claim_identifier_system, "value": identifier or here.rows()[-1].identifier}
    paid = {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 80, "currency": "USD"}}
    said = {"resourceType": "ClaimResponse", "id": "9", "status": "active", "outcome": "complete", "total": [paid]}
    return said | {"request": {"identifier": named}} | more


def command(here: Site, *words: str) -> tuple[int, str]:
    file = here.folder / "fhir-coder.toml"
    file.write_text(
        f'[site]\nclaim_identifier_system = "{SITE.claim_identifier_system}"\n[store]\nurl = "sqlite:///ledger.db"\n'
        '[[payers]]\nname = "first"\nurl = "http://127.0.0.1:1/fhir"\nunknown = "person"\n'
    )
    done = CliRunner().invoke(cli, ["claims", "taken", "-c", str(file), *words])
    return done.exit_code, done.output


@pytest.fixture
def parked(site: Make) -> Site:
    """A site with a claim of which nobody knows whether the payer has it, and whose payer cannot be asked."""
    here = inquiring(site, "drop-after-read", unknown="person")
    assert (here.rows()[-1].status, here.items()) == ("unknown", [("parked", "unknown")])
    return here


def test_a_parked_claim_that_the_payer_has_waits_for_its_decision(parked: Site) -> None:
    claim = parked.rows()[-1].identifier
    code, shown = command(parked, claim, "--why", "call 4711", "--reference", "Claim/17")
    assert (code, shown.splitlines()[-1]) == (0, "nothing was done; 1 claim of 1 with --yes")
    assert parked.rows()[-1].status == "unknown"

    code, shown = command(parked, claim, "--why", "call 4711", "--reference", "Claim/17", "--yes")
    assert (code, shown.splitlines()[-1]) == (0, "1 claim of 1 changed")
    row = parked.rows()[-1]
    assert (row.status, row.payer_reference, parked.items()) == ("queued", "Claim/17", [])
    with parked.ledger.reading() as connection:
        last = events_of(connection, "claim", row.id)[-1]
    assert (last.from_status, last.to_status, last.why) == (
        "unknown",
        "queued",
        "the payer has it, a person says: call 4711",
    )
    assert last.actor.startswith("user ")


def test_an_answer_that_came_by_post_decides_a_parked_claim(parked: Site, tmp_path: Path) -> None:
    row = parked.rows()[-1]
    file = tmp_path / "answer.json"
    file.write_bytes(orjson.dumps(answer(parked, {})))
    code, shown = command(parked, row.identifier, "--why", "by post", "--answer", str(file), "--yes")
    assert code == 0, shown
    parked.now = max(parked.now, datetime.now(UTC))  # the command goes by the machine's clock
    parked.works()
    now = parked.rows()[-1]
    assert (now.status, now.paid, parked.items()) == ("complete", "80", [])


Change = Callable[[Site], Any]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (lambda here: b"<html>", "no FHIR resource in JSON"),
        (lambda here: {"resourceType": "ClaimResponse", "status": "cancelled"}, "holds no decision"),
        (lambda here: answer(here, {}, "CLM-OTHER-1"), "is not about CLM-"),
        (lambda here: answer(here, {"request": {"reference": "Claim/4"}}), "is not about CLM-"),
    ],
)
def test_what_is_no_answer_to_the_claim_is_refused_and_changes_nothing(
    parked: Site, tmp_path: Path, sent: Change, told: str
) -> None:
    file, body = tmp_path / "answer.json", sent(parked)
    file.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    code, shown = command(parked, parked.rows()[-1].identifier, "--why", "post", "--answer", str(file), "--yes")
    assert (code, told in shown) == (2, True)
    assert parked.rows()[-1].status == "unknown"


def test_a_decided_claim_is_not_counted_as_taken(site: Make) -> None:
    here = site(PAYER)
    here.hears("DFT^P03", ft1(1))
    code, shown = command(here, here.rows()[-1].identifier, "--why", "call", "--yes")
    assert (code, "nothing: the payer has decided" in shown) == (0, True)
    assert here.rows()[-1].status == "complete"


def test_no_reason_is_no_order(parked: Site) -> None:
    assert command(parked, parked.rows()[-1].identifier, "--yes")[0] == 2


# --- denials


def test_a_denial_names_its_reasons_and_what_it_costs(site: Make) -> None:
    here = pended(site)
    row = here.rows()[-1]
    benefit = {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 0, "currency": "USD"}}
    reason = {"coding": [{"code": "197"}], "text": "Testcase, Tess has no authorisation"}
    decided = answer(
        here, {"item": [{"itemSequence": 1, "adjudication": [benefit | {"reason": reason}]}], "total": [benefit]}
    )
    hand_in(here.ledger, row, orjson.dumps(decided), "user ann", "")
    here.works()
    assert (here.rows()[-1].status, here.items()) == ("denied", [("denial", "197")])
    assert open_texts(here) == [
        "the payer denied line 1 (197): correct the claim (claims correct), or let it be and close this"
    ]


def test_a_line_denied_on_a_paid_claim_is_put_to_a_person_too(site: Make) -> None:
    here = inquiring(site, pend_seconds=LONG)
    paid = {"category": {"coding": [{"code": "benefit"}]}, "amount": {"value": 80, "currency": "USD"}}
    nothing = paid | {"amount": {"value": 0, "currency": "USD"}, "reason": {"coding": [{"code": "not a code, a text"}]}}
    lines = [{"itemSequence": 1, "adjudication": [paid]}, {"itemSequence": 2, "adjudication": [nothing]}]
    hand_in(here.ledger, here.rows()[-1], orjson.dumps(answer(here, {"item": lines})), "user ann", "")
    here.works()
    assert (here.rows()[-1].status, here.items()) == ("partial", [("denial", "other")])
