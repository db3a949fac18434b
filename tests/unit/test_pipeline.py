"""The stages in order: a message to its facts, a chart to its draft, held or ready."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.claims import content_hash
from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2 import FeedRules
from fhir_coder.intake.payloads import read_header
from fhir_coder.model import (
    Chart,
    ClaimDraft,
    ClaimStatus,
    Header,
    Identifier,
    Message,
    MessageFormat,
    Organization,
    Payer,
    Problem,
)
from fhir_coder.pipeline import chart_of, claim_identifier, facts_of
from tests.building import (
    KEY,
    PAYER,
    charge,
    coverage,
    diagnosis,
    drafted,
    good_chart,
    origin,
    rulebook,
    sct,
    visit,
)
from tests.building import chart_of as chart_of_facts

MSH = "MSH|^~\\&|APP|CLINIC|||20261103100000||{}|C1|P|2.5.1\r"
VISIT = "PID|1||PAT-1^^^CLINIC^MR||Testcase^Tess\rPV1|1|O|||||||||||||||||V1\r"


def message(body: str) -> Message:
    data = body.encode()
    return Message("m1", data, read_header(data))


def draft(chart: Chart, revision: int = 1, replaces: str = "") -> ClaimDraft:
    return drafted(chart, rulebook(), revision, replaces)


# --- facts


def test_a_type_that_bills_nothing_says_nothing() -> None:
    assert facts_of(message(MSH.format("MDM^T02")), rulebook()) is None
    assert facts_of(message('{"resourceType":"Observation"}'), rulebook()) is None


def test_a_visit_message_is_filed_under_its_chart_key() -> None:
    facts = facts_of(message(MSH.format("ADT^A04") + VISIT), rulebook())

    assert facts is not None
    assert facts.charts == (KEY,)


def test_each_feed_reads_by_its_own_rules() -> None:
    ours = replace(rulebook(), hl7v2_by_feed={"north": FeedRules(namespace="north:")})
    body = message(MSH.format("ADT^A04") + VISIT)

    north, other = facts_of(body, ours, "north"), facts_of(body, ours, "south")

    assert north is not None
    assert other is not None
    assert (north.charts, other.charts) == ((f"north:{KEY}",), (KEY,))


def test_a_body_that_is_not_what_its_header_says_is_unreadable_and_tells_no_value() -> None:
    with pytest.raises(UnreadableError) as caught:
        facts_of(Message("m1", b"{Poisonname", Header(MessageFormat.FHIR, "Patient")), rulebook())

    assert "Poisonname" not in str(caught.value)


def test_a_message_becomes_a_chart_of_its_visit() -> None:
    facts = facts_of(message(MSH.format("ADT^A04") + VISIT), rulebook())

    assert facts is not None
    chart = chart_of(KEY, [facts])
    assert chart.patient is not None
    assert (chart.key, chart.messages, chart.patient.identifiers[0].value) == (KEY, ("m1",), "PAT-1")


# --- identifiers

KEYS = st.text(max_size=30)


@given(KEYS, KEYS, st.integers(1, 999))
def test_an_identifier_is_stable_and_fits_the_837_claim_number(key: str, payer: str, revision: int) -> None:
    identifier = claim_identifier(key, payer, revision)

    assert identifier == claim_identifier(key, payer, revision)
    assert len(identifier) <= 20
    assert re.fullmatch(r"CLM-[A-Z2-7]{12}-\d{1,3}", identifier)


@given(KEYS, KEYS)
def test_an_identifier_differs_by_payer_by_revision_and_by_chart(key: str, payer: str) -> None:
    others = {
        claim_identifier(key, payer + "x", 1),
        claim_identifier(key, payer, 2),
        claim_identifier(key + "x", payer, 1),
    }

    assert claim_identifier(key, payer, 1) not in others
    assert len(others) == 3


def test_an_identifier_does_not_show_the_visit_number() -> None:
    assert "V1" not in claim_identifier("V1", "lakeshore", 1).replace("CLM", "").split("-")


# --- drafts


def test_a_good_chart_gives_a_ready_claim_for_its_payer() -> None:
    made = draft(good_chart())

    assert (made.status, made.gaps, made.payer, made.chart_key) == (ClaimStatus.READY, (), "lakeshore", KEY)
    assert made.identifier == claim_identifier(KEY, "lakeshore", 1)
    assert made.claim["identifier"][0]["value"] == made.identifier
    assert made.total is not None
    assert str(made.total.value) == "100.00"


@pytest.mark.parametrize(
    "chart",
    [
        good_chart(diagnosis(), diagnosis(sct("999"))),
        good_chart(coverage(subscriber_id="")),
        replace(good_chart(), problems=(Problem(origin(), "not_a_number", "not a number"),)),
        good_chart(charge(amount=None)),
        chart_of_facts(visit()),
        chart_of_facts(),
    ],
    ids=["gap", "rejecting finding", "unusable part", "no amount", "bare visit", "nothing"],
)
def test_a_gap_or_a_rejecting_finding_holds_the_claim(chart: Chart) -> None:
    assert draft(chart).status is ClaimStatus.HELD


def test_a_warning_holds_nothing() -> None:
    made = draft(good_chart(visit()))

    assert "missing-doctor-npi" in [f.edit for f in made.findings]
    assert made.status is ClaimStatus.READY


def test_a_revision_bills_the_same_under_another_identifier_and_names_what_it_replaces() -> None:
    first = draft(good_chart())
    second = draft(good_chart(), revision=2, replaces=first.identifier)

    assert second.identifier != first.identifier
    assert second.claim["related"][0]["claim"]["identifier"]["value"] == first.identifier
    assert content_hash(second.claim) == content_hash(first.claim)


def test_a_claim_without_a_known_payer_is_held_under_the_coverages_name() -> None:
    book = rulebook(payers=[replace(PAYER, plans=("OTHER",))])

    made = drafted(good_chart(), book)

    assert (made.payer, made.status) == ("lakeshore-ppo", ClaimStatus.HELD)
    assert "payer-not-known" in [f.edit for f in made.findings]


def test_a_claim_without_any_coverage_is_held() -> None:
    made = draft(replace(good_chart(), coverages=()))

    assert made.status is ClaimStatus.HELD
    assert "no-coverage" in [f.edit for f in made.findings]


def test_two_payers_of_one_chart_never_share_an_identifier() -> None:
    state = Payer("statewide", plans=("STATE1",))
    book = rulebook(payers=[PAYER, state])
    other = good_chart(coverage(payer=Organization("", (Identifier("STATE1"),))))

    assert drafted(good_chart(), book).identifier != drafted(other, book).identifier
