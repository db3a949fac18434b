"""ClaimResponse to adjudication: complete is not accepted, and money stays exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import ClaimStatus, Json, Money, Payment
from fhir_coder.payers.adjudication import decision_named, is_decision, read_claim_response
from fhir_coder.payers.answer import read_json


def usd(amount: str) -> Json:
    return {"value": Decimal(amount), "currency": "USD"}


def amounts(**categories: str) -> list[Json]:
    return [{"category": {"coding": [{"code": c}]}, "amount": usd(a)} for c, a in categories.items()]


def line(sequence: int, *reasons: str, **categories: str) -> Json:
    reason = [{"category": {"coding": [{"code": "benefit"}]}, "reason": {"coding": [{"code": r}]}} for r in reasons]
    return {"itemSequence": sequence, "adjudication": [*amounts(**categories), *reason]}


PAID = line(1, submitted="100.00", eligible="100.00", benefit="80.00")
DENIED = line(2, "96", submitted="50.00", eligible="0", benefit="0")


def read(outcome: str = "complete", **more: Any) -> Any:
    return read_claim_response({"resourceType": "ClaimResponse", "status": "active", "outcome": outcome, **more})


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"outcome": "queued"}, ClaimStatus.QUEUED),
        ({"outcome": "error"}, ClaimStatus.DENIED),
        ({"item": [PAID]}, ClaimStatus.COMPLETE),
        ({"item": [PAID, DENIED]}, ClaimStatus.PARTIAL),
        ({"item": [DENIED]}, ClaimStatus.DENIED),
        ({"item": [DENIED], "payment": {"amount": usd("0.00")}}, ClaimStatus.DENIED),
        ({"item": [DENIED], "payment": {"amount": usd("5")}}, ClaimStatus.PARTIAL),
        ({"outcome": "partial", "item": [PAID]}, ClaimStatus.PARTIAL),
        ({"outcome": "partial", "item": [DENIED]}, ClaimStatus.DENIED),
        ({"total": amounts(submitted="9", benefit="0")}, ClaimStatus.DENIED),
        ({"total": amounts(submitted="9", benefit="7")}, ClaimStatus.COMPLETE),
        ({}, ClaimStatus.COMPLETE),
    ],
)
def test_status_by_what_is_paid_and_denied(more: dict[str, Any], status: ClaimStatus) -> None:
    assert read(**more).status is status


@pytest.mark.parametrize(
    ("entry", "denied"),
    [
        (line(1, submitted="10", eligible="10", benefit="0"), False),  # the deductible took it
        (line(1, submitted="0", eligible="0", benefit="0"), False),  # nothing was asked
        (line(1, submitted="10", benefit="0"), True),
        (line(1, submitted="10", denied="10"), True),
        (line(1, submitted="10", denied="4", paid="6"), False),
        (line(1, submitted="10", denied="0", eligible="10"), False),
        (line(1, "96", submitted="10", benefit="8"), False),  # reduced, with a reason
        (line(1), False),
    ],
)
def test_a_line_is_denied_only_where_the_payer_says_so(entry: Json, denied: bool) -> None:
    assert read(item=[entry]).lines[0].denied is denied


def test_lines_carry_amounts_and_reason_codes() -> None:
    decision = read(item=[PAID, DENIED]).lines
    assert [(d.sequence, d.paid, d.submitted, d.reasons) for d in decision] == [
        (1, Money(Decimal("80.00"), "USD"), Money(Decimal("100.00"), "USD"), ()),
        (2, Money(Decimal("0"), "USD"), Money(Decimal("50.00"), "USD"), ("96",)),
    ]


def test_paid_is_the_payment_else_the_total_else_the_sum_of_the_lines() -> None:
    payment = {"payment": {"amount": usd("70.10")}}
    totals = {"total": amounts(benefit="75.00")}
    assert read(**payment, **totals, item=[PAID]).paid == Money(Decimal("70.10"), "USD")
    assert read(**totals, item=[PAID]).paid == Money(Decimal("75.00"), "USD")
    assert read(item=[PAID, DENIED]).paid == Money(Decimal("80.00"), "USD")
    assert read(item=[PAID, line(2)]).paid is None


def test_money_keeps_its_decimals() -> None:
    body = read_json(b'{"outcome": "complete", "payment": {"amount": {"value": 1234567890.10, "currency": "USD"}}}')
    assert str(read_claim_response(body).paid.value) == "1234567890.10"  # type: ignore[union-attr]  # it is there


def test_errors_tell_codes_and_lines_and_no_text() -> None:
    code = {"coding": [{"code": "a001"}], "text": "POISON"}
    decision = read("error", error=[{"itemSequence": 3, "code": code}, {"code": code}])
    assert decision.errors == ("a001 at item 3", "a001")


@pytest.mark.parametrize("value", [None, True, "10", [], {}, Decimal("1E+999999"), Decimal("Infinity")])
def test_amounts_that_are_none_are_left_out(value: Any) -> None:
    assert read(payment={"amount": {"value": value, "currency": "USD"}}).paid is None


@pytest.mark.parametrize(
    ("response", "decides"),
    [
        ({"resourceType": "ClaimResponse", "outcome": "complete"}, True),
        ({"resourceType": "ClaimResponse", "outcome": "complete", "status": "entered-in-error"}, False),
        ({"resourceType": "ClaimResponse", "outcome": "later"}, False),
        ({"resourceType": "Claim", "outcome": "complete"}, False),
    ],
)
def test_only_a_claim_response_in_force_decides(response: Json, decides: bool) -> None:
    assert is_decision(response) is decides


def test_what_is_allowed_and_what_the_patient_owes_is_read_by_line_and_in_all() -> None:
    first = line(1, submitted="100", eligible="90", deductible="10", copay="5.50", benefit="74.50")
    second = line(2, submitted="50", allowed="50", memberliability="50", benefit="0")
    decision = read(item=[first, second])
    assert [d.allowed for d in decision.lines] == [Money(Decimal("90"), "USD"), Money(Decimal("50"), "USD")]
    assert [d.patient for d in decision.lines] == [Money(Decimal("15.50"), "USD"), Money(Decimal("50"), "USD")]
    assert decision.patient == Money(Decimal("65.50"), "USD")
    assert read(item=[first], total=amounts(patientliability="20")).patient == Money(Decimal("20"), "USD")
    assert read(item=[PAID]).patient is None


def test_reasons_come_with_the_payers_words_for_them() -> None:
    told = {"category": {"coding": [{"code": "benefit"}]}, "reason": {"coding": [{"code": "96", "display": "Not so"}]}}
    worded = told | {"reason": {"coding": [{"code": "97"}], "text": "Part of another"}}
    (decision,) = read(item=[{"itemSequence": 1, "adjudication": [told, worded]}]).lines
    assert (decision.reasons, decision.texts) == (("96", "97"), ("Not so", "Part of another"))
    notes = [{"number": 1, "text": "See the policy"}, {"number": 2}]
    assert read(processNote=notes).texts == ("See the policy",)


def test_the_payment_is_read_with_its_day_and_number() -> None:
    paid = read(payment={"amount": usd("74.50"), "date": "2026-11-20", "identifier": {"value": "EFT-7"}})
    assert paid.payment == Payment(Money(Decimal("74.50"), "USD"), "2026-11-20", "EFT-7")


def test_a_payment_notice_beside_the_decision_tells_its_payment() -> None:
    response = {"resourceType": "ClaimResponse", "id": "3", "status": "active", "outcome": "complete"}
    details = [
        {"response": {"reference": "ClaimResponse/4"}, "amount": usd("1")},
        {"response": {"reference": "https://payer.example/fhir/ClaimResponse/3"}, "amount": usd("74.50")},
    ]
    number = {"value": "CHK-9"}
    notice = {"resourceType": "PaymentReconciliation", "paymentDate": "2026-11-21", "detail": details}
    read_beside = read_claim_response(response, [response, notice | {"paymentIdentifier": number}])
    assert read_beside.payment == Payment(Money(Decimal("74.50"), "USD"), "2026-11-21", "CHK-9")
    assert read_claim_response(response | {"id": "5"}, [notice]).payment is None


def test_an_explanation_of_benefit_is_read_as_a_decision_by_its_own_line_numbers() -> None:
    eob = {
        "resourceType": "ExplanationOfBenefit",
        "id": "e1",
        "status": "active",
        "outcome": "complete",
        "claim": {"reference": "Claim/7"},
        "item": [{"sequence": n, "adjudication": one["adjudication"]} for n, one in ((1, PAID), (2, DENIED))],
    }
    decision = read_claim_response(eob)
    assert is_decision(eob)
    assert (decision.status, decision.reference) == (ClaimStatus.PARTIAL, "ExplanationOfBenefit/e1")
    assert [d.sequence for d in decision.lines] == [1, 2]
    named = decision_named({"resourceType": "Bundle", "entry": [{"resource": eob}]}, "ExplanationOfBenefit/e1")
    assert named is not None
    assert [item["itemSequence"] for item in named["item"]] == [1, 2]


def test_a_line_the_payer_added_stands_for_the_line_it_names() -> None:
    added = {"itemSequence": [1], "adjudication": PAID["adjudication"]}
    decision = read(addItem=[added], item=[DENIED])
    assert [(d.sequence, d.denied) for d in decision.lines] == [(1, False), (2, True)]
    assert read(addItem=[added | {"itemSequence": "1"}, added | {"itemSequence": [True]}]).lines == ()


NAMES = [
    *("resourceType", "item", "itemSequence", "sequence", "adjudication", "category", "coding", "code", "amount"),
    *(
        "value",
        "reason",
        "text",
        "extension",
        "url",
        "valueCodeableConcept",
        "valueString",
        "payment",
        "total",
        "error",
    ),
    *("addItem", "processNote", "preAuthPeriod", "input", "type", "payload", "detail", "response", "reference"),
    *("request", "claim", "outcome"),
]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(allow_nan=False),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=5,
            )
        ),
        max_leaves=30,
    )
)
def test_no_answer_of_any_form_ends_in_an_error(told: Any) -> None:
    response = told if isinstance(told, dict) else {"item": told}
    beside = [
        response,
        {"resourceType": "Task", "input": told},
        {"resourceType": "CommunicationRequest", "payload": told},
    ]
    notice = {"resourceType": "PaymentReconciliation", "detail": told}
    assert read_claim_response(response, [*beside, notice]).status in ClaimStatus
