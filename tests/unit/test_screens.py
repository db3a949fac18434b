"""What the terminal shows: the codes with their story, what holds a claim, and no control character of a message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert

from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.conversion import Conversion, ConvertedMessage
from fhir_coder.model import (
    Adjudication,
    ClaimStatus,
    DocumentRequest,
    Header,
    Kind,
    LineDecision,
    MessageFormat,
    MessageStatus,
    Outcome,
    OutcomeKind,
    Payment,
    System,
)
from fhir_coder.payers import Try
from fhir_coder.queries import ClaimStory, message_story
from fhir_coder.screens import (
    aligned,
    claim_text,
    conversion_text,
    listing,
    status_text,
    stored_claim_text,
)
from fhir_coder.screens_messages import message_text, visible
from fhir_coder.store import Ledger, attempts, claims, messages
from fhir_coder.store.events import events_of
from fhir_coder.store.messages import Incoming
from fhir_coder.store.schema import charts
from tests.building import (
    KEY,
    NOON,
    charge,
    coded,
    coverage,
    diagnosis,
    drafted,
    good_chart,
    money,
    row,
    rulebook,
    sct,
    stay,
    table,
    visit,
)

DX = table(Kind.DIAGNOSIS, System.SNOMED, row("38341003", f"{System.ICD10CM}|I10", display="Hypertension"), id="dx")
NOTHING = table(Kind.CHARGE, System.LOCAL, row("KIT"), id="charge-master")
BOOK = rulebook(DX, NOTHING)
GOOD = drafted(good_chart(diagnosis(sct("38341003")), charge(amount=money("1336.50"))), BOOK)
AT = datetime(2026, 11, 3, 18, 0, tzinfo=UTC)


def test_a_claim_shows_each_code_with_the_row_that_chose_it() -> None:
    text = claim_text(GOOD)

    assert text.splitlines()[0] == "CLINIC/VN/V1   Lakeshore PPO   professional   2026-11-03   USD 1,336.50   ready"
    assert "SNOMED CT 38341003" in text
    assert "dx@1  row 2" in text
    assert "came coded" in text


def test_a_held_claim_shows_its_gaps_what_is_not_billed_and_rejecting_findings_first() -> None:
    chart = good_chart(diagnosis(sct("999")), charge(coded(System.LOCAL, "KIT")), visit(), coverage(subscriber_id=""))

    lines = claim_text(drafted(chart, BOOK)).splitlines()

    assert any("SNOMED CT 999" in line and "no_row" in line for line in lines)
    assert any("local code KIT" in line for line in lines)
    severities = [
        line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in ("reject", "warn", "info")
    ]
    assert severities == sorted(severities, key=["reject", "warn", "info"].index)
    assert "no amount" in lines[0]


@pytest.mark.parametrize(
    "chart", [good_chart(stay()), replace(good_chart(), visit=None), good_chart(charge(amount=None))]
)
def test_any_claim_can_be_shown(chart: Any) -> None:
    assert claim_text(drafted(chart, BOOK))


def test_a_conversion_counts_messages_and_claims_and_tells_what_was_ignored() -> None:
    ignored = ConvertedMessage(
        "f:1", Header(MessageFormat.HL7V2, "MDM^T02"), MessageStatus.IGNORED, reason="a type that bills nothing"
    )
    broken = ConvertedMessage("f:2", Header(MessageFormat.UNKNOWN), MessageStatus.QUARANTINED, reason="not JSON")

    text = conversion_text(Conversion((ignored, broken), (GOOD,)))

    assert "f:1   MDM^T02   ignored: a type that bills nothing" in text
    assert text.splitlines()[-1].startswith("2 messages, 1 claim ready, 0 held, 1 unreadable")


def test_columns_are_aligned_amounts_to_the_right_and_empty_ones_vanish() -> None:
    assert aligned([["a", "", "1.50"], ["long", "", "1,000.00"]], indent=1) == [" a         1.50", " long  1,000.00"]
    assert aligned([]) == []


def test_a_list_has_its_heads_and_times_to_the_second() -> None:
    assert listing(["id", "at", "reason"], [["1", AT, None]]).splitlines() == [
        "id  at                   reason",
        "1   2026-11-03 18:00:00",
    ]


def test_a_stored_claim_shows_its_codes_history_and_answer(ledger: Ledger) -> None:
    lines = (LineDecision(1, paid=money("80.00")), LineDecision(2, denied=True, reasons=("45",)))
    answer = Adjudication(ClaimStatus.PARTIAL, "partial", paid=money("80.00"), lines=lines)
    busy = Outcome(OutcomeKind.BUSY, "the payer is not available", http_status=503)
    filed = claims.Filed(replace(GOOD, replaces="CLM-0"), to_bytes(GOOD.claim), content_hash(GOOD.claim))
    with ledger.writing() as connection:
        connection.execute(insert(charts).values(key=KEY, first_seen_at=NOON, cancelled=False))
        one = claims.insert_claim(connection, filed, NOON)
        first = attempts.begin(connection, one, "submit", NOON)
        sent = Try("submit", NOON, NOON, busy, "POST https://payer.example/fhir/Claim", "", b"")
        attempts.end(connection, first, [sent], "send again", NOON)
        attempts.begin(connection, one, "look-up", NOON)
        claims.move(connection, claims.by_id(connection, one), ClaimStatus.PARTIAL, "answered", NOON)
        claims.set_adjudication(connection, one, answer)
        tried, events = attempts.of_claim(connection, one), events_of(connection, "claim", one)
        text = stored_claim_text(ClaimStory(claims.by_id(connection, one), tried, events))

    for said in (
        f"{GOOD.identifier}   revision 1   Lakeshore PPO   USD 1336.50   partial   replaces CLM-0",
        f"chart {KEY}   professional-1",
        "dx@1  row 2",
        "ready → partial",
        "503 busy: the payer is not available in 0.000 s; then: send again",
        "no answer was written down",
        "USD 80.00",
        "denied 45",
    ):
        assert said in text


def test_a_stored_claim_shows_what_a_review_says_and_asks_for(ledger: Ledger) -> None:
    lines = (
        LineDecision(1, review="A1", authorization="AUTH-7", allowed=money("90.00"), patient=money("10.00")),
        LineDecision(2, review="A4", pended=True, reasons=("0V",), texts=("More is needed",)),
    )
    answer = Adjudication(
        ClaimStatus.QUEUED,
        "complete",
        lines=lines,
        patient=money("10.00"),
        payment=Payment(money("80.00"), "2026-11-20", "EFT-7"),
        pended=True,
        requests=(DocumentRequest("documents", ("28570-0",), (1, 2), "2026-12-01", "Task/1"),),
        authorization="AUTH-7",
        authorized_from="2026-11-03",
        authorized_to="2026-12-03",
        texts=("See the policy",),
    )
    filed = claims.Filed(GOOD, to_bytes(GOOD.claim), content_hash(GOOD.claim))
    with ledger.writing() as connection:
        connection.execute(insert(charts).values(key=KEY, first_seen_at=NOON, cancelled=False))
        one = claims.insert_claim(connection, filed, NOON)
        claims.set_adjudication(connection, one, answer)
        text = stored_claim_text(ClaimStory(claims.by_id(connection, one), [], []))

    for said in (
        "complete, pended",
        "USD 10.00",
        "2026-11-20 EFT-7",
        "AUTH-7 2026-11-03 to 2026-12-03",
        "A1 allowed 90.00 patient owes 10.00 AUTH-7",
        "pended A4 0V More is needed",
        "documents 28570-0 for line 1, 2 by 2026-12-01",
        "See the policy",
    ):
        assert said in text


def test_a_status_says_what_waits() -> None:
    counted = {
        "messages": {"charted": 3},
        "claims": {},
        "work_items": {"gap": 1},
        "work_waiting": 2,
        "oldest_waiting_at": "2026-11-03T18:00:00+00:00",
        "feeds": {"adt": {"charted": 3}},
        "payers": {"lakeshore": {"ready": 1}},
        "payer_states": {
            "lakeshore": {"state": "up", "reason": "", "since": "2026-11-03T18:00:00+00:00"},
            "statewide": {"state": "down", "reason": "connection refused", "since": "2026-11-03T18:00:00+00:00"},
        },
        "fhir_servers": {
            "ehr": {"state": "down", "reason": "http_503", "since": "2026-11-03T17:00:00", "read_at": None}
        },
    }

    text = status_text(counted)
    assert "statewide       down (connection refused) since 2026-11-03T18:00:00+00:00" in text
    assert "lakeshore       up" not in text
    assert "ehr             down (http_503) since 2026-11-03T17:00:00, read never" in text

    for said in ("work waiting  2", "3 charted", "claims        none", "1 gap", "2026-11-03T18:00:00", "lakeshore"):
        assert said in text


def test_a_message_is_shown_with_its_control_characters_as_pictures(ledger: Ledger) -> None:
    header = Header(MessageFormat.HL7V2, "ADT^A04", "C1")
    body = b"MSH|1\rPID|\x1b[31m\r\n"
    with ledger.writing() as connection:
        kept = messages.keep(connection, Incoming("adt", header, body, "MSH-2: no separators"), NOON)
    text = message_text(message_story(ledger, kept.id))

    assert "\x1b" not in text
    assert "PID|␛[31m␍␊" in text
    assert "MSH-2: no separators" in text
    assert "quarantined" in text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"MSH|1\rPID|2\r", ["MSH|1␍", "PID|2␍"]),
        (b"MSH|1\r\nPID|2\n", ["MSH|1␍␊", "PID|2␊"]),
        (b"\x0bMSH|1\r\x1c\r", ["␋MSH|1␍", "␜␍"]),
        (b"caf\xe9", ["caf\\xe9"]),
        (b"", []),
    ],
)
def test_every_byte_of_a_payload_can_be_seen(body: bytes, expected: list[str]) -> None:
    assert visible(body) == expected


@pytest.mark.parametrize("byte", [*range(0x20), 0x7F, *range(0x80, 0xA0)])
def test_no_control_character_of_a_message_reaches_the_terminal(byte: int) -> None:
    shown = "".join(visible(f"a{chr(byte)}b".encode()))

    assert not any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 for sign in shown)
