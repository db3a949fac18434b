"""What the terminal shows: the codes with their story, what holds a claim, and no control character of a message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fhir_coder.claims import to_bytes
from fhir_coder.conversion import Conversion, ConvertedMessage
from fhir_coder.model import Header, Kind, MessageFormat, MessageStatus, System
from fhir_coder.pipeline import draft_claim
from fhir_coder.screens import (
    aligned,
    claim_text,
    conversion_text,
    listing,
    message_text,
    status_text,
    stored_claim_text,
    visible,
)
from tests.building import (
    DAY,
    charge,
    coded,
    coverage,
    diagnosis,
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
GOOD = draft_claim(good_chart(diagnosis(sct("38341003")), charge(amount=money("1336.50"))), BOOK, DAY)
AT = datetime(2026, 11, 3, 18, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    """A row as the ledger gives it."""

    identifier: str = "CLM-1"
    revision: int = 2
    payer: str = "lakeshore"
    currency: str = "USD"
    total: str = "100.00"
    status: str = "partial"
    replaces: str = "CLM-0"
    chart_key: str = "CLINIC/VN/V1"
    body: bytes = to_bytes(GOOD.claim)
    explained: str = "{}"
    adjudication: str = ""


@dataclass(frozen=True)
class Happened:
    """An event or an attempt."""

    at: datetime = AT
    from_status: str = ""
    to_status: str = "ready"
    why: str = "revision 1"


@dataclass(frozen=True)
class Tried:
    """An attempt."""

    started_at: datetime = AT
    ended_at: datetime | None = AT
    kind: str = "submit"
    outcome: str = "busy"
    http_status: int | None = 503
    reason: str = "the payer is not available"
    next_action: str = "send again"


@dataclass(frozen=True)
class Story:
    """A message with its story."""

    row: Any
    topics: list[str]
    events: list[Any]


@dataclass(frozen=True)
class MessageRow:
    """A message's row."""

    id: str = "01M"
    feed: str = "adt"
    format: str = "hl7v2"
    type: str = "ADT^A04"
    control_id: str = "C1"
    status: str = "quarantined"
    reason: str = "MSH-2: no separators"
    body: bytes = b"MSH|1\rPID|\x1b[31m\r\n"


def test_a_claim_shows_each_code_with_the_row_that_chose_it() -> None:
    text = claim_text(GOOD)

    assert text.splitlines()[0] == "CLINIC/VN/V1   Lakeshore PPO   professional   2026-11-03   USD 1,336.50   ready"
    assert "SNOMED CT 38341003" in text
    assert "dx@1  row 2" in text
    assert "came coded" in text


def test_a_held_claim_shows_its_gaps_what_is_not_billed_and_rejecting_findings_first() -> None:
    chart = good_chart(diagnosis(sct("999")), charge(coded(System.LOCAL, "KIT")), visit(), coverage(subscriber_id=""))

    lines = claim_text(draft_claim(chart, BOOK, DAY)).splitlines()

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
    assert claim_text(draft_claim(chart, BOOK, DAY))


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


def test_a_stored_claim_shows_its_codes_history_and_answer() -> None:
    explained = (
        '{"traces":[{"path":"Claim.diagnosis[0]","code":"I10","origin":{"message":"m1","path":"DG1[1]"},'
        '"source":{"system":"http://snomed.info/sct","code":"38341003"},"table":"dx","row":2,"version":"dx@1","note":"","display":"Hypertension"}],'
        '"gaps":[],"findings":[{"severity":"warn","edit":"e","path":"Claim","text":"t","advice":"do"}]}'
    )
    answer = (
        '{"outcome":"partial","disposition":"","paid":{"value":"80.00","currency":"USD"},'
        '"lines":[{"sequence":1,"paid":{"value":"80.00"},"denied":false,"reasons":[]},'
        '{"sequence":2,"paid":null,"denied":true,"reasons":["45"]}]}'
    )
    stored = Stored(explained=explained, adjudication=answer)

    text = stored_claim_text(
        stored, [Tried(), Tried(ended_at=None, kind="look-up")], [Happened(), Happened(from_status="held")]
    )

    for said in (
        "CLM-1   revision 2   Lakeshore PPO   USD 100.00   partial   replaces CLM-0",
        "dx@1  row 2",
        "held → ready",
        "503, busy: the payer is not available; next: send again",
        "no answer written down",
        "USD 80.00",
        "denied 45",
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
    }

    text = status_text(counted)

    for said in ("work waiting  2", "3 charted", "claims        none", "1 gap", "2026-11-03T18:00:00", "lakeshore"):
        assert said in text


def test_a_message_is_shown_with_its_control_characters_as_pictures() -> None:
    text = message_text(Story(MessageRow(), ["CLINIC/VN/V1"], [Happened()]))

    assert "\x1b" not in text
    assert "PID|␛[31m␍␊" in text
    assert "MSH-2: no separators" in text
    assert "CLINIC/VN/V1" in text


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
