"""A bill of several lines or claims: lines made one by rule, large bills split without losing a pointer or a cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.claims import arranged, build_claim, parts_of
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import ChargeFact, Chart, CodedChart, Coding, Json, Limits, Slot, When, is_asked_ahead
from fhir_coder.pipeline import Occasion, billed_slots, draft_claims
from tests.building import (
    DAY,
    NOON,
    NUMBER,
    PAYER,
    SITE,
    charge,
    coded_chart,
    coverage,
    diagnosis,
    good_chart,
    icd,
    member,
    money,
    rulebook,
    stay,
)

CODES = [f"E11.{i}" for i in range(10)] + [f"I25.{i}" for i in range(10)]


def consolidated(*charges: ChargeFact) -> CodedChart:
    chart = good_chart(diagnosis("I10"), diagnosis("E11.9"), *charges)
    return arranged(coded_chart(chart), "professional", replace(PAYER, consolidate_lines=True))


def lines(coded: CodedChart) -> list[tuple[str, Decimal, Decimal]]:
    return [(line.code.code, line.quantity, line.net.value if line.net else Decimal(-1)) for line in coded.lines]


def claim_of(coded: CodedChart) -> Json:
    claim = build_claim(coded, SITE, PAYER, NUMBER, DAY).claim
    assert structure_findings(claim) == []
    return claim


# --- lines made one


def test_lines_of_one_code_day_and_modifiers_are_one_line_for_a_payer_that_wants_it() -> None:
    one = consolidated(charge("J1885", "T1"), charge("J1885", "T2", quantity=Decimal(2), amount=money("200.00")))

    assert lines(one) == [("J1885", Decimal(3), Decimal("300.00"))]
    assert claim_of(one)["total"]["value"] == Decimal("300.00")


def test_a_line_made_of_two_has_the_story_of_both() -> None:
    built = build_claim(consolidated(charge("J1885", "T1"), charge("J1885", "T2")), SITE, PAYER, NUMBER, DAY)

    assert [t.path for t in built.traces].count("Claim.item[0]") == 2


def test_a_payer_that_does_not_ask_for_it_gets_every_line() -> None:
    chart = good_chart(charge("J1885", "T1"), charge("J1885", "T2"))

    assert len(arranged(coded_chart(chart), "professional", PAYER).lines) == 2


@pytest.mark.parametrize(
    "second",
    [
        {"service_date": When("2026-11-02")},
        {"modifiers": (Coding("", "RT"),)},
        {"amount": money("90.00")},
        {"care_team": (member("rendering", "2000000002", "Lake"),)},
        {"ndc": "00409379501"},
        {"revenue_code": "0636"},
        {"amount": None},
    ],
    ids=lambda said: next(iter(said)),
)
def test_lines_that_differ_in_anything_a_payer_reads_stay_apart(second: dict[str, Any]) -> None:
    assert len(consolidated(charge("J1885", "T1"), charge("J1885", "T2", **second)).lines) == 2


def test_the_one_line_points_to_the_diagnoses_of_both() -> None:
    one = consolidated(charge("J1885", "T1", diagnoses=(icd("E11.9"),)), charge("J1885", "T2", diagnoses=(icd("I10"),)))

    assert claim_of(one)["item"][0]["diagnosisSequence"] == [2, 1]


def test_lines_that_would_point_to_more_than_four_diagnoses_stay_apart() -> None:
    named = [diagnosis(code) for code in CODES[:6]]
    first = charge("J1885", "T1", diagnoses=tuple(icd(code) for code in CODES[:3]))
    second = charge("J1885", "T2", diagnoses=tuple(icd(code) for code in CODES[3:6]))
    chart = good_chart(*named, first, second)

    assert len(arranged(coded_chart(chart), "professional", replace(PAYER, consolidate_lines=True)).lines) == 2


def test_the_drug_of_the_one_line_is_added_up() -> None:
    drug: dict[str, Any] = {"ndc": "00409379501", "drug_unit": "ML", "drug_quantity": Decimal("1.5")}
    (item,) = claim_of(consolidated(charge("J1885", "T1", **drug), charge("J1885", "T2", **drug)))["item"]

    assert item["detail"][0]["quantity"]["value"] == Decimal("3.0")


# --- large bills


def of_lines(number: int, **said: Any) -> Chart:
    return good_chart(*(charge(f"J{1000 + i}", f"T{i}", **said) for i in range(number)))


def test_fifty_lines_are_one_professional_claim_and_fifty_one_are_two() -> None:
    whole = draft_claims(of_lines(50), rulebook(), Occasion(NOON))
    split = draft_claims(of_lines(51), rulebook(), Occasion(NOON))

    assert [(d.slot, len(d.claim["item"])) for d in whole] == [("professional-1", 50)]
    assert [(d.slot, len(d.claim["item"])) for d in split] == [("professional-1", 50), ("professional.2-1", 1)]
    assert [d.status.value for d in split] == ["ready", "ready"]
    assert len({d.identifier for d in split}) == 2
    assert [d.total.value if d.total else None for d in split] == [Decimal("5000.00"), Decimal("100.00")]


def test_an_institutional_claim_carries_999_lines() -> None:
    chart = good_chart(stay(), *(charge(f"J{1000 + i}", f"T{i}") for i in range(1000)))
    (first, second) = parts_of(coded_chart(chart), "institutional", PAYER.limits_of("institutional"))

    assert (len(first.lines), len(second.lines)) == (999, 1)


def test_a_payers_own_limit_goes_before_the_standards() -> None:
    payer = replace(PAYER, limits={"professional": Limits(2, 12)})
    drafts = draft_claims(of_lines(5), rulebook(payers=(payer,)), Occasion(NOON))

    assert [d.slot for d in drafts] == ["professional-1", "professional.2-1", "professional.3-1"]
    assert not [f for d in drafts for f in d.findings if f.edit == "too-many"]


def test_each_payer_gets_the_same_parts() -> None:
    second = replace(PAYER, name="medicaid", plans=("MCD",))
    chart = good_chart(
        *(charge(f"J{1000 + i}", f"T{i}") for i in range(51)), coverage(), coverage("IN1/2", order=2, plan="MCD")
    )
    named = [one.slot.name for one in billed_slots(chart, rulebook(payers=(PAYER, second)))]

    assert named == ["professional-1", "professional.2-1", "professional-2", "professional.2-2"]


def test_the_thirteenth_diagnosis_makes_a_second_claim_where_a_line_points_to_it() -> None:
    chart = good_chart(
        *(diagnosis(code) for code in CODES[:13]),
        charge("J1000", "T1", diagnoses=(icd(CODES[0]),)),
        charge("J1001", "T2", diagnoses=(icd(CODES[12]),)),
        *(charge(f"J{1001 + i}", f"T{2 + i}", diagnoses=tuple(map(icd, CODES[i : i + 4]))) for i in (1, 5, 9)),
    )
    parts = parts_of(coded_chart(chart), "professional", PAYER.limits_of("professional"))

    assert len(parts) == 2
    assert sorted(pointers(parts)) == sorted(pointers([coded_chart(chart)]))


def test_lines_go_where_their_diagnoses_are_so_that_claims_are_few() -> None:
    codes = CODES[:14]
    charges = [charge(f"J{1000 + i}", f"T{i}", diagnoses=(icd(codes[i % 14]),)) for i in range(42)]
    parts = parts_of(
        coded_chart(good_chart(*(diagnosis(code) for code in codes), *charges)), "professional", Limits(50, 12)
    )

    assert [len(part.lines) for part in parts] == [36, 6]


def test_a_diagnosis_that_no_line_points_to_and_no_claim_has_room_for_is_told() -> None:
    chart = good_chart(*(diagnosis(code) for code in CODES[:14]), charge(diagnoses=(icd(CODES[13]),)))
    (draft,) = draft_claims(chart, rulebook(), Occasion(NOON))
    left = [t for t in draft.traces if not t.path]

    assert len(draft.claim["diagnosis"]) == 12
    assert {d["diagnosisCodeableConcept"]["coding"][0]["code"] for d in draft.claim["diagnosis"]} == {
        *CODES[:11],
        CODES[13],
    }
    assert [t.code for t in left] == CODES[11:13]
    assert {t.note for t in left} == {"no line points to it, and a claim carries 12 diagnoses"}


def test_admitting_diagnosis_and_external_causes_have_places_of_their_own_on_an_institutional_claim() -> None:
    chart = good_chart(
        stay(),
        *(diagnosis(f"{letter}{i}0.0") for letter in "ABC" for i in range(1, 9)),
        diagnosis("D50.0"),
        diagnosis("W19.XXXA"),
        diagnosis("R10.9", kind="admitting"),
    )
    (whole,) = parts_of(arranged(coded_chart(chart), "institutional", PAYER), "institutional", Limits(999, 25))

    assert len(whole.diagnoses) == 27
    (draft,) = draft_claims(chart, rulebook(), Occasion(NOON))
    assert not [f for f in draft.findings if f.edit == "too-many"]


def pointers(parts: Sequence[CodedChart]) -> list[tuple[str, ...]]:
    """Every line's code and what it points to."""
    return [
        (line.code.code, *(part.diagnoses[p].code.code for p in line.diagnoses))
        for part in parts
        for line in part.lines
    ]


