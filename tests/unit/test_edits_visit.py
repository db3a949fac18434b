"""Each edit on the visit and its lines: one case that fires, and one that just does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from fhir_coder.edits import EDITS, RESOLVES_ITSELF, findings_for, rejects
from fhir_coder.edits.edit import ClaimContext
from fhir_coder.model import (
    CancelFact,
    Chart,
    Coding,
    Concept,
    Fact,
    Finding,
    Kind,
    Origin,
    Problem,
    Severity,
    System,
    When,
)
from tests.building import (
    PAYER,
    charge,
    chart_of,
    coded,
    context,
    coverage,
    diagnosis,
    good_chart,
    hcpcs,
    money,
    origin,
    patient,
    procedure,
    row,
    sct,
    stay,
    table,
    visit,
)

VISIT_EDITS = [e for e in EDITS if e.check.__module__ == "fhir_coder.edits.visit"]
NOTHING = table(Kind.CHARGE, System.LOCAL, row("KIT"), id="charge-master")


def hits(edit: str, about: Chart | ClaimContext) -> list[Finding]:
    look_at = about if isinstance(about, ClaimContext) else context(about, NOTHING)
    return [f for f in findings_for(look_at) if f.edit == edit]


def paths(edit: str, about: Chart | ClaimContext) -> list[str]:
    return [f.path for f in hits(edit, about)]


def lines(number: int) -> list[Fact]:
    return [charge("J1885", f"T{n}", modifiers=(Coding(System.HCPCS, f"X{n}"),)) for n in range(number)]


def diagnoses(number: int) -> list[Fact]:
    return [diagnosis(f"Z{n:02}.9") for n in range(number)]


OPEN = visit(end=None, status="in-progress")
PROBLEM = Problem(Origin("m1", "FT1[2]-10"), "not_a_number", "the quantity is not a number")
ADMITTING = diagnosis("R07.9", kind="admitting")

CASES: list[tuple[str, Chart, Chart]] = [
    ("visit-open", chart_of(patient(), OPEN, diagnosis(), coverage()), good_chart(OPEN)),
    ("visit-open", good_chart(stay(end=None, status="in-progress")), good_chart(stay())),
    ("visit-missing", chart_of(patient(), diagnosis(), charge(), coverage()), good_chart()),
    ("patient-missing", chart_of(visit(), diagnosis(), charge(), coverage()), good_chart()),
    (
        "before-icd10",
        good_chart(visit(start=When("2015-09-30"), end=When("2015-09-30"))),
        good_chart(visit(start=When("2015-10-01"), end=When("2015-10-01"))),
    ),
    ("unusable-part", replace(good_chart(), problems=(PROBLEM,)), good_chart()),
    (
        "pointer-lost",
        good_chart(charge(diagnoses=(Concept((Coding(System.ICD10CM, "E11.9"),)),))),
        good_chart(charge(diagnoses=(Concept((Coding(System.ICD10CM, "I10"),)),))),
    ),
    ("no-billable-line", chart_of(patient(), visit(), diagnosis(), coverage()), good_chart()),
    ("no-billable-line", good_chart(charge(coded(System.LOCAL, "UNKNOWN"))), good_chart()),
    ("no-billable-line", good_chart(charge(coded(System.LOCAL, "KIT"))), good_chart()),
    ("no-diagnosis", chart_of(patient(), visit(), charge(), coverage()), good_chart()),
    ("no-diagnosis", good_chart(stay(), ADMITTING), good_chart(stay(), ADMITTING, diagnosis(kind="final"))),
    (
        "date-outside-visit",
        good_chart(charge(service_date=When("2026-11-02"))),
        good_chart(charge(service_date=When("2026-11-03"))),
    ),
    (
        "date-outside-visit",
        good_chart(stay(), charge(service_date=When("2026-11-04"))),
        good_chart(stay(), charge(service_date=When("2026-11-01"))),
    ),
    (
        "missing-service-date",
        good_chart(charge(service_date=When("2026-11"))),
        good_chart(charge(service_date=When("2026-11-03"))),
    ),
    ("missing-service-date", good_chart(charge(service_date=None)), good_chart()),
    ("missing-charge", good_chart(charge(amount=None)), good_chart(charge(amount=money("0.00")))),
    ("bad-quantity", good_chart(charge(quantity=Decimal(0))), good_chart(charge(quantity=Decimal("0.5")))),
    ("bad-quantity", good_chart(charge(quantity=Decimal(-1))), good_chart()),
    (
        "amounts-disagree",
        good_chart(charge(quantity=Decimal(2), unit_amount=money("50.00"), amount=money("99.99"))),
        good_chart(charge(quantity=Decimal(2), unit_amount=money("50.00"), amount=money("100.00"))),
    ),
    (
        "amounts-disagree",
        good_chart(charge(quantity=Decimal("1.5"), unit_amount=money("3.33"), amount=money("5.01"))),
        good_chart(charge(quantity=Decimal("1.5"), unit_amount=money("3.33"), amount=money("5.00"))),
    ),
    (
        "mixed-currencies",
        good_chart(charge(identity="A"), charge("J1885", "B", amount=money("1.00", "EUR"))),
        good_chart(charge(identity="A"), charge("J1885", "B", amount=money("1.00"))),
    ),
    (
        "duplicate-line",
        good_chart(charge(identity="A"), charge(identity="B")),
        good_chart(charge(identity="A"), charge(identity="B", modifiers=(Coding("", "XE"),))),
    ),
    (
        "duplicate-line",
        good_chart(stay(), charge(identity="A"), charge(identity="B")),
        good_chart(stay(), charge(identity="A"), charge(identity="B", service_date=When("2026-11-02"))),
    ),
    (
        "procedure-without-charge",
        good_chart(charge(), procedure(hcpcs("J1885"))),
        good_chart(charge("J1885"), procedure(hcpcs("J1885"))),
    ),
    ("too-many", good_chart(*diagnoses(13)), good_chart(*diagnoses(12))),
    ("too-many", good_chart(stay(), *diagnoses(26)), good_chart(stay(), *diagnoses(25))),
    ("too-many", good_chart(*lines(51)), good_chart(*lines(50))),
    (
        "too-many",
        good_chart(charge(modifiers=tuple(Coding("", m) for m in ("LT", "XU", "RT", "GY", "KX")))),
        good_chart(charge(modifiers=tuple(Coding("", m) for m in ("LT", "XU", "RT", "GY")))),
    ),
]


@pytest.mark.parametrize(("edit", "fires", "just_not"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_each_edit_fires_on_its_fault_and_just_not_beside_it(edit: str, fires: Chart, just_not: Chart) -> None:
    found = hits(edit, fires)

    assert len(found) == 1
    assert (found[0].severity, found[0].advice) == next((e.severity, e.advice) for e in EDITS if e.id == edit)
    assert hits(edit, just_not) == []


def test_every_visit_edit_has_a_case() -> None:
    assert {e.id for e in VISIT_EDITS} - {edit for edit, _, _ in CASES} == {edit for edit, _, _ in CASES_OF_BILLING}


CASES_OF_BILLING: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("waits-for-primary", {"is_prior_open": True}, {}),
    ("primary-paid-in-full", {"is_paid_in_full": True}, {}),
    ("coverage-not-billed", {"unbilled": (2,)}, {}),
    (
        "timely-filing",
        {"payer": replace(PAYER, timely_filing_days=15)},
        {"payer": replace(PAYER, timely_filing_days=16)},
    ),
]


@pytest.mark.parametrize(("edit", "fires", "just_not"), CASES_OF_BILLING, ids=[c[0] for c in CASES_OF_BILLING])
def test_each_edit_of_billing_fires_by_what_is_known_besides_the_chart(
    edit: str, fires: dict[str, Any], just_not: dict[str, Any]
) -> None:
    plain = context(good_chart())
    found = [[f.edit for f in findings_for(replace(plain, **how))] for how in (fires, just_not)]

    assert [names.count(edit) for names in found] == [1, 0]


def test_a_good_claim_has_no_finding_that_rejects() -> None:
    assert [f.edit for f in findings_for(context(good_chart())) if f.severity is Severity.REJECT] == []


def test_findings_say_where_to_look() -> None:
    assert paths("date-outside-visit", good_chart(charge(), charge("J1885", "B", service_date=When("2026-11-02")))) == [
        "Claim.item[1].servicedDate"
    ]
    assert paths("duplicate-line", good_chart(charge(identity="A"), charge(identity="B"), charge(identity="C"))) == [
        "Claim.item[1]",
        "Claim.item[2]",
    ]
    assert paths("unusable-part", replace(good_chart(), problems=(PROBLEM,))) == ["m1 FT1[2]-10"]


def test_a_gap_of_the_only_diagnosis_asks_no_second_question() -> None:
    unmapped = good_chart(diagnosis(sct("999")))

    assert hits("no-diagnosis", unmapped) == []


def test_before_icd10_asks_for_neither_lines_nor_diagnoses() -> None:
    old = good_chart(visit(start=When("2015-09-30"), end=When("2015-09-30")))

    assert (hits("no-billable-line", old), hits("no-diagnosis", old)) == ([], [])


def test_an_outpatient_visit_may_have_only_the_diagnosis_it_was_registered_with() -> None:
    assert hits("no-diagnosis", good_chart(visit(), ADMITTING)) == []


def test_a_line_on_the_day_of_a_visit_that_began_late_that_day_is_inside_it() -> None:
    late = visit(start=When("2026-11-03T23:50:00-06:00"), end=When("2026-11-04T01:00:00-06:00"))

    assert hits("date-outside-visit", good_chart(late, charge(service_date=When("2026-11-03")))) == []


def test_a_cancelled_discharge_holds_the_claim_again() -> None:
    chart = good_chart(stay(), charge(), CancelFact(origin(), "discharge"))

    assert len(hits("visit-open", chart)) == 1


def texts(findings: Sequence[Finding]) -> str:
    return " ".join(f"{f.path} {f.text} {f.advice}" for f in findings)


def test_findings_never_show_what_may_name_a_patient() -> None:
    named: list[Fact] = [
        patient(),
        visit(),
        diagnosis(),
        charge(service_date=When("2026-11-02")),
        charge(identity="B", amount=None),
    ]
    look_at = context(chart_of(*named, coverage(subscriber_id="", start=When("2027-01-01"))))

    said = texts(findings_for(look_at))

    assert not any(value in said for value in ("Testcase", "Tess", "PAT-1", "MEM-1", "1980"))


def test_only_rejecting_findings_hold_a_claim() -> None:
    def finding(severity: Severity) -> Finding:
        return Finding("e", severity, "Claim", "text")

    assert rejects([finding(Severity.WARN), finding(Severity.REJECT)])
    assert not rejects([finding(Severity.WARN), finding(Severity.INFO)])
    assert not rejects([])


def test_edits_have_unique_ids_and_say_what_to_do() -> None:
    assert len({e.id for e in EDITS}) == len(EDITS)
    assert all(e.title and e.advice for e in EDITS)


def test_what_the_next_message_settles_asks_nobody() -> None:
    waiting = {"visit-open", "waits-for-primary", "primary-paid-in-full"}
    assert waiting | {"visit-missing", "patient-missing", "before-icd10"} == RESOLVES_ITSELF
