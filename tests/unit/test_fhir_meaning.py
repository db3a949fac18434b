"""FHIR elements that change what is billed, and those that say nothing for sure: a person decides, never a guess."""

from __future__ import annotations

import json

import pytest

from fhir_coder.charts import fold_chart
from fhir_coder.errors import UnreadableError
from fhir_coder.fhir import load
from fhir_coder.model import (
    ChargeFact,
    Coding,
    DiagnosisFact,
    Header,
    Json,
    MergeFact,
    Message,
    MessageFacts,
    MessageFormat,
    MessageStatus,
    PlaceFact,
    ProcedureFact,
    Stamp,
    System,
    When,
)
from fhir_coder.pipeline import facts_of, judge
from tests.building import rulebook
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
    rules_broken,
    sct,
)

HIDDEN = {"modifierExtension": [{"url": "urn:not", "valueBoolean": True}]}
STAY = {"class": {"code": "IMP"}}


def verified(code: str, **rest: object) -> Json:
    return of_visit("Condition", verificationStatus={"coding": [{"code": code}]}, **rest)


def diagnoses(*said: Json) -> list[str]:
    return [d.identity for d in fold_chart(VISIT, read_apart(*said)).diagnoses]


# --- diagnoses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["provisional", "differential", "unconfirmed"])
def test_a_suspected_condition_is_coded_for_a_stay_and_never_for_an_outpatient_visit(code: str) -> None:
    assert one(read(verified(code)), DiagnosisFact).is_suspected
    assert diagnoses(encounter(), verified(code)) == []
    assert diagnoses(encounter(**STAY), verified(code)) == ["Condition/abc"]


def test_a_suspected_condition_is_not_coded_because_the_visit_names_it() -> None:
    pointing = encounter(diagnosis=[{"condition": {"reference": "Condition/abc"}, "use": {"coding": [{"code": "DD"}]}}])
    assert diagnoses(pointing, verified("provisional")) == []


def test_a_suspicion_that_was_confirmed_is_coded_and_one_that_was_refuted_is_not() -> None:
    assert diagnoses(encounter(), verified("provisional"), verified("confirmed")) == ["Condition/abc"]
    assert diagnoses(encounter(**STAY), verified("provisional"), verified("refuted")) == []


def test_a_resolved_condition_was_there_at_its_visit() -> None:
    resolved = of_visit("Condition", clinicalStatus={"coding": [{"code": "resolved"}]}, abatementDateTime="2026-11-20")
    assert diagnoses(encounter(), resolved) == ["Condition/abc"]


def test_a_new_version_of_a_visit_takes_back_what_it_no_longer_says() -> None:
    first = encounter(reasonCode=[sct("1"), sct("2")], hospitalization={"dischargeDisposition": sct("01")})
    chart = fold_chart(VISIT, read_apart(first, encounter(reasonCode=[sct("1")])))
    assert [d.concept.key for d in chart.diagnoses] == ["http://snomed.info/sct|1"]
    assert chart.visit is not None
    assert chart.visit.discharge_disposition == ""


# --- procedures and charges -------------------------------------------------------------------------


def test_a_procedure_that_goes_on_again_is_not_billed_until_it_is_completed() -> None:
    def procedures(*statuses: str) -> int:
        said = [of_visit("Procedure", status=status) for status in statuses]
        return len(fold_chart(VISIT, read_apart(encounter(), *said)).procedures)

    assert procedures("in-progress") == 0
    assert procedures("completed", "in-progress") == 0
    assert procedures("in-progress", "completed") == 1


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("performedString", "in spring"),
        ("performedAge", {"value": 40}),
        ("performedRange", {"low": {"value": 40}}),
        ("occurrenceString", "in spring"),
    ],
)
def test_a_date_told_in_words_or_by_an_age_is_for_a_person(element: str, value: object) -> None:
    facts = read(of_visit("Procedure", status="completed", **{element: value}))
    assert one(facts, ProcedureFact).performed is None
    assert rules_broken(facts) == [(f"Procedure.{element}", "no_date", VISIT)]


def test_a_vaccination_dated_in_words_is_for_a_person() -> None:
    assert [p.rule for p in read(immunization(occurrenceString="as a child")).problems] == ["no_date"]


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ({"reportedBoolean": True}, "procedure_reported"),
        ({"reportedReference": {"reference": "Patient/1"}}, "procedure_reported"),
        ({"complication": [sct("1")]}, "procedure_complication"),
        ({"complication": [{"concept": sct("1")}]}, "procedure_complication"),
        ({"complicationDetail": [{"reference": "Condition/c"}]}, None),
        ({"reportedBoolean": False}, None),
    ],
)
def test_what_a_procedure_leaves_open_is_for_a_person(said: Json, rule: str | None) -> None:
    facts = read(of_visit("Procedure", status="completed", **said))
    assert [p.rule for p in facts.problems] == ([rule] if rule else [])


