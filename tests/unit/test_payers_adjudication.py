"""ClaimResponse to adjudication: complete is not accepted, and money stays exact."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fhir_coder.model import ClaimStatus, Json, Money
from fhir_coder.payers.adjudication import is_decision, read_claim_response
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
