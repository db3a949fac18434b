"""What a message says about a visit."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.charts import fold_chart
from fhir_coder.errors import UnreadableError
from fhir_coder.hl7v2.facts import facts_from_message
from fhir_coder.hl7v2.header import read_header
from fhir_coder.hl7v2.rules import FeedRules
from fhir_coder.hl7v2.types import is_billed, why_ignored
from fhir_coder.model import (
    Address,
    CancelFact,
    CareTeamMember,
    ChargeFact,
    Coding,
    Concept,
    CoverageFact,
    DiagnosisFact,
    GuarantorFact,
    Identifier,
    ImmunizationFact,
    Message,
    MessageFacts,
    Money,
    Name,
    Origin,
    PatientFact,
    ProcedureFact,
    System,
    VisitFact,
    When,
)

TRIALS = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"
RULES = FeedRules(
    time_zone="America/Chicago",
    concepts={
        "v2-sex": {"F": "female"},
        "v2-class": {"E": "EMER"},
        "v2-relationship": {"SEL": "self", "18": "self"},
    },
)
PID = (
    "PID|1||555^^^HOSP&1.2.3&ISO^MR~9^^^^SS||Doe^Jane^Q^^Ms||19800102|F|||1 Main St^Apt 2^Peoria^IL^61602^USA||555-0100"
)
PV1 = "PV1|1|E|ED^1|E|||1^Able^Ann^^^^^^&2.16.840.1.113883.4.6&ISO|||||||7|||2^Baker^Bo||V100^^^HOSP"

F = TypeVar("F")


def read(*segments: str, kind: str = "ADT^A08", rules: FeedRules = RULES) -> MessageFacts:
    msh = f"MSH|^~\\&|APP|FAC|||20260301120000||{kind}|C1|P|2.5.1"
    body = "\r".join([msh, *segments]).encode()
    return facts_from_message(Message("m-1", body, read_header(body)), rules)


def only(kind: type[F], facts: MessageFacts) -> list[F]:
    return [filed.fact for filed in facts.facts if isinstance(filed.fact, kind)]


def charges(*ft1: str) -> list[ChargeFact]:
    return only(ChargeFact, read(PID, PV1, *ft1, kind="DFT^P03"))


def rules_of(facts: MessageFacts) -> list[tuple[str, str]]:
    return [(problem.origin.path, problem.rule) for problem in facts.problems]


# --- which message, which chart -------------------------------------------------------------------


def test_types_that_are_not_billed_have_no_facts() -> None:
    facts = read(PID, PV1, kind="ORU^R01")
    assert (facts.facts, facts.charts) == ((), ())
    assert not is_billed("ORU^R01")
    assert is_billed("DFT^P03")


@pytest.mark.parametrize(
    ("segments", "key"),
    [
        ((PID, PV1), "HOSP/VN/V100"),
        ((PID + "|||||A77^^^BILL", "PV1|1|E"), "BILL/AN/A77"),
        ((PID, "PV1|1|E" + "|" * 48 + "X9"), "FAC/AV/X9"),
        ((PID, "PV1|1|E" + "|" * 42 + "202603010800"), "HOSP/PT/555/2026-03-01"),
        ((PID, "RXA|0|1|20260302||207^^CVX"), "HOSP/PT/555/2026-03-02"),
        (("PID|1|||", "PV1|1|E|" + "|" * 16 + "V100"), "FAC/VN/V100"),
    ],
)
def test_chart_key_is_visit_else_account_else_alternate_else_patient_and_day(
    segments: tuple[str, ...], key: str
) -> None:
    facts = read(*segments)
    assert facts.charts == (key,)
    assert {filed.topic for filed in facts.facts} == {key}


def test_namespace_of_the_feed_stands_before_the_chart_key() -> None:
    assert read(PID, PV1, rules=FeedRules(namespace="north:")).charts == ("north:HOSP/VN/V100",)
    assert read(PID, "PV1|1|E", rules=FeedRules(namespace="north:")).charts == ()


def test_message_without_a_chart_key_is_a_problem_and_files_nothing() -> None:
    facts = read(PID, "PV1|1|E")
    assert (facts.charts, facts.facts, rules_of(facts)) == ((), (), [("PID", "no_chart_key")])
    assert facts.problems[0].topic == ""


@pytest.mark.parametrize(
    ("evn", "at"),
    [
        ("EVN||202602010000-0600||||202602020000-0600", "2026-02-02T00:00:00-06:00"),
        ("EVN||202602010000-0600", "2026-02-01T00:00:00-06:00"),
        ("EVN|", "2026-03-01T12:00:00-06:00"),
    ],
)
def test_event_time_is_evn_6_else_evn_2_else_msh_7(evn: str, at: str) -> None:
    assert read(evn, PID, PV1).event_at == When(at)


# --- patient and visit ----------------------------------------------------------------------------


def test_patient_is_read_from_pid() -> None:
    assert only(PatientFact, read(PID, PV1)) == [
        PatientFact(
            Origin("m-1", "PID"),
            (Identifier("555", "1.2.3", "MR"), Identifier("9", "", "SS")),
            Name("Doe", ("Jane", "Q"), "Ms"),
            When("1980-01-02"),
            "female",
            Address(("1 Main St", "Apt 2"), "Peoria", "IL", "61602", "USA"),
            "555-0100",
        )
    ]


def test_code_without_a_row_stays_the_senders() -> None:
    assert only(PatientFact, read(PID, PV1, rules=FeedRules()))[0].sex == "F"


def test_time_of_birth_is_left_out_of_the_birth_date() -> None:
    assert only(PatientFact, read("PID|1||5||D^J||198001022359+0100", PV1))[0].birth_date == When("1980-01-02")


def test_old_identifiers_count_where_pid_3_is_empty() -> None:
    patient = only(PatientFact, read("PID|1|E1^^^AUTH||O2|Doe^J", PV1))[0]
    assert [identifier.value for identifier in patient.identifiers] == ["E1", "O2"]


def test_house_number_apart_from_the_street_is_put_before_it() -> None:
    apart = only(PatientFact, read("PID|1||5||D^J||||||12&Elm St^^Peoria", PV1))[0]
    spelt = only(PatientFact, read("PID|1||5||D^J||||||12 Elm St&Elm St&12^^Peoria", PV1))[0]
    assert apart.address == spelt.address == Address(("12 Elm St",), "Peoria")


def test_visit_is_read_from_pv1() -> None:
    [visit] = only(VisitFact, read(PID, PV1))
    assert (visit.number, visit.class_code, visit.admission_type, visit.admit_source, visit.location) == (
        Identifier("V100", "HOSP", "VN"),
        "EMER",
        "E",
        "7",
        "ED",
    )
    assert [(m.role, m.practitioner.npi if m.practitioner else "") for m in visit.care_team] == [
        ("attending", "1"),
        ("admitting", ""),
    ]
    assert visit.facility
    assert visit.facility.name == "FAC"


@pytest.mark.parametrize(
    ("kind", "discharge", "status"),
    [
        ("ADT^A01", "", "in-progress"),
        ("ADT^A08", "", ""),
        ("ADT^A12", "", ""),
        ("ADT^A08", "20260303", "finished"),
        ("ADT^A03", "", "finished"),
        ("ADT^A05", "", "planned"),
        ("ADT^A11", "", "cancelled"),
        ("ADT^A13", "20260303", "in-progress"),
        ("DFT^P03", "", ""),
        ("DFT^P03", "20260303", "finished"),
    ],
)
def test_status_follows_the_event_and_the_discharge_date(kind: str, discharge: str, status: str) -> None:
    pv1 = PV1 + "|" * 26 + discharge
    assert only(VisitFact, read(PID, pv1, kind=kind))[0].status == status


@pytest.mark.parametrize(("kind", "what"), [("ADT^A11", ["admit"]), ("ADT^A13", ["discharge"]), ("ADT^A12", [])])
def test_cancelled_events_are_facts(kind: str, what: list[str]) -> None:
    assert [fact.what for fact in only(CancelFact, read(PID, PV1, kind=kind))] == what


@pytest.mark.parametrize(
    ("kind", "billable"),
    [("BAR^P01", True), ("DFT^P03", True), ("VXU^V04", True), ("ADT^A03", None), ("BAR^P12", None)],
)
def test_accounts_and_charges_say_that_a_visit_may_be_billed(kind: str, billable: bool | None) -> None:
    assert only(VisitFact, read(PID, PV1, kind=kind))[0].billable is billable


def test_message_without_pv1_still_says_that_it_may_be_billed() -> None:
    [visit] = only(VisitFact, read(PID, "RXA|0|1|20260302||207^^CVX", kind="VXU^V04"))
    assert (visit.billable, visit.origin.path, visit.status) == (True, "MSH", "")


def test_repetitions_of_one_doctor_are_one_person_with_all_numbers() -> None:
    pv1 = "PV1|1|E|||||77^Able^Ann^^^^^^LOCAL~1^Able^Ann^^^^^^NPI~88^Other^Oz||||||||||||V1"
    [visit] = only(VisitFact, read(PID, pv1))
    people = [member.practitioner for member in visit.care_team if member.practitioner]
    assert [(p.name.family if p.name else "", p.npi) for p in people] == [("Able", "1"), ("Other", "")]


def test_bad_date_is_a_problem_with_its_place_and_without_its_value() -> None:
    facts = read(PID, PV1 + "|" * 25 + "yesterday")
    assert rules_of(facts) == [("PV1-44", "not_a_date")]
    assert facts.problems[0].topic == "HOSP/VN/V100"
    assert facts.problems[0].text.startswith("not_a_date: ")
    assert "yesterday" not in repr(facts.problems)


# --- diagnoses, procedures, vaccinations ----------------------------------------------------------


def test_diagnosis_has_code_kind_rank_and_present_on_admission() -> None:
    [fact] = only(DiagnosisFact, read(PID, PV1, "DG1|1||J189^Pneumonia^I10||20260301|F|||||||||1|||||||||||Y"))
    assert fact == DiagnosisFact(
        Origin("m-1", "DG1[1]"),
        f"{System.ICD10CM}|J18.9/F/2026-03-01",
        Concept((Coding(System.ICD10CM, "J18.9", "Pneumonia"),), "Pneumonia"),
        "final",
        1,
        When("2026-03-01"),
        "Y",
    )


def test_set_id_is_no_identity_of_a_diagnosis() -> None:
    first = only(DiagnosisFact, read(PID, PV1, "DG1|1||J18.9^^I10|||F"))[0]
    second = only(DiagnosisFact, read(PID, PV1, "DG1|1||I10^^I10|||F", "DG1|2||J18.9^^I10|||F"))[1]
    assert first.identity == second.identity


def test_diagnosis_identifier_and_deletion() -> None:
    [fact] = only(DiagnosisFact, read(PID, PV1, "DG1|1||J18.9^^I10|||F" + "|" * 14 + "D7^NS|D"))
    assert (fact.identity, fact.removed) == ("D7|NS", True)


@pytest.mark.parametrize(
    ("dg1", "concept"),
    [
        ("DG1|1|I9|486", Concept((Coding(System.ICD9CM, "486"),))),
        ("DG1|1|I9|22298006^MI^SCT", Concept((Coding(System.SNOMED, "22298006", "MI"),), "MI")),
        ("DG1|1||X1", Concept((Coding("", "X1"),))),
        ("DG1|1|||Chest pain & cough", Concept(text="Chest pain & cough")),
    ],
)
def test_old_ways_of_naming_a_diagnosis(dg1: str, concept: Concept) -> None:
    assert only(DiagnosisFact, read(PID, PV1, dg1))[0].concept == concept


@pytest.mark.parametrize(
    ("segment", "kind", "identity"),
    [
        ('DG1|1||""' + "|" * 17 + "D7^NS", DiagnosisFact, "D7|NS"),
        ("DG1|1" + "|" * 19 + "D7|D", DiagnosisFact, "D7"),
        ('PR1|1||""' + "|" * 16 + "P9", ProcedureFact, "P9"),
        ("PR1|1" + "|" * 18 + "P9^N|D", ProcedureFact, "P9|N"),
    ],
)
def test_part_whose_code_is_deleted_or_left_out_is_removed_by_its_identifier(
    segment: str, kind: type[DiagnosisFact | ProcedureFact], identity: str
) -> None:
    [fact] = only(kind, read(PID, PV1, segment))
    assert (fact.identity, fact.removed) == (identity, True)


@pytest.mark.parametrize("segment", ['PR1|1||""', "DG1|1" + "|" * 20 + "D", "DG1|1" + "|" * 19 + "D7|A"])
def test_removal_that_does_not_say_of_what_is_no_fact(segment: str) -> None:
    facts = read(PID, PV1, segment)
    assert only(DiagnosisFact, facts) == only(ProcedureFact, facts) == []


def test_insurance_taken_back_is_removed() -> None:
    [fact] = only(CoverageFact, read(PID, PV1, "IN1|1|P|C" + "|" * 52 + "D"))
    assert (fact.identity, fact.removed) == ("IN1/1", True)


@pytest.mark.parametrize(
    ("pid", "pv1", "of_patient", "of_visit"),
    [
        ("PID|1||5||D^J|||F", "PV1|1|E" + "|" * 17 + "V1", (), ()),
        ('PID|1||5||D^J||""|""|||""||""', "PV1|1|E" + "|" * 17 + "V1", ("birth_date", "sex", "address", "phone"), ()),
        ("PID|1||5||D^J|||F", 'PV1|1|""|""|||||||||||""|||||V1', (), ("class_code", "location", "admit_source")),
        ("PID|1||5||D^J", 'PV1|1|E|||||""||||||||||||V1', (), ("care_team",)),
        ("PID|1||5||D^J", 'PV1|1|E|||||""|7^Able^Ann|||||||||||V1', (), ()),
        ("PID|1||5||D^J", "PV1|1|E" + "|" * 17 + "V1" + "|" * 26 + '""', (), ("end",)),
        ('PID|1||5||""~D^J', "PV1|1|E" + "|" * 17 + "V1", (), ()),
    ],
)
def test_fields_sent_as_delete_are_cleared_and_empty_ones_are_not(
    pid: str, pv1: str, of_patient: tuple[str, ...], of_visit: tuple[str, ...]
) -> None:
    facts = read(pid, pv1)
    assert (only(PatientFact, facts)[0].cleared, only(VisitFact, facts)[0].cleared) == (of_patient, of_visit)


@pytest.mark.parametrize(
    ("segment", "identity"),
    [
        ("FT1|1|T7||20260301||CG|X1|||two", "T7"),
        ("DG1|1||J18.9^^I10||soon" + "|" * 15 + "D7^NS", "D7|NS"),
        ("PR1|1||G0463^^HCPCS||soon" + "|" * 14 + "P9", "P9"),
        ("FT1|1|||20260301||CG|X1|||two", ""),
    ],
)
def test_problem_of_a_part_has_the_identity_that_a_later_message_says_it_by(segment: str, identity: str) -> None:
    facts = read(PID, PV1 + "|" * 25 + "yesterday", segment, kind="DFT^P03")
    assert [(p.origin.path, p.identity) for p in facts.problems if p.origin.path == "PV1-44"] == [("PV1-44", "")]
    assert [p.identity for p in facts.problems if p.origin.path != "PV1-44"] == [identity]


def test_charge_said_anew_settles_its_problem() -> None:
    said = [f"FT1|1|T7||20260301||CG|X1|||{quantity}" for quantity in ("two", "2")]
    messages = [replace(read(PID, PV1, ft1, kind="DFT^P03"), message=f"m-{n}") for n, ft1 in enumerate(said)]
    assert [p.rule for p in fold_chart("HOSP/VN/V100", messages[:1]).problems] == ["not_a_number"]
    assert fold_chart("HOSP/VN/V100", messages).problems == ()


@pytest.mark.parametrize("dg1", ["DG1|1", 'DG1|1||""'])
def test_empty_or_deleted_diagnosis_code_is_no_fact(dg1: str) -> None:
    assert only(DiagnosisFact, read(PID, PV1, dg1)) == []


def test_diagnosis_named_only_by_a_charge_is_filed_once() -> None:
    ft1 = "FT1|{0}|T{0}||20260301||CG|RAD-CXR1||||||||||||J18.9^^I10~R05.9^^I10"
    facts = read(PID, PV1, ft1.format(1), ft1.format(2), "DG1|1||J18.9^^I10|||F", kind="DFT^P03")
    assert [(d.origin.path, d.concept.codings[0].code) for d in only(DiagnosisFact, facts)] == [
        ("DG1[1]", "J18.9"),
        ("FT1[1]-19[2]", "R05.9"),
    ]


def test_procedure_has_code_time_people_modifiers_and_reason() -> None:
    pr1 = "PR1|1||0DTJ4ZZ^Appendix^I10P||202603011000||||||5^Cutter^Cy||| 1 |K35.80^^I10|LT~59|||P9^N|D"
    [fact] = only(ProcedureFact, read(PID, PV1, pr1))
    assert (fact.identity, fact.removed, fact.rank) == ("P9|N", True, 1)
    assert fact.concept.codings == (Coding(System.ICD10PCS, "0DTJ4ZZ", "Appendix"),)
    assert fact.performed == When("2026-03-01T10:00:00-06:00")
    assert [modifier.code for modifier in fact.modifiers] == ["LT", "59"]
    assert [member.role for member in fact.care_team] == ["surgeon"]
    assert fact.reason_concepts[0].codings == (Coding(System.ICD10CM, "K35.80"),)


def test_same_procedure_twice_in_a_message_is_two() -> None:
    facts = only(ProcedureFact, read(PID, PV1, *["PR1|1||G0463^^HCPCS||20260301"] * 2))
    assert len({fact.identity for fact in facts}) == 2


RXA = "RXA|0|1|20260302||207^Covid^CVX^591^^NDC|0.5|||{notes}|7^Nurse^Nan|||||LOT1|||||{status}|{action}"


def test_vaccination_given_is_identified_by_its_order() -> None:
    [fact] = only(
        ImmunizationFact, read(PID, "ORC|RE||F77^LAB", RXA.format(notes="00^^NIP001", status="CP", action="A"))
    )
    assert (fact.identity, fact.lot, fact.given, fact.removed) == ("F77|LAB", "LOT1", When("2026-03-02"), False)
    assert [coding.system for coding in fact.concept.codings] == [System.CVX, System.NDC]
    assert fact.care_team[0].role == "rendering"


@pytest.mark.parametrize(("notes", "status"), [("01^Historical^NIP001", "CP"), ("", "RE"), ("", "NA")])
def test_vaccination_refused_or_only_told_of_is_no_fact(notes: str, status: str) -> None:
    assert only(ImmunizationFact, read(PID, RXA.format(notes=notes, status=status, action=""))) == []


def test_no_vaccine_administered_is_no_fact() -> None:
    assert only(ImmunizationFact, read(PID, "RXA|0|1|20260302||998^No vaccine^CVX")) == []


def test_vaccination_taken_back_is_removed() -> None:
    assert only(ImmunizationFact, read(PID, RXA.format(notes="", status="", action="D")))[0].removed


# --- charges --------------------------------------------------------------------------------------


def test_charge_is_read_from_ft1() -> None:
    ft1 = (
        "FT1|1|T1||20260301^20260302||CG|RAD-CXR1^Chest^L|||2|100.50&USD|50.25|RAD|||XRAY^1|||J18.9^^I10|"
        "1^Ray^Ra^^^^^^NPI|3^Or^Der||||G0463^Visit^HCPCS|LT~25|||0001-0002-03"
    )
    [fact] = charges(ft1)
    assert fact == ChargeFact(
        origin=Origin("m-1", "FT1[1]"),
        identity="T1",
        concept=Concept((Coding(System.HCPCS, "G0463", "Visit"),), "Visit"),
        item=Concept((Coding(System.LOCAL, "RAD-CXR1", "Chest"),), "Chest"),
        service_date=When("2026-03-01"),
        quantity=Decimal(2),
        unit_amount=Money(Decimal("50.25"), "USD"),
        amount=Money(Decimal("100.50"), "USD"),
        modifiers=(Coding("", "LT"), Coding("", "25")),
        diagnoses=(Concept((Coding(System.ICD10CM, "J18.9"),)),),
        care_team=fact.care_team,
        location="XRAY",
        department="RAD",
        ndc="0001-0002-03",
    )
    assert [member.role for member in fact.care_team] == ["rendering", "ordering"]


def test_default_system_of_a_field_goes_before_that_of_its_segment() -> None:
    rules = FeedRules(default_systems={"FT1": System.LOCAL, "FT1-25": System.HCPCS})
    facts = read(PID, PV1, "FT1|1|T1||20260301||CG|X1" + "|" * 18 + "g0463", kind="DFT^P03", rules=rules)
    [fact] = only(ChargeFact, facts)
    assert fact.concept.codings[0] == Coding(System.HCPCS, "G0463")
    assert fact.item
    assert fact.item.codings[0].system == System.LOCAL


@pytest.mark.parametrize(
    ("field", "money"),
    [
        ("100", Money(Decimal(100), "USD")),
        ("100.10&EUR^UP", Money(Decimal("100.10"), "EUR")),
        ("100^EUR", Money(Decimal(100), "EUR")),
        ("-5.00", Money(Decimal("-5.00"), "USD")),
        ("", None),
    ],
)
def test_amounts_keep_their_decimals_and_currency(field: str, money: Money | None) -> None:
    assert charges(f"FT1|1|T1||20260301||CG|X1||||{field}")[0].amount == money


@pytest.mark.parametrize(
    ("ft1", "path", "rule"),
    [
        ("FT1|1|T1||20260301||CG|X1|||two", "FT1[1]-10", "not_a_number"),
        ("FT1|1|T1||20260301||CG|X1|||NaN", "FT1[1]-10", "not_a_number"),
        ("FT1|1|T1||20260301||CG|X1|||1|$100", "FT1[1]-11", "not_a_number"),
        ("FT1|1|T1||20260301||CG|X1|||1|100&DOLLAR", "FT1[1]-11", "not_a_currency"),
        ("FT1|1|T1||20260301||QQ|X1", "FT1[1]-6", "unknown_transaction_type"),
    ],
)
def test_charge_that_cannot_be_read_is_left_out_and_noted(ft1: str, path: str, rule: str) -> None:
    facts = read(PID, PV1, ft1, kind="DFT^P03")
    assert (only(ChargeFact, facts), rules_of(facts)) == ([], [(path, rule)])


def test_payments_are_no_charges() -> None:
    assert charges("FT1|1|T1||20260301||PY|CASH") == []


def test_co_payments_are_what_the_patient_has_paid() -> None:
    [fact] = charges("FT1|1|T1||20260301||CO|||||-20.00&USD")

    assert (fact.kind, fact.amount) == ("CO", Money(Decimal("-20.00"), "USD"))


def test_what_hl7_2_8_says_of_a_charge_is_read() -> None:
    fields = {29: "9999-0123-01^^NDC", 38: "REF-1^^^CLINIC", 39: "AUTH-1^^^PAYER", 41: "0450^^HL70456", 43: "1.5^ML"}
    later = (fields.get(n, "") for n in range(8, 44))
    [fact] = charges("|".join(["FT1|1|T1||20260301||CG|J1885^^HCPCS", *later]))

    assert (fact.referral, fact.authorization, fact.revenue_code) == ("REF-1", "AUTH-1", "0450")
    assert (fact.ndc, fact.drug_quantity, fact.drug_unit) == ("9999-0123-01", Decimal("1.5"), "ML")


def test_charges_without_id_are_told_apart_and_found_again() -> None:
    line = "FT1|1|||20260301||CG|X1|||1|10.00"
    first, again = charges(line, line), charges(line, line)
    assert len({fact.identity for fact in first}) == 2
    assert [fact.identity for fact in first] == [fact.identity for fact in again]


def test_credit_names_what_it_reverses() -> None:
    charge = "FT1|5|T1||20260301||CG|X1|||1|10"
    by_id = charges(charge, "FT1|6|T2||20260301||CR|X1|||1|10" + "|" * 20 + "T1")
    by_set = charges(charge, "FT1|6|T2||20260301||CR|X1|||1|10" + "|" * 20 + "5")
    assert [fact[1].reverses for fact in (by_id, by_set)] == ["T1", "T1"]


def test_credit_without_any_id_has_the_identity_of_the_charge_that_looks_like_it() -> None:
    [charge] = charges("FT1|1|||20260301||CG|X1|||1|10.00")
    [credit] = charges("FT1|1|||20260301||CD|X1|||-1|-10")
    assert (credit.kind, credit.reverses, credit.identity) == ("CR", "", charge.identity)


# --- persons in segments of their own ------------------------------------------------------------


def roles(team: tuple[CareTeamMember, ...]) -> list[tuple[str, str]]:
    return [(m.role, m.practitioner.name.family if m.practitioner and m.practitioner.name else "") for m in team]


def test_rol_and_prt_after_the_patient_and_the_visit_name_its_doctors() -> None:
    facts = read(
        PID,
        "ROL|1|AD|PP^Primary^HL70443|31^Prim^Pat",
        PV1,
        "PV2||",
        "PRT|1|AD||RP^Referring^HL70912|32^Ref^Ray",
        "ROL|2|AD|AT|1^Able^Ann^^^^^^&2.16.840.1.113883.4.6&ISO",
        "ROL|3|DE|CP|33^Gone^Gus",
        "ROL|4|AD|XX|34^Other^Olly",
        "DG1|1||J18.9^^I10",
        "ROL|5|AD|RP|35^Far^Fay",
    )
    [visit] = only(VisitFact, facts)
    assert roles(visit.care_team) == [
        ("attending", "Able"),
        ("admitting", "Baker"),
        ("primary", "Prim"),
        ("referring", "Ref"),
    ]


def test_persons_after_a_procedure_or_a_charge_belong_to_it() -> None:
    facts = read(
        PID,
        PV1,
        "PR1|1||G0463^^HCPCS||20260301||||||9^Cut^Cy",
        "ROL|1|AD|AP|41^Helper^Hal",
        "PR1|2||G0438^^HCPCS||20260301",
        "FT1|1|T1||20260301||CG|X1",
        "NTE|1||a note",
        "PRT|1|AD||OP|42^Order^Ola",
        kind="DFT^P03",
    )
    procedures, [charge] = only(ProcedureFact, facts), only(ChargeFact, facts)
    assert [roles(p.care_team) for p in procedures] == [[("surgeon", "Cut"), ("rendering", "Helper")], []]
    assert roles(charge.care_team) == [("ordering", "Order")]


# --- orders and results --------------------------------------------------------------------------

ORDERS = FeedRules(bill=frozenset({"ORU^R01", "OML^*"}))
OBR = "OBR|1|P1|F1^LAB|{code}|||20260302101500|||||||||16^Order^Ola|||||||||{status}" + "|" * 6 + "R05^^I10"


@pytest.mark.parametrize(
    ("status", "kinds"), [("F", [False]), ("C", [False]), ("X", [True]), ("P", []), ("", []), ("I", [])]
)
def test_a_final_result_is_a_procedure_and_a_cancelled_one_takes_it_back(status: str, kinds: list[bool]) -> None:
    facts = read(PID, PV1, OBR.format(code="24331-1^Lipids^LN", status=status), kind="ORU^R01", rules=ORDERS)
    assert [fact.removed for fact in only(ProcedureFact, facts)] == kinds


def test_a_result_has_the_service_its_day_its_orderer_and_its_reason() -> None:
    facts = read(PID, PV1, OBR.format(code="24331-1^Lipids^LN", status="F"), kind="OML^O21", rules=ORDERS)
    [fact] = only(ProcedureFact, facts)
    assert fact.concept.codings == (Coding(System.LOINC, "24331-1", "Lipids"),)
    assert (fact.performed or When("")).text.startswith("2026-03-02T10:15:00")
    assert (roles(fact.care_team), fact.reason_concepts[0].codings[0].code) == ([("ordering", "Order")], "R05")
    assert fact.identity == f"OBR/F1|LAB/{System.LOINC}|24331-1"
    assert only(VisitFact, facts)[0].billable is True


def test_orders_inside_a_charge_message_are_no_second_procedure() -> None:
    facts = read(PID, PV1, OBR.format(code="24331-1^Lipids^LN", status="F"), kind="DFT^P03", rules=ORDERS)
    assert only(ProcedureFact, facts) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ORU^R01", "unless the feed's rules list"),
        ("ADT^A46", "a number by which no visit is known"),
        ("ADT^A17", "two patients swap beds"),
        ("ADT^A29", "a person is deleted at the sender"),
        ("BAR^P02", "purged"),
        ("SIU^S12", "a type that bills nothing"),
    ],
)
def test_a_type_that_is_ignored_says_why(kind: str, reason: str) -> None:
    assert reason in why_ignored(kind)


def test_a_feed_may_bill_and_ignore_types_but_never_changes_of_numbers_that_name_no_visit() -> None:
    rules = FeedRules(bill=frozenset({"ORU^R01", "OML^*", "ADT^*"}), ignore=frozenset({"DFT^P11", "BAR^*"}))
    billed = {k for k in ("ORU^R01", "ORU^R03", "OML^O21", "ADT^Z01", "ADT^A46", "DFT^P03") if is_billed(k, rules)}
    assert billed == {"ORU^R01", "OML^O21", "ADT^Z01", "DFT^P03"}
    assert [why_ignored(k, rules) for k in ("DFT^P11", "BAR^P01")] == ["a type that the feed's rules ignore"] * 2


# --- coverage -------------------------------------------------------------------------------------


def test_coverage_is_read_from_in1_and_in2() -> None:
    in1 = "IN1|1|PPO1^Plan|PAY9^^^NAIC|Blue & Co||||GRP7||||20260101|20261231|AUTH5||Doe^John|SEL|||||2"
    first, second = only(
        CoverageFact, read(PID, PV1, in1, "IN2|1" + "|" * 60 + "M77", "IN1|2|B^|P2|Other||||||" + "|" * 26 + "POL2")
    )
    assert (first.order, first.identity, first.plan, first.group, first.relationship) == (
        2,
        "IN1/2",
        "PPO1",
        "GRP7",
        "self",
    )
    assert first.payer
    assert (first.payer.name, first.payer.identifiers) == ("Blue & Co", (Identifier("PAY9", "NAIC"),))
    assert (first.start, first.end, first.prior_authorization) == (When("2026-01-01"), When("2026-12-31"), "AUTH5")
    assert (first.subscriber, first.subscriber_id) == (Name("Doe", ("John",)), "M77")
    assert (second.order, second.subscriber_id) == (2, "POL2")
    assert first.identity != second.identity


def test_member_number_and_authorisation_may_stand_in_in2_and_in3() -> None:
    first, second = only(
        CoverageFact,
        read(PID, PV1, "IN1|1|A", "IN2|1|||||MCARE7", "IN3|1|CERT9^^^PAY", "IN1|2|B" + "|" * 12 + "AUTH", "IN3|1|C"),
    )
    assert (first.subscriber_id, first.prior_authorization) == ("MCARE7", "CERT9")
    assert (second.subscriber_id, second.prior_authorization) == ("", "AUTH")


@pytest.mark.parametrize(
    ("number", "certified", "days"),
    [
        ("AUTH", "AUTH", ("2026-11-01", "2026-11-30")),
        ("AUTH", "", ("2026-11-01", "2026-11-30")),
        ("", "AUTH", ("2026-11-01", "2026-11-30")),
        ("AUTH", "OTHER", None),
    ],
)
def test_the_days_of_an_authorisation_are_read_unless_they_are_those_of_another(
    number: str, certified: str, days: tuple[str, str] | None
) -> None:
    in1, in3 = "IN1|1|A" + "|" * 12 + number, f"IN3|1|{certified}|||||||20261101|20261130"
    [fact] = only(CoverageFact, read(PID, PV1, in1, in3))
    assert fact.prior_authorization == "AUTH"
    assert (fact.authorized_from, fact.authorized_to) == (tuple(map(When, days)) if days else (None, None))


@pytest.mark.parametrize(("cob", "set_id", "order"), [("2", "1", 2), ("S", "1", 2), ("", "3", 3), ("x", "", 1)])
def test_order_of_benefits_is_the_priority_else_the_set_id(cob: str, set_id: str, order: int) -> None:
    in1 = f"IN1|{set_id}|P" + "|" * 20 + cob
    assert only(CoverageFact, read(PID, PV1, in1))[0].order == order


def test_guarantor_is_read_from_gt1() -> None:
    [fact] = only(GuarantorFact, read(PID, PV1, "GT1|1|G5^^^A|Doe^John||1 Main^^Peoria||||||SEL"))
    assert (fact.identity, fact.name, fact.relationship) == ("GT1/G5", Name("Doe", ("John",)), "self")


# --- whatever comes -------------------------------------------------------------------------------

SEGMENT_NAMES = st.sampled_from(
    ["PID", "PV1", "DG1", "PR1", "FT1", "RXA", "ORC", "OBR", "ROL", "PRT", "IN1", "IN2", "IN3", "GT1", "EVN", "ZZZ"]
)
FIELDS = st.lists(st.text(alphabet='0129AC^~&\\"X.-I', max_size=12), max_size=32)


@given(st.lists(st.tuples(SEGMENT_NAMES, FIELDS), max_size=5))
def test_odd_fields_never_break_the_reading(segments: list[tuple[str, list[str]]]) -> None:
    read(PV1, *(f"{name}|{'|'.join(fields)}" for name, fields in segments), kind="DFT^P03")


@given(st.binary(max_size=80))
def test_odd_bytes_give_facts_or_unreadable(tail: bytes) -> None:
    body = b"MSH|^~\\&|A|B|||2026||ADT^A08|1|P|2.5\rPV1|" + tail
    with contextlib.suppress(UnreadableError):
        facts_from_message(Message("m", body, read_header(body)))


@pytest.mark.skipif(not TRIALS.is_dir(), reason="the sample messages are not here")
def test_sample_charge_message_is_read_whole() -> None:
    body = (TRIALS / "DFT-P03-01.hl7").read_bytes()
    facts = facts_from_message(Message("m", body, read_header(body)))
    kinds = [type(filed.fact).__name__ for filed in facts.facts]
    assert (kinds.count("ChargeFact"), kinds.count("DiagnosisFact"), kinds.count("CoverageFact")) == (2, 2, 1)
    assert (facts.problems, facts.charts) == ((), ("AccMng/VN/40007716",))
    people = [member.practitioner for member in only(ChargeFact, facts)[0].care_team]
    assert [person.npi for person in people if person] == ["9941339108"]