def test_a_body_site_gives_a_modifier_only_where_it_is_one() -> None:
    site = {"coding": [{"system": System.SNOMED, "code": "7771000"}, {"system": System.HCPCS, "code": "LT"}]}
    left = (Coding(System.HCPCS, "LT"),)
    assert one(read(of_visit("Procedure", status="completed", bodySite=[site])), ProcedureFact).modifiers == left
    assert one(read(charge(bodysite=[site])), ChargeFact).modifiers == left
    assert one(read(charge(bodysite=[sct("7771000")])), ChargeFact).modifiers == ()


def test_who_a_performer_acted_for_does_not_change_who_it_was() -> None:
    performer = {"actor": {"reference": "Practitioner/9"}, "onBehalfOf": {"reference": "Organization/o"}}
    fact = one(read(of_visit("Procedure", status="completed", performer=[performer])), ProcedureFact)
    assert [m.ref for m in fact.care_team] == ["Practitioner/9"]


def test_a_charge_that_names_only_an_account_is_on_no_chart_and_a_problem() -> None:
    lone = charge(account=[{"reference": "Account/a"}])
    del lone["context"]
    facts = read(lone)
    assert facts.charts == ()
    assert [p.rule for p in facts.problems] == ["no_encounter"]


# --- the visit and its patient ----------------------------------------------------------------------


def test_a_part_of_another_encounter_is_billed_by_a_person() -> None:
    assert rules_broken(read(encounter(partOf={"reference": "Encounter/1"}))) == [
        ("Encounter.partOf", "part_of_encounter", VISIT)
    ]


def test_what_an_encounter_was_before_is_not_what_it_is() -> None:
    history = {"classHistory": [{"class": {"code": "EMER"}}], "statusHistory": [{"status": "planned"}]}
    visit = fold_chart(VISIT, read_apart(encounter(**STAY, **history))).visit
    assert visit is not None
    assert (visit.class_code, visit.status) == ("IMP", "finished")


@pytest.mark.parametrize(
    ("kind", "pairs"),
    [
        ("replaced-by", [("Patient/1", "Patient/2")]),
        ("replaces", [("Patient/2", "Patient/1")]),
        ("seealso", []),
        ("refer", []),
    ],
)
def test_linked_patients_are_merged_where_one_replaces_the_other(kind: str, pairs: list[tuple[str, str]]) -> None:
    link = {"type": kind, "other": {"reference": "Patient/2"}}
    found = filed(read({"resourceType": "Patient", "id": "1", "link": [link]}), MergeFact)
    assert [(fact.prior, fact.survivor) for _, fact in found] == pairs
    assert [topic for topic, _ in found] == [prior for prior, _ in pairs]


def test_a_visit_of_a_replaced_patient_has_the_record_that_replaces_it() -> None:
    survivor = {"resourceType": "Patient", "id": "2", "name": [{"family": "New"}]}
    link = {"type": "replaced-by", "other": {"reference": "Patient/2"}}
    gone = {"resourceType": "Patient", "id": "1", "name": [{"family": "Old"}], "link": [link]}
    patient = fold_chart(VISIT, read_apart(encounter(), gone, survivor)).patient
    assert patient is not None
    assert patient.name is not None
    assert patient.name.family == "New"


def test_an_encounter_says_under_its_own_topic_where_it_is_now() -> None:
    facts = read(encounter(subject={"reference": "Patient/2"}))
    assert [(t, p.key) for t, p in filed(facts, PlaceFact)] == [("Encounter/7", "Patient/2/Encounter/7")]
    assert fold_chart(VISIT, read_apart(encounter(), encounter(subject={"reference": "Patient/2"}))).moved_to


def test_every_fact_has_the_version_that_says_it() -> None:
    inner = {"resourceType": "Condition", "id": "c", "code": sct("1")}
    facts = read(encounter(contained=[inner], meta={"lastUpdated": "2026-11-03T10:00:00Z", "versionId": "3"}))
    said = {(f.stamp.resource, f.stamp.updated, f.stamp.version) for f in facts.facts if f.stamp}
    when = When("2026-11-03T10:00:00Z")
    assert said == {("Encounter/7", when, "3"), ("Encounter/7#c", when, "3")}
    assert read(encounter()).facts[0].stamp == Stamp("Encounter/7")


# --- what changes the meaning -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (encounter(**HIDDEN), "Encounter"),
        (encounter(statusHistory=[{"status": "planned", **HIDDEN}]), "Encounter.statusHistory[0]"),
        (encounter(location=[{"location": {"display": "W"}, **HIDDEN}]), "Encounter.location[0]"),
        (of_visit("Procedure", status="completed", focalDevice=[HIDDEN]), "Procedure.focalDevice[0]"),
        (immunization(protocolApplied=[HIDDEN]), "Immunization.protocolApplied[0]"),
        (charge(performer=[HIDDEN]), "ChargeItem.performer[0]"),
        (charge(occurrenceTiming={"event": ["2026-11-03"], **HIDDEN}), "ChargeItem.occurrenceTiming"),
    ],
)
def test_a_modifier_that_is_not_known_holds_the_visit_wherever_it_stands(resource: Json, path: str) -> None:
    facts = read(resource)
    assert (f"{path}.modifierExtension", "unknown_modifier_extension", VISIT) in rules_broken(facts)
    if facts.facts:
        assert [p.rule for p in fold_chart(VISIT, [facts]).problems] == ["unknown_modifier_extension"]


