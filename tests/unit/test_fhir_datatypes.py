"""FHIR data types to the values of the model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.fhir.datatypes import (
    billing_code,
    concept,
    human_name,
    identifier,
    money,
    postal_address,
    read_when,
    when,
)
from fhir_coder.fhir.elements import Element
from fhir_coder.fhir.reader import load
from fhir_coder.fhir.rules import FhirRules
from fhir_coder.model import Address, Coding, Concept, Identifier, Money, Name, System, When


def element(**json: Any) -> Element:
    return Element(json, "X", [])


@pytest.mark.parametrize(
    "text", ["2026", "2026-11", "2026-11-03", "2026-11-03T10:15:00Z", "2026-11-03T10:15:00.123-05:00"]
)
def test_dates_keep_their_precision(text: str) -> None:
    assert read_when(text, "UTC") == When(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-13",
        "2026-02-30",
        "26",
        "0000",
        "2026-11-03T25:00:00Z",
        "20261103",
        "2026-11-03T10Z",
        "today",
        "２０２６",
        "2026-11-03 ",
    ],
)
def test_what_is_no_fhir_date_is_refused(text: str) -> None:
    assert read_when(text, "UTC") is None


def test_a_time_without_offset_is_local_to_the_feed() -> None:
    assert read_when("2026-07-03T10:15", "America/New_York") == When("2026-07-03T10:15:00-04:00")
    assert read_when("2026-01-03T10:15:30", "America/New_York") == When("2026-01-03T10:15:30-05:00")


@given(st.text(alphabet="0123456789-:TZ+.", max_size=30))
def test_every_date_that_is_read_has_a_day_or_less_and_a_moment_or_none(text: str) -> None:
    read = read_when(text, "Asia/Kolkata")
    if read:
        assert read.day is None or read.day.isoformat() == text[:10]
        assert (read.instant is None) == (len(text) <= 10)


def test_a_bad_date_is_noted_where_it_stands() -> None:
    period = element(start="Poison")
    assert when(period, "start", FhirRules()) is None
    assert [(f.path, f.rule) for f in period.flaws] == [("X.start", "not_a_date")]
    assert "Poison" not in period.flaws[0].text


@pytest.mark.parametrize("text", ["336.50", "0.1", "1234567890.12", "125", "-17.05", "0.07"])
def test_amounts_are_exact(text: str) -> None:
    resource = load(b'{"resourceType": "Money", "value": %s}' % text.encode())
    assert money(Element(resource, "X", []), FhirRules(currency="EUR")) == Money(Decimal(text), "EUR")


def test_amounts_have_their_cents_and_keep_what_is_finer() -> None:
    said = [money(element(value=value), FhirRules()) for value in (336.5, 125, 0.125, 1e22)]
    assert [format(m.value, "f") for m in said if m] == ["336.50", "125.00", "0.125", "1" + "0" * 22]


def test_a_number_written_as_a_string_is_no_amount() -> None:
    amount = element(value="336.50")
    assert money(amount, FhirRules()) is None
    assert amount.flaws[0].rule == "wrong_type"


def test_a_system_named_by_its_oid_is_the_system() -> None:
    said = concept(
        element(coding=[{"system": "urn:oid:2.16.840.1.113883.6.90", "code": " I10 ", "display": "Hypertension"}])
    )
    assert said == Concept((Coding(System.ICD10CM, "I10", "Hypertension"),))


def test_a_coding_without_a_code_leaves_its_display_as_text() -> None:
    assert concept(element(coding=[{"display": "sore throat"}, None])) == Concept((), "sore throat")
    assert concept(element(coding=[])) is None


def test_a_bill_takes_the_nubc_code_before_the_first() -> None:
    codings = [
        {"system": "urn:x", "code": "home"},
        {"system": "https://www.nubc.org/CodeSystem/PatDischargeStatus", "code": "01"},
    ]
    assert billing_code(element(coding=codings)) == "01"
    assert billing_code(element(coding=codings[:1])) == "home"


def test_identifier_keeps_assigner_and_type() -> None:
    part = element(value="77", assigner={"display": "North"}, type={"coding": [{"system": "urn:v2", "code": "VN"}]})
    assert identifier(part) == Identifier("77", "North", "VN")
    assert identifier(element(system="urn:x")) is None


def test_the_official_name_and_the_home_address_are_billed() -> None:
    person = element(
        name=[
            {"use": "old", "family": "A"},
            {"family": "B"},
            {"use": "official", "family": "C", "given": ["D", None, "E"]},
        ],
        address=[{"use": "temp", "city": "P"}, {"use": "home", "city": "Q", "line": ["1 R"], "postalCode": "02176"}],
    )
    assert human_name(person) == Name("C", ("D", "E"))
    assert postal_address(person) == Address(("1 R",), "Q", "", "02176")
