"""Which payer a chart's claim goes to."""

from __future__ import annotations

import pytest

from fhir_coder.claims import choose_payer, coverages_not_billed, payer_name
from fhir_coder.model import Identifier, Organization, Payer
from tests.building import chart_of, coverage

STATE = Payer("statewide", plans=("STATE1", "Statewide  Medicaid", "77001"))
CATCH_ALL = Payer("lakeshore")
OTHER = Payer("other", plans=("OTHER",))


@pytest.mark.parametrize(
    "said",
    [
        {"plan": "STATE1"},
        {"plan": "state1"},
        {"payer": Organization("STATEWIDE medicaid")},
        {"payer": Organization("Any", (Identifier("1"), Identifier("77001")))},
    ],
    ids=["plan code", "case", "name", "company id"],
)
def test_a_payer_is_met_by_plan_code_company_id_or_name(said: dict[str, object]) -> None:
    chart = chart_of(coverage(**said))

    assert choose_payer(chart, [CATCH_ALL, OTHER, STATE]) == STATE


def test_a_payer_without_plans_takes_what_no_other_payer_takes_wherever_it_is_listed() -> None:
    chart = chart_of(coverage(plan="UNHEARD"))

    assert choose_payer(chart, [CATCH_ALL, STATE]) == CATCH_ALL
    assert choose_payer(chart, [STATE, CATCH_ALL]) == CATCH_ALL


def test_a_coverage_that_no_configured_payer_takes_has_no_payer() -> None:
    assert choose_payer(chart_of(coverage(plan="UNHEARD")), [STATE, OTHER]) is None


def test_a_part_of_a_plans_name_is_not_the_plan() -> None:
    assert choose_payer(chart_of(coverage(plan="STATE10")), [STATE]) is None


def test_an_empty_plan_meets_no_payer() -> None:
    nameless = coverage(plan="", payer=None)

    assert choose_payer(chart_of(nameless), [Payer("empty", plans=("",))]) is None


def test_the_first_coverage_decides() -> None:
    chart = chart_of(coverage("B", order=2, plan="OTHER"), coverage("A", order=1, plan="STATE1"))

    assert choose_payer(chart, [OTHER, STATE]) == STATE


def test_without_configured_payers_the_coverage_names_its_own() -> None:
    assert choose_payer(chart_of(coverage()), []) == Payer("lakeshore-ppo")
    assert choose_payer(chart_of(), []) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"payer": Organization("  Blue & Gold, Inc. ")}, "blue-gold-inc"),
        ({"payer": Organization("", (Identifier("60054"),))}, "60054"),
        ({"payer": None, "plan": "PPO 1"}, "ppo-1"),
        ({"payer": Organization(), "plan": ""}, "unnamed"),
    ],
)
def test_a_payers_short_name_comes_from_its_name_else_its_id_else_the_plan(
    said: dict[str, object], expected: str
) -> None:
    assert payer_name(coverage(**said)) == expected


def test_a_later_coverage_that_only_a_payer_without_plans_would_take_is_known_not_to_be_billed() -> None:
    chart = chart_of(
        coverage("A", order=1, plan="STATE1"),
        coverage("B", order=2, plan="UNHEARD"),
        coverage("C", order=3, plan="OTHER"),
    )

    assert coverages_not_billed(chart, [STATE, CATCH_ALL, OTHER]) == (2,)
    assert coverages_not_billed(chart, [STATE, OTHER, Payer("third", plans=("UNHEARD",))]) == ()
    assert coverages_not_billed(chart, []) == ()