def test_a_modifier_is_found_however_its_name_is_written() -> None:
    body = b'{"resourceType":"Encounter","id":"7","status":"finished","modifier\\u0045xtension":[{"url":"urn:x"}]}'
    assert "unknown_modifier_extension" in [p.rule for p in facts_from(body).problems]


def facts_from(body: bytes) -> MessageFacts:
    said = facts_of(Message("m1", body, Header(MessageFormat.FHIR, "Encounter")), rulebook())
    assert said is not None
    return said


@pytest.mark.parametrize("resource", [of_visit("Condition"), immunization(), charge(), coverage()])
def test_rules_that_are_not_known_keep_a_resource_from_being_used(resource: Json) -> None:
    facts = read(resource | {"implicitRules": "urn:rules"})
    assert facts.facts == ()
    assert [p.rule for p in facts.problems] == ["unknown_implicit_rules"]


def test_a_procedure_under_unknown_rules_is_a_gap() -> None:
    fact = one(read(of_visit("Procedure", status="completed", implicitRules="urn:rules")), ProcedureFact)
    assert fact.unknown_modifier == "urn:rules"


def test_unknown_rules_of_a_bundle_hold_all_its_visits() -> None:
    facts = read(bundle(encounter(), encounter(id="8"), implicitRules="urn:rules"))
    assert [(rule, topic) for _, rule, topic in rules_broken(facts)] == [
        ("unknown_implicit_rules", VISIT),
        ("unknown_implicit_rules", "Patient/1/Encounter/8"),
    ]


def test_an_entry_with_a_modifier_is_left_out_and_a_problem() -> None:
    said = bundle(encounter(), of_visit("Condition"))
    said["entry"][1] |= HIDDEN
    facts = read(said)
    assert filed(facts, DiagnosisFact) == []
    assert rules_broken(facts) == [("Bundle.entry[1].modifierExtension", "unknown_modifier_extension", VISIT)]


def test_a_patient_with_a_modifier_holds_the_visits_that_come_in_other_messages() -> None:
    chart = fold_chart(VISIT, read_apart({"resourceType": "Patient", "id": "1", **HIDDEN}, encounter()))
    assert [p.rule for p in chart.problems] == ["unknown_modifier_extension"]


def test_an_account_with_a_modifier_holds_the_visit_that_names_it_though_nothing_else_is_known_of_it() -> None:
    account = {"resourceType": "Account", "id": "a", **HIDDEN}
    with_other = bundle(account, {"resourceType": "Patient", "id": "1"})
    visit = encounter(account=[{"reference": "Account/a"}])
    for messages in (read_apart(with_other, visit), read_apart(visit, with_other)):
        assert [p.rule for p in fold_chart(VISIT, messages).problems] == ["unknown_modifier_extension"]


# --- what says nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "ExplanationOfBenefit", "id": "e", "status": "active", "patient": {"reference": "Patient/1"}},
        charge(status="billed"),
        bundle({"resourceType": "Observation", "id": "o"}),
    ],
)
def test_what_is_understood_and_bills_nothing_is_ignored_and_not_quarantined(resource: Json) -> None:
    facts = read(resource)
    assert (facts.facts, facts.problems) == ((), ())
    kind = str(resource["resourceType"])
    body = json.dumps(resource).encode()
    verdict = judge(lambda: facts_of(Message("m1", body, Header(MessageFormat.FHIR, kind)), rulebook()), lambda: "")
    assert (verdict.status, verdict.why) == (MessageStatus.IGNORED, "nothing in it is billed")


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b'{"resourceType":"Patient","id":"a\\u0000b"}', True),
        (b'{"resourceType":"Patient","id":"a\\\\\\u0000b"}', True),
        (b'{"resourceType":"Patient","gender":"a\\\\u0000b"}', False),
    ],
)
def test_a_nul_character_that_no_database_takes_is_refused(body: bytes, is_refused: bool) -> None:
    if not is_refused:
        assert load(body)["resourceType"] == "Patient"
        return
    with pytest.raises(UnreadableError) as refused:
        load(body)
    assert refused.value.rule == "nul_character"


def test_a_word_of_hl7_is_no_code_of_a_bill() -> None:
    hl7 = {"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": "home"}
    nubc = {"system": "https://www.nubc.org/CodeSystem/PatDischargeStatus", "code": "01"}
    for codings, expected in (([hl7], ""), ([hl7, nubc], "01"), ([{"code": "01"}], "01")):
        visit = fold_chart(
            VISIT, read_apart(encounter(hospitalization={"dischargeDisposition": {"coding": codings}}))
        ).visit
        assert visit is not None
        assert visit.discharge_disposition == expected
