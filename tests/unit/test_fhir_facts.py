"""FHIR messages to facts: topics, references, statuses, problems."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_coder.charts import fold_chart
from fhir_coder.errors import UnreadableError
from fhir_coder.fhir import FhirRules, facts_from_message, read_header
from fhir_coder.model import (
    CancelFact,
    CareTeamMember,
    ChargeFact,
    Concept,
    CoverageFact,
    DiagnosisFact,
    DiagnosisUse,
    DirectoryFact,
    Fact,
    FiledFact,
    Header,
    Identifier,
    ImmunizationFact,
    Json,
    Message,
    MessageFacts,
    MessageFormat,
    Money,
    Name,
    Organization,
    PatientFact,
    Practitioner,
    ProcedureFact,
    VisitFact,
    When,
)

F = TypeVar("F", bound=Fact)
VISIT = "Patient/1/Encounter/7"
SYNTHEA = Path(__file__).parents[3] / "shared" / "data" / "synthea"


def read(resource: Json, rules: FhirRules | None = None, message: str = "m1") -> MessageFacts:
    body = json.dumps(resource).encode()
    return facts_from_message(Message(message, body, read_header(body)), rules or FhirRules())


def read_apart(*resources: Json) -> list[MessageFacts]:
    return [read(resource, message=f"m{number}") for number, resource in enumerate(resources, start=1)]


def bundle(*resources: Json, urls: tuple[str, ...] = (), **rest: Any) -> Json:
    entries = [{"resource": r} | ({"fullUrl": urls[i]} if i < len(urls) else {}) for i, r in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries, **rest}


def filed(facts: MessageFacts, kind: type[F]) -> list[tuple[str, F]]:
    return [(f.topic, f.fact) for f in facts.facts if isinstance(f.fact, kind)]


def one(facts: MessageFacts, kind: type[F]) -> F:
    return filed(facts, kind)[0][1]


def refs(facts: MessageFacts, kind: type[Fact]) -> tuple[str, ...]:
    return next(f.refs for f in facts.facts if isinstance(f.fact, kind))


def rules_broken(facts: MessageFacts) -> list[tuple[str, str, str]]:
    return [(p.origin.path, p.rule, p.topic) for p in facts.problems]


def sct(code: str) -> Json:
    return {"coding": [{"system": "http://snomed.info/sct", "code": code}]}


def role(code: str) -> list[Json]:
    return [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": code}]}]


def encounter(**rest: Any) -> Json:
    base = {"resourceType": "Encounter", "id": "7", "status": "finished", "class": {"code": "AMB"}}
    return base | {"subject": {"reference": "Patient/1"}} | rest


def of_visit(kind: str, **rest: Any) -> Json:
    base = {"resourceType": kind, "id": "abc", "encounter": {"reference": "Encounter/7"}}
    return base | {"subject": {"reference": "Patient/1"}, "code": sct("386661006")} | rest


def coverage(**rest: Any) -> Json:
    base = {"resourceType": "Coverage", "id": "c1", "status": "active", "beneficiary": {"reference": "Patient/1"}}
    return base | {"payor": [{"display": "Acme Health"}]} | rest


def charge(**rest: Any) -> Json:
    base = of_visit("ChargeItem", status="billable", context={"reference": "Encounter/7"})
    del base["encounter"]
    return base | rest


# --- which chart ------------------------------------------------------------------------------------


def test_encounter_and_condition_sent_apart_meet_on_one_chart() -> None:
    assert read(encounter()).charts == (VISIT,)
    assert read(of_visit("Condition")).charts == (VISIT,)


@pytest.mark.parametrize(
    ("subject", "visit"),
    [
        ("Patient/1", "Encounter/7"),
        ("https://ehr.example/fhir/Patient/1", "https://ehr.example/fhir/Encounter/7/_history/3"),
        ("urn:uuid:p", "urn:uuid:e"),
        ("urn:oid:1.2.3", "https://ehr.example/visits"),
        ("Patient?identifier=urn:mrn|55", "Encounter?identifier=urn%3Avn%7C900"),
    ],
)
def test_every_way_to_refer_leads_to_the_same_chart(subject: str, visit: str) -> None:
    urls = {
        "urn:uuid:p": ("urn:uuid:p", "urn:uuid:e"),
        "urn:oid:1.2.3": ("urn:oid:1.2.3", "https://ehr.example/visits"),
    }
    facts = read(
        bundle(
            {"resourceType": "Patient", "id": "1", "identifier": [{"system": "urn:mrn", "value": "55"}]},
            encounter(identifier=[{"system": "urn:vn", "value": "900"}], subject={"reference": subject}),
            of_visit("Condition", subject={"reference": subject}, encounter={"reference": visit}),
            urls=urls.get(subject, ()),
        )
    )
    assert facts.charts == (VISIT,)
    assert [topic for topic, _ in filed(facts, DiagnosisFact)] == [VISIT, "Condition/abc"]
    assert facts.problems == ()


def test_logical_identifiers_lead_to_the_resource_that_has_them() -> None:
    patient = {"resourceType": "Patient", "id": "1", "identifier": [{"system": "urn:mrn", "value": "55"}]}
    by_number = {"identifier": {"system": "urn:mrn", "value": "55"}}
    assert read(bundle(patient, encounter(subject=by_number))).charts == (VISIT,)
    assert read(encounter(subject=by_number)).charts == ("Patient?identifier=urn:mrn|55/Encounter/7",)


def test_an_identifier_that_two_resources_have_leads_to_neither() -> None:
    twins = [{"resourceType": "Patient", "id": i, "identifier": [{"system": "urn:mrn", "value": "55"}]} for i in "12"]
    facts = read(bundle(*twins, encounter(subject={"reference": "Patient?identifier=urn:mrn|55"})))
    assert facts.charts == ("Patient?identifier=urn:mrn|55/Encounter/7",)


def test_an_entry_known_only_by_its_urn_is_named_by_it() -> None:
    visit = encounter(subject={"reference": "urn:uuid:p"})
    del visit["id"]
    facts = read(bundle({"resourceType": "Patient"}, visit, urls=("urn:uuid:p", "urn:uuid:e")))
    assert facts.charts == ("Patient/p/Encounter/e",)


def test_a_resource_that_nothing_names_is_the_same_when_the_same_bytes_come_again() -> None:
    condition = of_visit("Condition")
    del condition["id"]
    first, again = one(read(condition), DiagnosisFact), one(read(condition), DiagnosisFact)
    assert first.identity == again.identity != one(read(condition | {"code": sct("1")}), DiagnosisFact).identity


def test_a_urn_that_leads_nowhere_is_a_problem_and_the_fact_is_kept() -> None:
    facts = read(bundle(of_visit("Condition", encounter={"reference": "urn:uuid:gone"})))
    assert facts.charts == ("Patient/1/Encounter/gone",)
    assert one(facts, DiagnosisFact).concept.codings[0].code == "386661006"
    assert rules_broken(facts) == [
        ("Bundle.entry[0].resource.encounter.reference", "dangling_reference", "Patient/1/Encounter/gone")
    ]


def test_namespace_keeps_two_servers_apart() -> None:
    facts = read(
        bundle(encounter(diagnosis=[{"condition": {"reference": "Condition/abc"}}]), of_visit("Condition")),
        FhirRules("a:"),
    )
    assert facts.charts == ("a:Patient/1/Encounter/7",)
    visit, diagnosis = one(facts, VisitFact), one(facts, DiagnosisFact)
    assert visit.patient_ref == "a:Patient/1"
    assert visit.diagnosis_uses[0].ref == diagnosis.identity == "a:Condition/abc"
    assert "a:Condition/abc" in refs(facts, VisitFact)


def test_what_is_filed_on_another_patients_encounter_does_not_reach_that_chart() -> None:
    facts = read(bundle(encounter(), of_visit("Condition", subject={"reference": "Patient/2"})))
    assert filed(facts, DiagnosisFact)[0][0] == "Patient/2/Encounter/7"
    assert [p.rule for p in facts.problems] == ["subject_mismatch"]


def test_facts_come_oldest_first_from_a_history_bundle() -> None:
    newest, oldest = of_visit("Condition", code=sct("2")), of_visit("Condition", code=sct("1"))
    facts = read(bundle(newest, oldest, type="history"))
    assert [d.concept.codings[0].code for t, d in filed(facts, DiagnosisFact) if t == VISIT] == ["1", "2"]


def test_bundles_inside_bundles_are_read_however_deep() -> None:
    nested = bundle(encounter())
    for _ in range(150):
        nested = bundle(nested)
    assert read(nested).charts == (VISIT,)


def test_a_deleted_resource_is_taken_back_under_the_topic_its_visit_points_to() -> None:
    kept = read(of_visit("Procedure", status="completed"))
    deleted = read(bundle() | {"entry": [{"request": {"method": "DELETE", "url": "Procedure/abc"}}]})
    topic, fact = filed(deleted, ProcedureFact)[0]
    assert topic in refs(kept, ProcedureFact)
    assert fact.removed
    assert fact.identity == one(kept, ProcedureFact).identity


# --- the visit --------------------------------------------------------------------------------------


def test_a_visit_says_who_where_when_and_why() -> None:
    facts = read(
        encounter(
            identifier=[{"value": "A1"}, {"value": "900", "type": {"coding": [{"code": "VN"}]}}],
            type=[sct("185345009")],
            priority={"coding": [{"code": "EM"}]},
            period={"start": "2026-11-03T10:00:00Z", "end": "2026-11-03"},
            hospitalization={
                "dischargeDisposition": {"coding": [{"code": "01"}]},
                "admitSource": {"coding": [{"code": "emd"}]},
            },
            serviceProvider={"reference": "Organization/h"},
            location=[{"location": {"display": "Ward 3"}}],
            participant=[
                {"type": role("ATND"), "individual": {"reference": "Practitioner/9"}},
                {"individual": {"reference": "PractitionerRole/8"}},
                {
                    "type": role("REF"),
                    "individual": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "17"}},
                },
                {"type": role("TRANS"), "individual": {"reference": "Practitioner/7"}},
                {"type": role("ATND"), "individual": {"reference": "RelatedPerson/6"}},
            ],
            diagnosis=[{"condition": {"reference": "Condition/abc"}, "use": {"coding": [{"code": "DD"}]}, "rank": 1}],
            reasonReference=[
                {"reference": "Condition/why"},
                {"reference": "Condition/abc"},
                {"reference": "Observation/o"},
            ],
        )
    )
    visit = one(facts, VisitFact)
    assert (visit.number, visit.class_code, visit.status, visit.billable) == (
        Identifier("900", "", "VN"),
        "AMB",
        "finished",
        True,
    )
    assert (visit.start, visit.end) == (When("2026-11-03T10:00:00Z"), When("2026-11-03"))
    assert (visit.admission_type, visit.admit_source, visit.discharge_disposition, visit.location) == (
        "1",
        "emd",
        "01",
        "Ward 3",
    )
    npi = "http://hl7.org/fhir/sid/us-npi"
    assert visit.care_team == (
        CareTeamMember("attending", None, "Practitioner/9"),
        CareTeamMember("rendering", None, "PractitionerRole/8"),
        CareTeamMember("referring", Practitioner(None, (Identifier("17", npi),)), f"Practitioner?identifier={npi}|17"),
    )
    assert visit.diagnosis_uses == (DiagnosisUse("Condition/abc", "DD", 1), DiagnosisUse("Condition/why", "reason"))
    assert set(refs(facts, VisitFact)) == {
        "Patient/1",
        "Encounter/7",
        "Organization/h",
        "Practitioner/9",
        "PractitionerRole/8",
        f"Practitioner?identifier={npi}|17",
        "Condition/abc",
        "Condition/why",
    }
    assert facts.problems == ()


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("planned", "planned"),
        ("arrived", "in-progress"),
        ("onleave", "in-progress"),
        ("finished", "finished"),
        ("unknown", ""),
    ],
)
def test_encounter_statuses_become_visit_statuses(said: str, means: str) -> None:
    visit = one(read(encounter(status=said)), VisitFact)
    assert (visit.status, visit.billable) == (means, True if means == "finished" else None)


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_cancelled_encounter_cancels_the_visit(status: str) -> None:
    assert [(t, c.what) for t, c in filed(read(encounter(status=status)), CancelFact)] == [(VISIT, "visit")]


def test_the_reason_of_a_visit_is_a_diagnosis_with_its_own_origin() -> None:
    facts = read(bundle({"resourceType": "Patient", "id": "1"}, encounter(reasonCode=[{}, sct("1")])))
    reason = one(facts, DiagnosisFact)
    assert (reason.kind, reason.identity) == ("reason", "Encounter/7.reasonCode[1]")
    assert reason.origin.path == "Bundle.entry[1].resource.reasonCode[1]"


def test_an_r5_class_and_period_are_understood() -> None:
    facts = read(encounter(**{"class": [sct("IMP")], "actualPeriod": {"start": "2026"}, "status": "completed"}))
    visit = one(facts, VisitFact)
    assert (visit.class_code, visit.start, visit.status) == ("IMP", When("2026"), "finished")
    assert facts.problems == ()


def test_the_account_number_comes_from_the_account_in_the_bundle() -> None:
    account = {"resourceType": "Account", "id": "a", "identifier": [{"value": "ACC1"}]}
    facts = read(bundle(encounter(account=[{"reference": "Account/a"}]), account))
    visit = fold_chart(VISIT, [facts]).visit
    assert visit is not None
    assert visit.account == Identifier("ACC1")


# --- what was found and done ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sites", "side"),
    [
        (["7771000"], "left"),
        (["24028007"], "right"),
        (["51440002"], "bilateral"),
        (["7771000", "7771000"], "left"),
        (["7771000", "24028007"], ""),
        (["48856004"], ""),
    ],
)
def test_the_side_of_a_condition_is_a_qualifier_of_its_body_site(sites: list[str], side: str) -> None:
    body = [{"coding": [{"system": "http://snomed.info/sct", "code": code}]} for code in sites]

    assert one(read(of_visit("Condition", bodySite=body)), DiagnosisFact).laterality == side


@pytest.mark.parametrize(
    ("verification", "kind", "removed"),
    [
        ("confirmed", "", False),
        ("provisional", "working", False),
        ("refuted", "", True),
        ("entered-in-error", "", True),
    ],
)
def test_verification_says_what_a_condition_is_worth(verification: str, kind: str, removed: bool) -> None:
    fact = one(read(of_visit("Condition", verificationStatus={"coding": [{"code": verification}]})), DiagnosisFact)
    assert (fact.kind, fact.removed) == (kind, removed)


def test_a_condition_is_recorded_when_written_down_else_at_its_onset() -> None:
    both = of_visit("Condition", recordedDate="2026-11-03", onsetDateTime="2026")
    assert one(read(both), DiagnosisFact).recorded == When("2026-11-03")
    del both["recordedDate"]
    assert one(read(both), DiagnosisFact).recorded == When("2026")


def test_a_condition_without_encounter_is_on_no_chart_until_a_visit_names_it() -> None:
    condition = of_visit("Condition")
    del condition["encounter"]
    facts = read(condition)
    assert facts.charts == ()
    assert [topic for topic, _ in filed(facts, DiagnosisFact)] == ["Condition/abc"]
    named = read(encounter(diagnosis=[{"condition": {"reference": "Condition/abc"}}]))
    assert "Condition/abc" in refs(named, VisitFact)


def test_a_condition_with_an_unknown_modifier_is_a_problem_on_its_chart_and_no_fact() -> None:
    facts = read(of_visit("Condition", modifierExtension=[{"url": "urn:not", "valueBoolean": True}]))
    assert facts.facts == ()
    assert facts.charts == (VISIT,)
    assert rules_broken(facts) == [("Condition.modifierExtension", "unknown_modifier_extension", VISIT)]


def test_a_procedure_says_what_when_who_and_why() -> None:
    facts = read(
        of_visit(
            "Procedure",
            status="completed",
            performedPeriod={"start": "2026-11-03T10:00:00Z"},
            performer=[{"actor": {"reference": "Practitioner/9"}}, {"actor": {"reference": "Organization/h"}}],
            reasonReference=[{"reference": "Condition/why"}],
            reasonCode=[sct("1")],
            modifierExtension=[{"url": "urn:not"}],
        )
    )
    fact = one(facts, ProcedureFact)
    assert fact.performed == When("2026-11-03T10:00:00Z")
    assert fact.care_team == (CareTeamMember("rendering", None, "Practitioner/9"),)
    assert (fact.reasons, [c.key for c in fact.reason_concepts]) == (("Condition/why",), ["http://snomed.info/sct|1"])
    assert fact.unknown_modifier == "urn:not"
    assert refs(facts, ProcedureFact) == ("Patient/1", "Practitioner/9", "Condition/why", "Procedure/abc")


@pytest.mark.parametrize(
    ("status", "facts", "problems"),
    [
        ("completed", [False], []),
        ("not-done", [True], []),
        ("entered-in-error", [True], []),
        ("in-progress", [True], []),
        ("stopped", [], ["procedure_stopped"]),
        ("unknown", [], ["unknown_status"]),
        (None, [], ["missing"]),
    ],
)
def test_only_a_completed_procedure_is_billed(status: str | None, facts: list[bool], problems: list[str]) -> None:
    said = read(of_visit("Procedure", status=status))
    assert [fact.removed for _, fact in filed(said, ProcedureFact)] == facts
    assert [p.rule for p in said.problems] == problems


def immunization(**rest: Any) -> Json:
    base = of_visit("Immunization", status="completed", patient={"reference": "Patient/1"})
    del base["subject"], base["code"]
    return base | {"vaccineCode": {"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}]}} | rest


def test_a_vaccination_given_here_is_a_fact() -> None:
    facts = read(
        immunization(
            occurrenceDateTime="2026-11-03", lotNumber="L1", performer=[{"actor": {"reference": "Practitioner/9"}}]
        )
    )
    topic, fact = filed(facts, ImmunizationFact)[0]
    assert (topic, fact.given, fact.lot, fact.removed) == (VISIT, When("2026-11-03"), "L1", False)
    assert fact.care_team == (CareTeamMember("rendering", None, "Practitioner/9"),)


@pytest.mark.parametrize("change", [{"status": "not-done"}, {"status": "entered-in-error"}, {"primarySource": False}])
def test_a_vaccination_not_given_here_is_not_billed(change: Json) -> None:
    assert one(read(immunization(**change)), ImmunizationFact).removed


# --- charges ----------------------------------------------------------------------------------------


def test_a_charge_keeps_its_amount_to_the_cent() -> None:
    body = json.dumps(
        charge(
            quantity={"value": 2},
            priceOverride={"value": "PRICE"},
            occurrenceDateTime="2026-11-03",
            reason=[sct("1")],
            service=[{"reference": "Procedure/abc"}],
            supportingInformation=[{"reference": "Condition/why"}, {"reference": "Observation/o"}],
            productCodeableConcept={"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "0000-0000-00"}]},
        )
    ).replace('"PRICE"', "336.50")
    facts = facts_from_message(Message("m1", body.encode(), read_header(body.encode())), FhirRules())
    topic, fact = filed(facts, ChargeFact)[0]
    assert (topic, fact.kind, fact.quantity) == (VISIT, "CG", Decimal(2))
    assert (fact.amount, fact.unit_amount) == (Money(Decimal("336.50"), "USD"), None)
    assert (fact.service_date, fact.ndc, fact.service_refs) == (When("2026-11-03"), "0000-0000-00", ("Procedure/abc",))
    assert (len(fact.diagnoses), fact.diagnosis_refs) == (1, ("Condition/why",))


@pytest.mark.parametrize(
    ("status", "facts", "problems"),
    [
        ("billable", [False], []),
        ("planned", [True], []),
        ("billed", [], []),
        ("not-billable", [True], []),
        ("aborted", [True], []),
        ("entered-in-error", [True], []),
        ("unknown", [], ["unknown_status"]),
    ],
)
def test_only_a_billable_charge_is_billed(status: str, facts: list[bool], problems: list[str]) -> None:
    said = read(charge(status=status))
    assert [fact.removed for _, fact in filed(said, ChargeFact)] == facts
    assert [p.rule for p in said.problems] == problems


def test_a_charge_outside_a_visit_is_kept_and_reported() -> None:
    facts = read(charge(context={"reference": "EpisodeOfCare/7"}))
    assert facts.charts == ()
    assert filed(facts, ChargeFact)[0][0] == "ChargeItem/abc"
    assert [p.rule for p in facts.problems] == ["no_encounter"]


def test_a_factor_on_a_price_we_do_not_have_is_a_problem() -> None:
    assert [p.rule for p in read(charge(factorOverride=0.5)).problems] == ["factor_without_price"]
    assert read(charge(factorOverride=1)).problems == ()


# --- who pays ---------------------------------------------------------------------------------------


def test_a_coverage_is_filed_under_its_patient() -> None:
    facts = read(
        coverage(
            type={"coding": [{"code": "HMO"}]},
            subscriberId="S1",
            relationship={"coding": [{"code": "self"}]},
            order=2,
            period={"start": "2026-01-01"},
            **{"class": [{"type": {"coding": [{"code": kind}]}, "value": kind[0]} for kind in ("group", "plan")]},
        )
    )
    topic, fact = filed(facts, CoverageFact)[0]
    assert (topic, fact.identity, fact.order, fact.kind) == ("Patient/1", "Coverage/c1", 2, "HMO")
    assert (fact.subscriber_id, fact.relationship, fact.plan, fact.group) == ("S1", "self", "p", "g")
    assert (fact.payer, fact.start) == (Organization("Acme Health"), When("2026-01-01"))
    assert facts.charts == ()


def test_a_contained_payer_is_filled_in() -> None:
    payer = {
        "resourceType": "Organization",
        "id": "o",
        "name": "Acme",
        "identifier": [{"system": "urn:naic", "value": "60054"}],
    }
    facts = read(coverage(contained=[payer], payor=[{"reference": "#o"}]))
    fact = one(facts, CoverageFact)
    assert fact.payer == Organization("Acme", (Identifier("60054", "urn:naic"),))
    assert fact.payer_ref == "Coverage/c1#o"
    assert filed(facts, DirectoryFact)[0][0] == "Coverage/c1#o"


def test_a_payer_that_comes_in_another_message_is_referred_to() -> None:
    facts = read(coverage(payor=[{"reference": "Organization/o"}]))
    assert (one(facts, CoverageFact).payer, one(facts, CoverageFact).payer_ref) == (None, "Organization/o")
    assert refs(facts, CoverageFact) == ("Organization/o", "Coverage/c1")


def test_the_account_settles_the_order_of_benefits() -> None:
    account = {
        "resourceType": "Account",
        "id": "a",
        "coverage": [
            {"coverage": {"reference": "Coverage/c1"}, "priority": 2},
            {"coverage": {"reference": "Coverage/c2"}, "priority": 1},
        ],
    }
    visit = encounter(account=[{"reference": "Account/a"}])
    said = [visit, coverage(order=1), coverage(id="c2", order=2), coverage(id="c3"), account]
    for messages in ([read(bundle(*said))], read_apart(*said)):
        chart = fold_chart(VISIT, messages)
        assert [(c.identity, c.order) for c in chart.coverages] == [
            ("Coverage/c2", 1),
            ("Coverage/c1", 2),
            ("Coverage/c3", 3),
        ]


@pytest.mark.parametrize(("status", "removed"), [("active", [False]), ("cancelled", [True]), ("draft", [True])])
def test_only_an_active_coverage_pays(status: str, removed: list[bool]) -> None:
    assert [c.removed for _, c in filed(read(coverage(status=status)), CoverageFact)] == removed


def explanation(visit: str) -> Json:
    inner = {
        "resourceType": "Coverage",
        "id": "coverage",
        "type": {"text": "Medicare"},
        "payor": [{"display": "Medicare"}],
    }
    return {
        "resourceType": "ExplanationOfBenefit",
        "id": f"eob-{visit}",
        "status": "active",
        "patient": {"reference": "Patient/1"},
        "contained": [inner],
        "item": [{"encounter": [{"reference": f"Encounter/{visit}"}]}, {}],
    }


def test_a_coverage_found_only_in_explanations_of_benefit_pays_for_the_visits_they_name() -> None:
    facts = read(bundle(explanation("7"), explanation("8")))
    found = filed(facts, CoverageFact)
    assert [topic for topic, _ in found] == ["Patient/1/Encounter/7", "Patient/1/Encounter/8"]
    assert len({fact.identity for _, fact in found}) == 1
    assert (found[0][1].payer, found[0][1].kind, found[0][1].subscriber_id) == (
        Organization("Medicare"),
        "Medicare",
        "",
    )


def test_an_explanation_without_encounter_speaks_for_the_patient() -> None:
    assert filed(read(explanation("7") | {"item": []}), CoverageFact)[0][0] == "Patient/1"


def test_a_coverage_of_its_own_makes_the_explanations_copy_needless() -> None:
    assert [c.identity for _, c in filed(read(bundle(explanation("7"), coverage())), CoverageFact)] == ["Coverage/c1"]


# --- the directory ----------------------------------------------------------------------------------


def test_a_patient_is_found_by_id_and_record_number_but_not_by_private_numbers() -> None:
    private = [
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "0"},
        {"type": {"coding": [{"code": "DL"}]}, "value": "0"},
    ]
    patient = {
        "resourceType": "Patient",
        "id": "1",
        "gender": "female",
        "birthDate": "1970-02-03",
        "name": [{"family": "Q"}],
    }
    facts = read(patient | {"identifier": [{"system": "urn:mrn", "value": "55"}, *private]})
    assert [topic for topic, _ in filed(facts, PatientFact)] == ["Patient/1", "Patient?identifier=urn:mrn|55"]
    fact = one(facts, PatientFact)
    assert (fact.name, fact.birth_date, fact.sex) == (Name("Q"), When("1970-02-03"), "female")
    assert facts.facts[1].refs == ("Patient/1",)


def test_a_practitioner_is_found_by_id_and_npi() -> None:
    npi = "http://hl7.org/fhir/sid/us-npi"
    taxonomy = {"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "207Q00000X"}]}
    facts = read(
        {
            "resourceType": "Practitioner",
            "id": "9",
            "identifier": [{"system": npi, "value": "17"}],
            "qualification": [{"code": taxonomy}],
        }
    )
    assert [topic for topic, _ in filed(facts, DirectoryFact)] == [
        "Practitioner/9",
        f"Practitioner?identifier={npi}|17",
    ]
    person = one(facts, DirectoryFact).practitioner
    assert person
    assert (person.npi, person.taxonomy) == ("17", "207Q00000X")


def test_a_role_leads_to_its_person_and_organization() -> None:
    facts = read(
        {
            "resourceType": "PractitionerRole",
            "id": "8",
            "practitioner": {"reference": "Practitioner/9"},
            "organization": {"reference": "Organization/h"},
            "specialty": [{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "207Q00000X"}]}],
        }
    )
    fact = one(facts, DirectoryFact)
    assert (fact.practitioner_ref, fact.organization_ref) == ("Practitioner/9", "Organization/h")
    assert fact.practitioner == Practitioner(taxonomy="207Q00000X")
    assert refs(facts, DirectoryFact) == ("Practitioner/9", "Organization/h")


def test_a_location_is_listed_with_its_organization() -> None:
    facts = read(
        {
            "resourceType": "Location",
            "id": "w",
            "name": "Ward 3",
            "managingOrganization": {"reference": "Organization/h"},
        }
    )
    assert (one(facts, DirectoryFact).location, refs(facts, DirectoryFact)) == ("Ward 3", ("Organization/h",))


def test_claims_observations_and_their_contained_resources_are_no_facts() -> None:
    inner = {"resourceType": "Patient", "id": "p"}
    facts = read(
        bundle({"resourceType": "Claim", "contained": [inner]}, {"resourceType": "Observation", "contained": [inner]})
    )
    assert (facts.facts, facts.charts, facts.problems) == ((), (), ())


# --- when -------------------------------------------------------------------------------------------


def test_the_message_is_ordered_by_its_last_update_then_its_timestamp_then_its_resources() -> None:
    stamped = encounter(meta={"lastUpdated": "2026-11-01T00:00:00Z"})
    older = of_visit("Condition", meta={"lastUpdated": "2026-11-01T00:30:00+02:00"})
    timed = bundle(stamped, timestamp="2026-11-02T00:00:00Z")
    assert read(timed | {"meta": {"lastUpdated": "2026-11-03T00:00:00Z"}}).event_at == When("2026-11-03T00:00:00Z")
    assert read(timed).event_at == When("2026-11-02T00:00:00Z")
    assert read(bundle(older, stamped)).event_at == When("2026-11-01T00:00:00Z")
    assert read(stamped).event_at == When("2026-11-01T00:00:00Z")
    assert read(encounter()).event_at is None


# --- what cannot be used ----------------------------------------------------------------------------


def test_one_faulty_resource_does_not_keep_the_others_from_being_read() -> None:
    faulty = of_visit("Condition", code=None)
    facts = read(bundle(encounter(), faulty, of_visit("Procedure", status="completed")))
    assert rules_broken(facts) == [("Bundle.entry[1].resource.code", "missing", VISIT)]
    assert len(filed(facts, ProcedureFact)) == 1


def test_a_wrong_json_type_is_one_problem_at_its_path() -> None:
    facts = read(of_visit("Condition", code=["Poison"]))
    assert rules_broken(facts) == [("Condition.code", "wrong_type", VISIT)]
    assert "Poison" not in repr(facts.problems)


def test_a_fault_in_the_patients_coverage_shows_on_every_visit_of_the_patient() -> None:
    said = [{"resourceType": "Patient", "id": "1"}, encounter(), coverage(period={"start": "soon"})]
    assert rules_broken(read(bundle(*said))) == [("Bundle.entry[2].resource.period.start", "not_a_date", "Patient/1")]
    for messages in ([read(bundle(*said))], read_apart(*said)):
        assert [p.rule for p in fold_chart(VISIT, messages).problems] == ["not_a_date"]


def test_an_entry_that_is_no_resource_shows_on_every_visit_of_the_message() -> None:
    facts = read(bundle(encounter(), {"id": "x"}))
    assert rules_broken(facts) == [("Bundle.entry[1].resource", "no_resource_type", VISIT)]


def test_a_taken_back_condition_needs_no_code() -> None:
    facts = read(of_visit("Condition", code=None, verificationStatus={"coding": [{"code": "entered-in-error"}]}))
    assert one(facts, DiagnosisFact).concept == Concept()
    assert facts.problems == ()


WHOLE = bundle(
    {
        "resourceType": "Patient",
        "id": "1",
        "identifier": [{"system": "urn:mrn", "value": "55"}],
        "name": [{"given": ["A"]}],
    },
    encounter(
        identifier=[{"value": "900"}],
        period={"start": "2026-11-03T10:00:00Z"},
        participant=[{"type": role("ATND"), "individual": {"reference": "Practitioner/9"}}],
        diagnosis=[{"condition": {"reference": "#c"}, "use": sct("DD"), "rank": 1}],
        contained=[{"resourceType": "Condition", "id": "c", "code": sct("1")}],
        reasonCode=[sct("1")],
        account=[{"reference": "Account/a"}],
        hospitalization={"admitSource": sct("1")},
        priority=sct("EM"),
    ),
    of_visit("Condition", recordedDate="2026"),
    of_visit("Procedure", status="completed", performer=[{"actor": {"identifier": {"value": "17"}}}]),
    immunization(),
    charge(quantity={"value": 1.5}, priceOverride={"value": 2.5}, occurrenceTiming={"event": ["2026-11-03"]}),
    coverage(payor=[{"reference": "urn:uuid:x"}], **{"class": [{"type": sct("plan"), "value": "p"}]}),
    explanation("7"),
    {
        "resourceType": "Account",
        "id": "a",
        "identifier": [{"value": "1"}],
        "coverage": [{"coverage": {"reference": "Coverage/c1"}}],
    },
    {
        "resourceType": "PractitionerRole",
        "practitioner": {"reference": "Practitioner?identifier=17"},
        "specialty": [sct("1")],
    },
    {"resourceType": "Location", "name": "Ward"},
    urls=("urn:uuid:1",),
    meta={"lastUpdated": "2026-11-03T10:00:00Z"},
)

NAMES = st.sampled_from(
    ["coding", "code", "reference", "concept", "value", "contained", "modifierExtension", "identifier"]
)

WHOLE_R5 = bundle(
    {
        "resourceType": "Patient",
        "id": "1",
        "link": [{"type": "replaced-by", "other": {"reference": "Patient/2"}}],
    },
    encounter(
        status="completed",
        actualPeriod={"start": "2026-11-03T10:00:00Z"},
        participant=[{"type": role("ATND"), "actor": {"reference": "Practitioner/9"}}],
        diagnosis=[{"condition": [{"reference": {"reference": "Condition/abc"}}], "use": [sct("final")]}],
        reason=[{"use": [sct("RV")], "value": [{"concept": sct("1")}, {"reference": {"reference": "Condition/abc"}}]}],
        account=[{"reference": "Account/a"}],
        admission={"admitSource": sct("1")},
        partOf={"reference": "Encounter/6"},
        **{"class": [sct("IMP")]},
    ),
    of_visit("Condition", verificationStatus=sct("provisional")),
    of_visit(
        "Procedure",
        status="completed",
        occurrenceTiming={"event": ["2026-11-03"]},
        reason=[{"concept": sct("1")}],
        complication=[{"concept": sct("1")}],
        bodySite=[sct("LT")],
        focalDevice=[{"modifierExtension": [{"url": "urn:not"}]}],
    ),
    immunization(reason=[{"reference": {"reference": "Condition/abc"}}], occurrenceString="then"),
    charge(
        unitPriceComponent={"type": "base", "amount": {"value": 1}},
        totalPriceComponent={"type": "tax", "factor": 2},
        product=[{"concept": sct("1")}],
        reason=[{"concept": sct("1")}, {"reference": {"reference": "Condition/abc"}}],
        service=[{"reference": {"reference": "Procedure/abc"}}],
    ),
    coverage(kind="other", subscriberId=[{"value": "1"}], paymentBy=[{"party": {"reference": "Organization/o"}}]),
    {
        "resourceType": "Account",
        "id": "a",
        "subject": [{"reference": "Patient/1"}],
        "coverage": [{"coverage": {"reference": "Coverage/c1"}, "priority": 1}],
        "diagnosis": [{"sequence": 1, "condition": {"concept": sct("1")}, "type": [sct("principal")]}],
        "procedure": [{"sequence": 1, "code": {"concept": sct("1")}}],
        "guarantor": [{"party": {"reference": "Patient/1"}}],
    },
    implicitRules="urn:rules",
)

WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "#", "urn:uuid:", "Patient?", "a|b", "/", "9999-99-99", "Encounter/7", "Bundle"]),
    st.text(max_size=5),
    st.recursive(st.none() | st.text(max_size=2), lambda x: st.lists(x, max_size=2) | st.dictionaries(NAMES, x)),
    st.sampled_from([[], {}, [[]], [{}], [None], {"reference": 1}, {"coding": {}}, {"coding": [1]}]),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every object or list of a document with each of its keys."""
    own = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [(value, key) for key in own] + [deeper for key in own for deeper in places(value[key])]


