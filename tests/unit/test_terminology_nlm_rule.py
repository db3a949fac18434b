"""The rules of the NLM map, by its grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.terminology.conditions import age_text
from fhir_coder.terminology.nlm_rule import parse_rule
from tests.rf2 import AGE, FEMALE, MALE, ONSET, concept, ifa

OTHER, FURTHER = concept(1), concept(2)


def age_of(rule: str) -> str:
    age = parse_rule(rule).age
    return age_text(age) if age else ""


@pytest.mark.parametrize("rule", ["TRUE", "OTHERWISE TRUE", " TRUE "])
def test_true_and_otherwise_true_ask_nothing(rule: str) -> None:
    assert parse_rule(rule).is_always


@pytest.mark.parametrize(("concept_id", "sex"), [(FEMALE, "female"), (MALE, "male")])
def test_a_sex_is_a_sex(concept_id: str, sex: str) -> None:
    assert parse_rule(ifa(concept_id)).sex == sex


@pytest.mark.parametrize(
    ("compared", "age"),
    [
        ("< 29 days", "<=28d"),
        ("< 29.0 days", "<=28d"),
        ("<= 1 day", "<=1d"),
        ("> 3 months", ">=4m"),
        (">= 1 month", ">=1m"),
        (">= 65.0 years", ">=65y"),
        ("< 1 year", "<=11m"),
        ("<0.5 years", "<=5m"),
    ],
)
@pytest.mark.parametrize("concept_id", [ONSET, AGE])
def test_an_age_is_compared_with_every_operator_and_unit(concept_id: str, compared: str, age: str) -> None:
    assert age_of(ifa(concept_id, compared)) == age


def test_any_other_id_is_a_finding_that_must_be_recorded() -> None:
    assert parse_rule(f"{ifa(OTHER)} AND {ifa(FURTHER)}").findings == {OTHER, FURTHER}


def test_clauses_are_joined_and_ages_narrow_each_other() -> None:
    terms = parse_rule(f"{ifa(ONSET, '>= 12 years')} AND {ifa(FEMALE)} AND {ifa(AGE, '< 20 years')} AND {ifa(OTHER)}")

    assert (terms.sex, age_text(terms.age) if terms.age else "", terms.findings) == ("female", "12y-19y", {OTHER})


def test_days_and_months_narrow_each_other() -> None:
    assert age_of(f"{ifa(ONSET, '>= 28 days')} AND {ifa(ONSET, '< 1 year')}") == "28d-11m"


@pytest.mark.parametrize(
    "rule",
    [
        f"({ifa(FEMALE)} AND ({ifa(OTHER)} AND {ifa(ONSET, '< 1 year')}))",
        f"(({ifa(FEMALE)})) AND ({ifa(OTHER)} AND {ifa(ONSET, '< 1 year')})",
    ],
)
def test_clauses_may_be_nested(rule: str) -> None:
    terms = parse_rule(rule)

    assert (terms.sex, terms.findings, age_of(rule)) == ("female", {OTHER}, "<=11m")


def test_pipes_and_operators_may_come_escaped() -> None:
    assert age_of(f"IFA {ONSET} &#x7C; invented AND term &#x7c; &lt; 29 days") == "<=28d"


@pytest.mark.parametrize(
    "rule",
    [
        *("", "true", "FALSE", "IFA", "TRUE AND TRUE", "OTHERWISE", ifa(FEMALE) + " AND", "AND " + ifa(FEMALE)),
        *(ifa(ONSET), ifa(ONSET, "65 years"), ifa(ONSET, "= 65 years"), ifa(ONSET, ">= 65"), ifa(ONSET, ">= 65 weeks")),
        *(ifa(ONSET, "< 0 days"), ifa(ONSET, "< 1.5 days"), ifa(ONSET, "< -1 days"), ifa(FEMALE, ">= 1 year")),
        *(f"{ifa(FEMALE)} AND {ifa(MALE)}", f"{ifa(FEMALE)} OR {ifa(MALE)}", f"{ifa(FEMALE)} {ifa(OTHER)}"),
        *(f"({ifa(FEMALE)}", f"{ifa(FEMALE)})", "()", f"IFA {FEMALE} | x", "IFA 123456 | x |", "NOT " + ifa(FEMALE)),
        f"{ifa(ONSET, '< 1 year')} AND {ifa(ONSET, '>= 2 years')}",
        "(" * 5_000 + ifa(FEMALE),
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_rule(rule)


@given(st.text(alphabet="IFATRUEND ()|<>=.0123456789yearsOHW&#x7C;", max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_rule(text)
    except ValueError:
        return