@given(
    st.lists(st.lists(st.sampled_from(CODES), min_size=1, max_size=4, unique=True), min_size=1, max_size=30),
    st.integers(1, 12),
    st.integers(4, 12),
)
def test_no_pointer_line_or_cent_is_lost_however_a_bill_is_split(
    pointed: list[list[str]], most_lines: int, most_diagnoses: int
) -> None:
    charges = [charge(f"J{1000 + i}", f"T{i}", diagnoses=tuple(map(icd, codes))) for i, codes in enumerate(pointed)]
    whole = coded_chart(good_chart(*(diagnosis(code) for code in CODES), *charges))
    parts = parts_of(whole, "professional", Limits(most_lines, most_diagnoses))
    claims = [claim_of(part) for part in parts]

    assert sorted(pointers(parts)) == sorted(pointers([whole]))
    assert all(len(c["item"]) <= most_lines and len(c["diagnosis"]) <= most_diagnoses for c in claims)
    assert sum(c["total"]["value"] for c in claims) == Decimal(100) * len(pointed)
    told = {t.code for t in parts[0].not_billable} | {d.code.code for part in parts for d in part.diagnoses}
    assert told == set(CODES)


# --- slots


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        (Slot("institutional"), "institutional-1"),
        (Slot("professional", 2, 3), "professional.3-2"),
        (Slot("institutional", 1, 1, "preauthorization"), "institutional.auth-1"),
        (Slot("professional", 1, 2, "predetermination"), "professional.det.2-1"),
    ],
)
def test_a_slot_is_named_after_its_kind_use_part_and_order(slot: Slot, name: str) -> None:
    assert slot.name == name
    assert len(name) <= 24
    assert is_asked_ahead(name) is (slot.use != "claim")


def test_only_the_first_claim_of_the_visits_own_kind_has_the_plain_identifier() -> None:
    first, second = billed_slots(of_lines(51), rulebook())

    assert (first.is_own, second.is_own) == (True, False)
    assert not any(one.is_alone for one in (first, second))
    assert first.identifier(1) != second.identifier(1)
