"""R4, R4B and R5 read alike, and US Core and IPS data: which version a resource is of, its elements tell."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_coder.charts import fold_chart
from fhir_coder.model import (
    AccountFact,
    CareTeamMember,
    ChargeFact,
    CoverageFact,
    DiagnosisFact,
    DiagnosisUse,
    GuarantorFact,
    Identifier,
    ImmunizationFact,
    Json,
    Money,
    Name,
    Organization,
    PatientFact,
    ProcedureFact,
    VisitFact,
    When,
)
from tests.unit.test_fhir_facts import (
    VISIT,
    bundle,
    charge,
    coverage,
    encounter,
    filed,
    immunization,
    of_visit,
    one,
    read,
    read_apart,
    role,
    rules_broken,
    sct,
)

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def coded(code: str, system: str = "") -> Json:
    return {"coding": [{"system": system, "code": code}]}


def to(reference: str) -> Json:
    """An R5 CodeableReference that refers."""
    return {"reference": {"reference": reference}}


def r4_visit() -> Json:
    return encounter(
        **{"class": {"system": ACT, "code": "IMP"}},
        period={"start": "2026-11-03T10:00:00Z", "end": "2026-11-05"},
        participant=[{"type": role("ATND"), "individual": {"reference": "Practitioner/9"}}],
        diagnosis=[
            {"condition": {"reference": "Condition/a"}, "use": coded("AD")},
            {"condition": {"reference": "Condition/b"}, "use": coded("DD")},
        ],
        reasonReference=[{"reference": "Condition/c"}],
        reasonCode=[sct("1")],
        hospitalization={"admitSource": coded("emd"), "dischargeDisposition": coded("home")},
    )


def r5_visit() -> Json:
    return encounter(
        **{"class": [coded("local-ward"), coded("IMP", ACT)]},
        status="completed",
        subjectStatus=coded("departed"),
        actualPeriod={"start": "2026-11-03T10:00:00Z", "end": "2026-11-05"},
        participant=[{"type": role("ATND"), "actor": {"reference": "Practitioner/9"}}],
        diagnosis=[
            {"condition": [to("Condition/a")], "use": [coded("AD")]},
            {"condition": [to("Condition/b")], "use": [coded("final")]},
        ],
        reason=[{"use": [coded("RV")], "value": [to("Condition/c"), to("Observation/o"), {"concept": sct("1")}]}],
        admission={"admitSource": coded("emd"), "dischargeDisposition": coded("home")},
    )


def test_an_r5_encounter_says_what_its_r4_twin_says() -> None:
    r4, r5 = read(r4_visit()), read(r5_visit())
    assert one(r5, VisitFact) == one(r4, VisitFact)
    assert [f.refs for f in r5.facts] == [f.refs for f in r4.facts]
    reasons = [(d.kind, d.concept) for _, d in filed(r5, DiagnosisFact)]
    assert reasons == [(d.kind, d.concept) for _, d in filed(r4, DiagnosisFact)]
    assert (r4.problems, r5.problems) == ((), ())


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("in-progress", "in-progress"),
        ("discharged", "in-progress"),
        ("on-hold", "in-progress"),
        ("completed", "finished"),
    ],
)
def test_r5_statuses_become_visit_statuses(said: str, means: str) -> None:
    facts = read(encounter(status=said))
    assert (one(facts, VisitFact).status, facts.problems) == (means, ())


def test_an_encounter_that_was_broken_off_is_for_a_person() -> None:
    assert rules_broken(read(encounter(status="discontinued"))) == [
        ("Encounter.status", "encounter_discontinued", VISIT)
    ]


def test_an_r5_diagnosis_told_by_a_code_is_a_diagnosis_until_a_version_without_it() -> None:
    with_code = encounter(diagnosis=[{"condition": [{"concept": sct("1")}], "use": [coded("final")]}])
    fact = one(read(with_code), DiagnosisFact)
    assert (fact.identity, fact.kind) == ("Encounter/7.diagnosis[0].condition[0].concept", "final")
    assert len(fold_chart(VISIT, read_apart(with_code)).diagnoses) == 1
    assert fold_chart(VISIT, read_apart(with_code, encounter())).diagnoses == ()


def test_a_codeable_reference_that_refers_and_repeats_the_code_is_one_diagnosis() -> None:
    both = encounter(diagnosis=[{"condition": [to("Condition/a") | {"concept": sct("1")}]}])
    assert filed(read(both), DiagnosisFact) == []
    assert one(read(both), VisitFact).diagnosis_uses == (DiagnosisUse("Condition/a"),)


def test_an_r5_working_diagnosis_gives_way_to_an_established_one() -> None:
    visit = encounter(diagnosis=[{"condition": [to("Condition/w")], "use": [coded("working")]}])
    said = [visit, of_visit("Condition", id="w"), of_visit("Condition", id="f", code=sct("2"))]
    assert [d.identity for d in fold_chart(VISIT, read_apart(*said)).diagnoses] == ["Condition/f"]


def test_an_r5_procedure_says_what_its_r4_twin_says() -> None:
    r4 = of_visit(
        "Procedure",
        status="completed",
        performedPeriod={"start": "2026-11-03"},
        reasonReference=[{"reference": "Condition/why"}, {"reference": "Observation/o"}],
        reasonCode=[sct("1")],
    )
    r5 = of_visit(
        "Procedure",
        status="completed",
        occurrencePeriod={"start": "2026-11-03"},
        reason=[to("Condition/why"), to("Observation/o"), {"concept": sct("1")}],
    )
    assert one(read(r5), ProcedureFact) == one(read(r4), ProcedureFact)
    assert read(r5).problems == ()


def test_an_r5_coverage_says_what_its_r4_twin_says() -> None:
    plan = {"type": coded("plan")}
    r4 = coverage(subscriberId="S1", payor=[{"reference": "Organization/o"}], **{"class": [plan | {"value": "P"}]})
    r5 = coverage(
        kind="insurance",
        subscriberId=[{"value": "S1"}],
        insurer={"reference": "Organization/o"},
        paymentBy=[{"party": {"reference": "Patient/1"}}],
        **{"class": [plan | {"value": {"value": "P"}}]},
    )
    del r5["payor"]
    assert one(read(r5), CoverageFact) == one(read(r4), CoverageFact)


def test_where_no_insurer_is_named_r5s_payer_pays() -> None:
    r5 = coverage(kind="other", paymentBy=[{"party": {"display": "Relief Fund"}}])
    del r5["payor"]
    assert one(read(r5), CoverageFact).payer == Organization("Relief Fund")


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "self-pay"},
        {"type": coded("pay", "http://terminology.hl7.org/CodeSystem/coverage-selfpay")},
    ],
)
def test_of_a_patient_who_pays_no_insurer_hears_before_a_person_decides(said: Json) -> None:
    messages = read_apart(encounter(), coverage(id="own", **said), coverage())
    chart = fold_chart(VISIT, messages)
    assert [c.identity for c in chart.coverages] == ["Coverage/c1"]
    assert [p.rule for p in chart.problems] == ["self_pay"]


def test_an_r5_charge_has_its_prices_product_and_reasons() -> None:
    facts = read(
        charge(
            encounter={"reference": "Encounter/7"},
            quantity={"value": 2},
            unitPriceComponent={"type": "base", "amount": {"value": 10.5, "currency": "USD"}},
            totalPriceComponent={"type": "base", "amount": {"value": 21}},
            product=[{"concept": coded("0000-0000-00", "http://hl7.org/fhir/sid/ndc")}],
            reason=[{"concept": sct("1")}, to("Condition/why")],
            service=[to("Procedure/abc")],
            occurrenceDateTime="2026-11-03",
        )
    )
    fact = one(facts, ChargeFact)
    assert (fact.unit_amount, fact.amount) == (Money(Decimal("10.50"), "USD"), Money(Decimal("21.00"), "USD"))
    assert (fact.ndc, fact.service_refs, fact.diagnosis_refs) == (
        "0000-0000-00",
        ("Procedure/abc",),
        ("Condition/why",),
    )
    assert [c.key for c in fact.diagnoses] == ["http://snomed.info/sct|1"]
    assert facts.problems == ()


@pytest.mark.parametrize(
    ("component", "rule"),
    [({"type": "discount", "amount": {"value": 5}}, "no_base_price"), ({"factor": 0.5}, "factor_without_price")],
)
def test_an_r5_component_that_is_no_price_is_for_a_person(component: Json, rule: str) -> None:
    facts = read(charge(totalPriceComponent=component))
    assert one(facts, ChargeFact).amount is None
    assert [p.rule for p in facts.problems] == [rule]


def test_a_vaccination_has_its_reasons_in_r4_and_r5() -> None:
    r4 = immunization(reasonReference=[{"reference": "Condition/why"}], reasonCode=[sct("1")])
    r5 = immunization(reason=[to("Condition/why"), {"concept": sct("1")}])
    assert one(read(r5), ImmunizationFact) == one(read(r4), ImmunizationFact)
    assert one(read(r5), ImmunizationFact).reasons == ("Condition/why",)


def test_an_r5_account_ranks_diagnoses_and_says_which_were_there_on_admission() -> None:
    account = {
        "resourceType": "Account",
        "id": "a",
        "identifier": [{"value": "ACC1"}],
        "status": "active",
        "subject": [{"reference": "Patient/1"}],
        "coverage": [{"coverage": {"reference": "Coverage/c1"}, "priority": 1}],
        "diagnosis": [
            {"sequence": 2, "condition": to("Condition/x"), "onAdmission": True},
            {"sequence": 1, "condition": to("Condition/y"), "type": [coded("principal")], "onAdmission": False},
        ],
        "procedure": [{"sequence": 1, "code": to("Procedure/p")}],
        "guarantor": [
            {"party": {"reference": "#r"}, "onHold": True},
            {"party": {"reference": "#r"}},
        ],
        "contained": [{"resourceType": "RelatedPerson", "id": "r", "name": [{"family": "Q"}]}],
    }
    facts = read(account)
    fact = one(facts, AccountFact)
    assert [topic for topic, _ in filed(facts, AccountFact)] == ["Account/a", "Patient/1"]
    assert (fact.number, fact.coverage_order) == (Identifier("ACC1"), (("Coverage/c1", 1),))
    assert one(facts, GuarantorFact).name == Name("Q")
    assert facts.problems == ()
    conditions = [of_visit("Condition", id=i, code=sct(i)) for i in "xy"]
    visit = encounter(account=[{"reference": "Account/a"}])
    chart = fold_chart(VISIT, read_apart(visit, *conditions, account))
    assert [(d.identity, d.kind, d.rank, d.on_admission) for d in chart.diagnoses] == [
        ("Condition/y", "final", 1, "N"),
        ("Condition/x", "", 2, "Y"),
    ]
    assert chart.guarantor is not None
    assert chart.guarantor.name == Name("Q")


def test_codes_on_an_account_name_no_visit_and_are_for_a_person() -> None:
    account = {"resourceType": "Account", "id": "a"}
    facts = read(account | {"diagnosis": [{"sequence": 1, "condition": {"concept": sct("1")}}]})
    assert rules_broken(facts) == [("Account.diagnosis[0].condition", "account_code", "Account/a")]


def test_a_visit_that_names_no_account_has_its_patients_only_one() -> None:
    accounts = [
        {"resourceType": "Account", "id": i, "identifier": [{"value": i}], "subject": [{"reference": "Patient/1"}]}
        for i in "ab"
    ]
    said = [encounter(), {"resourceType": "Patient", "id": "1"}, *accounts]
    numbers = [fold_chart(VISIT, read_apart(*said[:count])).visit for count in (3, 4)]
    assert [visit.account if visit else None for visit in numbers] == [Identifier("a"), None]


# --- US Core and IPS --------------------------------------------------------------------------------


def test_us_core_extensions_are_passed_over_and_its_member_number_is_read() -> None:
    race = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-race", "extension": [{"url": "text"}]}
    patient = read({"resourceType": "Patient", "id": "1", "name": [{"family": "Q"}], "extension": [race]})
    assert (one(patient, PatientFact).name, patient.problems) == (Name("Q"), ())
    member = {"type": coded("MB", "http://terminology.hl7.org/CodeSystem/v2-0203"), "value": "M1"}
    assert one(read(coverage(identifier=[member])), CoverageFact).subscriber_id == "M1"
    assert one(read(coverage(identifier=[member], subscriberId="S1")), CoverageFact).subscriber_id == "S1"


def test_a_problem_list_item_is_billed_only_where_a_visit_names_it_or_it_names_the_visit() -> None:
    listed = of_visit("Condition", category=[coded("problem-list-item")], clinicalStatus=coded("active"))
    without_visit = {name: value for name, value in listed.items() if name != "encounter"}
    pointing = encounter(diagnosis=[{"condition": {"reference": "Condition/abc"}}])
    assert fold_chart(VISIT, read_apart(encounter(), without_visit)).diagnoses == ()
    assert len(fold_chart(VISIT, read_apart(pointing, without_visit)).diagnoses) == 1
    assert len(fold_chart(VISIT, read_apart(encounter(), listed)).diagnoses) == 1


def test_a_patient_summary_is_read_and_bills_nothing() -> None:
    absent = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
    of_patient = {"subject": {"reference": "urn:uuid:p"}}
    summary = bundle(
        {"resourceType": "Composition", "section": [{"entry": [{"reference": "urn:uuid:c"}]}], **of_patient},
        {"resourceType": "Patient"},
        {"resourceType": "Condition", "code": sct("1"), **of_patient},
        {"resourceType": "Condition", "code": coded("no-known-problems", absent), **of_patient},
        {
            "resourceType": "Procedure",
            "status": "completed",
            "code": coded("no-known-procedures", absent),
            **of_patient,
        },
        {
            "resourceType": "Immunization",
            "status": "completed",
            "vaccineCode": sct("1"),
            "occurrenceDateTime": "2020",
            "patient": {"reference": "urn:uuid:p"},
        },
        urls=("urn:uuid:s", "urn:uuid:p", "urn:uuid:c", "urn:uuid:n", "urn:uuid:o", "urn:uuid:i"),
        type="document",
    )
    facts = read(summary)
    assert (facts.charts, facts.problems) == ((), ())
    assert [(t, d.removed) for t, d in filed(facts, DiagnosisFact)] == [("Condition/c", False), ("Condition/n", True)]
    assert [p.removed for _, p in filed(facts, ProcedureFact)] == [True]


def test_a_care_team_is_read_alike() -> None:
    assert one(read(r5_visit()), VisitFact).care_team == (CareTeamMember("attending", None, "Practitioner/9"),)
    assert one(read(r5_visit()), VisitFact).start == When("2026-11-03T10:00:00Z")