@settings(deadline=None)
@given(st.data())
@pytest.mark.parametrize("whole", [WHOLE, WHOLE_R5], ids=["R4", "R5"])
def test_whatever_stands_anywhere_in_a_bundle_is_read_or_a_problem(whole: Json, data: st.DataObject) -> None:
    document = copy.deepcopy(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        spots = places(document["entry"]) if isinstance(document.get("entry"), list) else []
        if spots:
            holder, key = data.draw(st.sampled_from(spots))
            holder[key] = copy.deepcopy(data.draw(WRONG))
    facts = read_or_refused(document)
    assert all(isinstance(f, FiledFact) and f.topic for f in facts.facts)
    assert all(p.rule and p.origin.path.startswith("Bundle") for p in facts.problems)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["type", "entry", "meta", "timestamp", "id", "contained"]), WRONG))
def test_whatever_stands_at_the_top_is_read_or_a_problem(rest: Json) -> None:
    for name in ("Account", "Bundle", "ChargeItem", "Encounter", "Condition", "Coverage", "ExplanationOfBenefit"):
        assert read_or_refused({"resourceType": name, **rest}).message == "m1"


@pytest.mark.parametrize("nesting", [200, 5_000])
def test_deep_nesting_is_read_or_refused(nesting: int) -> None:
    for opened, closed in (('{"a":', "}"), ("[", "]"), ('{"contained":[', "]}"), ('{"coding":[', "]}")):
        inner = opened * nesting + "1" + closed * nesting
        body = (
            f'{{"resourceType":"Encounter","id":"7","modifierExtension":[],"class":{inner},"type":[{inner}]}}'.encode()
        )
        message = Message("m1", body, Header(MessageFormat.FHIR, "Encounter"))
        if nesting > 1024:
            with pytest.raises(UnreadableError):
                facts_from_message(message, FhirRules())
        else:
            assert facts_from_message(message, FhirRules()).charts


