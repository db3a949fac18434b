"""Codes are judged on their date, and what could not be judged is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from fhir_coder.edits import EDITS, findings_for
from fhir_coder.model import Chart, Coding, Finding, Severity, System, When
from fhir_coder.terminology import CodeSets
from fhir_coder.terminology.codesets import CodeList
from tests.building import charge, coded, context, diagnosis, good_chart, procedure, stay, visit
from tests.edits.chart_cases import CASES

HCPCS = CodeList(
    "HCPCS Level II (test)",
    date(2026, 1, 1),
    {"G0463": "visit", "J1885": "drug"},
    {"G0463": ((None, None),), "J1885": ((None, date(2026, 11, 2)),)},
)

MODIFIERS = CodeList("HCPCS modifiers (test)", date(2026, 1, 1), {"KX": "met"}, {"KX": ((None, None),)})


@pytest.fixture(scope="module")
def code_sets() -> Iterator[CodeSets]:
    with CodeSets(HCPCS) as sets:
        yield sets


def found(edit: str, chart: Chart, code_sets: CodeSets) -> list[Finding]:
    return [f for f in findings_for(context(chart, code_sets=code_sets)) if f.edit == edit]


@pytest.mark.parametrize(
    ("fires", "path", "just_not"),
    [
        (good_chart(diagnosis("I10.1")), "Claim.diagnosis[0]", good_chart(diagnosis("I10"))),
        (
            good_chart(diagnosis("U07.1"), visit(start=When("2020-03-31"), end=When("2020-03-31"))),
            "Claim.diagnosis[0]",
            good_chart(diagnosis("U07.1"), visit(start=When("2020-04-01"), end=When("2020-04-01"))),
        ),
        (
            good_chart(stay(), procedure(coded(System.ICD10PCS, "0DTJ4ZX"))),
            "Claim.procedure[0]",
            good_chart(stay(), procedure(coded(System.ICD10PCS, "0DTJ4ZZ"))),
        ),
        (
            good_chart(stay(), charge("J1885", service_date=When("2026-11-03"))),
            "Claim.item[0]",
            good_chart(stay(), charge("J1885", service_date=When("2026-11-02"))),
        ),
        (good_chart(charge("Z9999")), "Claim.item[0]", good_chart(charge("G0463"))),
    ],
    ids=["no such diagnosis", "diagnosis before its time", "no such procedure", "ended code", "no such service"],
)
def test_a_code_is_judged_on_the_date_of_service_or_discharge(
    fires: Chart, path: str, just_not: Chart, code_sets: CodeSets
) -> None:
    hits = found("code-not-valid", fires, code_sets)

    assert [(f.path, f.severity) for f in hits] == [(path, Severity.REJECT)]
    assert found("code-not-valid", just_not, code_sets) == []


def test_diagnoses_of_a_stay_are_judged_on_its_discharge_and_lines_on_their_own_day(code_sets: CodeSets) -> None:
    across = stay(start=When("2026-11-01"), end=When("2026-11-03"))
    chart = good_chart(across, charge("J1885", "A", service_date=When("2026-11-01")), charge("J1885", "B"))

    assert [f.path for f in found("code-not-valid", chart, code_sets)] == ["Claim.item[1]"]


def test_a_code_from_before_the_code_set_is_told_as_not_checked(code_sets: CodeSets) -> None:
    old = visit(start=When("2019-05-01"), end=When("2019-05-01"))
    chart = good_chart(old, charge("C1234", service_date=When("2019-05-01")))
    covered = good_chart(charge("C1234"))

    assert [(f.path, f.severity) for f in found("code-not-checked", chart, code_sets)] == [
        ("Claim.item[0]", Severity.WARN)
    ]
    assert found("code-not-checked", covered, code_sets) == []


def test_a_system_whose_code_set_is_not_loaded_is_told_and_passed_through(code_sets: CodeSets) -> None:
    dental = good_chart(charge(coded(System.CDT, "LOCAL-D1")))

    (hit,) = found("code-set-not-loaded", dental, code_sets)
    assert (hit.path, hit.severity) == ("Claim.item[0]", Severity.INFO)
    assert found("code-set-not-loaded", good_chart(), code_sets) == []


def test_codes_of_a_visit_without_any_date_are_not_judged(code_sets: CodeSets) -> None:
    chart = good_chart(visit(start=None, end=None), charge("Z9999", service_date=None), diagnosis("I10.1"))

    edits = {f.edit for f in findings_for(context(chart, code_sets=code_sets))}

    assert not edits & {e.id for e in EDITS if e.check.__module__ == "fhir_coder.edits.codes"}
    assert "missing-service-date" in edits


def test_a_modifier_that_hcpcs_does_not_have_is_rejected_and_one_of_cpt_is_not_judged(code_sets: CodeSets) -> None:
    with CodeSets(HCPCS, MODIFIERS) as sets:
        wrong = good_chart(charge(modifiers=(Coding("", "KX"), Coding("", "QQ"))))
        right = good_chart(charge(modifiers=(Coding("", "KX"), Coding("", "00"))))

        (hit,) = found("modifier-not-valid", wrong, sets)
        assert (hit.path, hit.severity) == ("Claim.item[0].modifier[1]", Severity.REJECT)
        assert found("modifier-not-valid", right, sets) == []


def test_cpt_is_checked_once_its_list_is_there() -> None:
    cpt = CodeList("CPT (test)", date(2026, 1, 1), {"9000A": "made up"}, {"9000A": ((None, date(2026, 11, 2)),)})
    modifiers = CodeList("CPT modifiers (test)", date(2026, 1, 1), {"25": "made up"}, {"25": ((None, None),)})
    with CodeSets(others={"cpt": cpt, "cpt-modifiers": modifiers}) as sets:
        right = good_chart(charge(coded(System.CPT, "9000A"), service_date=When("2026-11-02")))
        ended = good_chart(charge(coded(System.CPT, "9000A"), service_date=When("2026-11-03")))
        modified = good_chart(charge(modifiers=(Coding("", "25"), Coding("", "26"), Coding("", "LT"))))

        assert found("code-set-not-loaded", right, sets) == found("code-not-valid", right, sets) == []
        assert [f.path for f in found("code-not-valid", ended, sets)] == ["Claim.item[0]"]
        (hit,) = found("modifier-not-valid", modified, sets)
        assert (hit.path, hit.text) == ("Claim.item[0].modifier[1]", "not a CPT modifier on 2026-11-03")


def test_icd_10_pcs_bills_a_stay_and_warns_elsewhere(code_sets: CodeSets) -> None:
    line = charge(coded(System.ICD10PCS, "0DTJ4ZZ"))

    assert [f.path for f in found("pcs-outside-stay", good_chart(line), code_sets)] == ["Claim.item[0]"]
    assert found("pcs-outside-stay", good_chart(stay(), line), code_sets) == []


def test_every_edit_on_codes_is_tried_here() -> None:
    tried = {"code-not-valid", "code-not-checked", "code-set-not-loaded", "modifier-not-valid", "pcs-outside-stay"}
    in_cases = {file.stem for file in CASES.glob("*.json")}

    assert {e.id for e in EDITS if e.check.__module__ == "fhir_coder.edits.codes"} - in_cases == tried
