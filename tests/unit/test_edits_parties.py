"""Each edit on payer, coverage, provider and doctors: one case that fires, and one that just does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_coder.edits import EDITS, findings_for
from fhir_coder.edits.edit import ClaimContext
from fhir_coder.model import CareTeamMember, Identifier, Practitioner, Site, System, When
from fhir_coder.terminology.check_digits import is_npi
from tests.building import (
    OTHER_NPI,
    PAYER,
    SITE,
    charge,
    chart_of,
    context,
    coverage,
    diagnosis,
    good_chart,
    member,
    patient,
    visit,
)

PARTY_EDITS = {e.id for e in EDITS if e.check.__module__ == "fhir_coder.edits.parties"}
NO_DOCTOR = good_chart(visit())
BAD_NPI = "1234567890"
ASKING = replace(PAYER, prior_auth_codes=frozenset({"G0463"}))
"""A payer that asks for prior authorisation of what the good chart bills on 2026-11-03."""


def at(**period: str) -> ClaimContext:
    return context(good_chart(coverage(**{k: When(v) for k, v in period.items()})))


CASES: list[tuple[str, ClaimContext, ClaimContext]] = [
    ("no-coverage", context(chart_of(patient(), visit(), diagnosis(), charge())), context(good_chart())),
    ("payer-not-known", context(good_chart(), payer=None), context(good_chart())),
    ("missing-subscriber-id", context(good_chart(coverage(subscriber_id=""))), context(good_chart())),
    ("coverage-not-in-force", at(end="2026-11-02"), at(end="2026-11-03")),
    ("coverage-not-in-force", at(start="2026-11-04"), at(start="2026-11-03")),
    ("missing-provider-npi", context(good_chart(), site=replace(SITE, npi="")), context(good_chart())),
    ("missing-provider-npi", context(NO_DOCTOR, site=Site()), context(good_chart(), site=Site())),
    ("missing-doctor-npi", context(NO_DOCTOR), context(good_chart())),
    ("missing-doctor-npi", context(good_chart(visit(care_team=(member(npi=""),)))), context(good_chart())),
    ("bad-npi", context(good_chart(), site=replace(SITE, npi=BAD_NPI)), context(good_chart())),
    (
        "bad-npi",
        context(good_chart(visit(care_team=(member(npi=BAD_NPI),)))),
        context(good_chart(visit(care_team=(member(npi=OTHER_NPI),)))),
    ),
    (
        "prior-auth-missing",
        context(good_chart(), payer=replace(PAYER, prior_auth_codes=frozenset({"G0463"}))),
        context(good_chart(), payer=replace(PAYER, prior_auth_codes=frozenset({"J1885"}))),
    ),
    (
        "prior-auth-missing",
        context(good_chart(), payer=replace(PAYER, prior_auth_codes=frozenset({"G0463"}))),
        context(
            good_chart(coverage(prior_authorization="A-77")),
            payer=replace(PAYER, prior_auth_codes=frozenset({"G0463"})),
        ),
    ),
    *(
        (
            "prior-auth-expired",
            context(good_chart(coverage(prior_authorization="A-77", **of_another_day)), payer=ASKING),
            context(good_chart(coverage(prior_authorization="A-77", **of_this_day)), payer=ASKING),
        )
        for of_another_day, of_this_day in (
            ({"authorized_to": When("2026-11-02")}, {"authorized_to": When("2026-11-03")}),
            ({"authorized_from": When("2026-11-04")}, {"authorized_from": When("2026-11-03")}),
            ({"authorized_to": When("2026-11-02")}, {}),
        )
    ),
    (
        "prior-auth-list-missing",
        context(good_chart(), payer=replace(PAYER, prior_auth_codes=None)),
        context(good_chart(), payer=replace(PAYER, prior_auth_codes=frozenset({"J1885"}))),
    ),
]


@pytest.mark.parametrize(("edit", "fires", "just_not"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_each_edit_fires_on_its_fault_and_just_not_beside_it(
    edit: str, fires: ClaimContext, just_not: ClaimContext
) -> None:
    found = [f for f in findings_for(fires) if f.edit == edit]

    assert len(found) == 1
    assert (found[0].severity, found[0].advice) == next((e.severity, e.advice) for e in EDITS if e.id == edit)
    assert [f for f in findings_for(just_not) if f.edit == edit] == []


def test_every_party_edit_has_a_case() -> None:
    assert {edit for edit, _, _ in CASES} == PARTY_EDITS


def test_a_chart_without_coverage_is_not_also_told_that_no_payer_takes_it() -> None:
    nobody = context(chart_of(patient(), visit(), diagnosis(), charge()), payer=None)

    assert "payer-not-known" not in [f.edit for f in findings_for(nobody)]


def test_a_coverage_known_to_the_month_only_is_not_judged() -> None:
    assert [f for f in findings_for(at(end="2026-10")) if f.edit == "coverage-not-in-force"] == []


def test_an_npi_is_known_by_its_type_where_the_sender_names_no_system() -> None:
    person = Practitioner(identifiers=(Identifier(BAD_NPI, "", "NPI"),))
    chart = good_chart(visit(care_team=(CareTeamMember("attending", person),)))

    assert [f.path for f in findings_for(context(chart)) if f.edit == "bad-npi"] == ["Claim.contained[3].identifier"]


def test_a_doctors_other_number_is_not_taken_for_an_npi() -> None:
    person = Practitioner(identifiers=(Identifier(BAD_NPI, "https://clinic.example/staff", "DN"),))
    chart = good_chart(visit(care_team=(CareTeamMember("attending", person),)))

    assert "bad-npi" not in [f.edit for f in findings_for(context(chart))]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1234567893", True),  # the example of the NPI standard (CMS, check digit)
        ("2000000002", True),
        ("1234567890", False),
        ("1234567894", False),
        ("1234567983", False),
        ("2134567893", False),
        ("123456789", False),
        ("12345678930", False),
        ("", False),
        ("123456789X", False),
        ("1234567893 ", False),
        ("+123456789", False),
        ("１２３４５６７８９３", False),
        ("0000000000", False),
    ],
)
def test_an_npi_is_ten_digits_with_a_luhn_check_digit_over_80840(value: str, expected: bool) -> None:
    assert is_npi(value) is expected


def test_every_number_has_exactly_one_right_check_digit() -> None:
    for stem in ("123456789", "200000000", "999999999", "100000000"):
        assert sum(is_npi(f"{stem}{digit}") for digit in range(10)) == 1


def test_the_test_npis_carry_the_system_of_npis() -> None:
    assert all(i.system == System.NPI for i in member().practitioner.identifiers)  # type: ignore[union-attr]  # it has one