def read_or_refused(document: Json) -> MessageFacts:
    """What a document says; nothing where the one thing that no database takes is in it."""
    if "\\u0000" in json.dumps(document):
        with pytest.raises(UnreadableError):
            read(document)
        return MessageFacts("m1", None, (), ())
    return read(document)


def test_every_wrong_type_in_the_bundle_leaves_a_problem() -> None:
    document = copy.deepcopy(WHOLE)
    for holder, key in places(document["entry"]):
        if isinstance(holder, dict) and key in ("code", "subject", "period", "participant", "quantity"):
            before = holder[key]
            holder[key] = 7
            assert "wrong_type" in [p.rule for p in read(document).problems], key
            holder[key] = before


@pytest.mark.skipif(not SYNTHEA.is_dir(), reason="the Synthea sample bundles are not on this machine")
def test_synthea_bundles_give_every_encounter_a_chart_with_a_payer() -> None:
    for path in sorted(SYNTHEA.glob("[A-G]*.json")):
        body = path.read_bytes()
        facts = facts_from_message(Message("m1", body, read_header(body)), FhirRules())
        encounters = sum(e["resource"]["resourceType"] == "Encounter" for e in json.loads(body)["entry"])
        assert (len(facts.charts), facts.problems) == (encounters, ())
        assert {topic for topic, _ in filed(facts, CoverageFact)} == set(facts.charts)
