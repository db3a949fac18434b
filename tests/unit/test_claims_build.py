"""Coded charts to Claims: where every datum goes, exact money, and what a payer's model and our own checks say."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.claim import Claim
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.claims import content_hash, to_bytes
from fhir_coder.claims.bill import ClaimNumber
from fhir_coder.claims.build import build_claim
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import (
    Address,
    CareTeamMember,
    Chart,
    Coding,
    Identifier,
    Json,
    Kind,
    Organization,
    Practitioner,
    Site,
    System,
    When,
)
from fhir_coder.terminology.table import Brings
from tests.building import (
    DAY,
    GOOD_NPI,
    NUMBER,
    OTHER_NPI,
    PAYER,
    SITE,
    built,
    charge,
    chart_of,
    coded,
    coded_chart,
    coverage,
    diagnosis,
    doctor,
    good_chart,
    icd,
    member,
    money,
    patient,
    procedure,
    row,
    sct,
    stay,
    table,
    vaccination,
    visit,
)

PCS = coded(System.ICD10PCS, "0DTJ4ZZ")
FEES = table(Kind.FEE, System.HCPCS, row("J1885", f"{System.HCPCS}|J1885", "2.25"))
J1885 = table(Kind.PROCEDURE, System.SNOMED, row("1", f"{System.HCPCS}|J1885"), id="procedures")

INPATIENT = chart_of(
    patient(),
    stay(admission_type="1", admit_source="7", discharge_disposition="01", care_team=(member("attending"),)),
    diagnosis("I21.4", kind="final", rank=1, on_admission="Y"),
    diagnosis("E11.9", kind="final", rank=2, on_admission="1"),
    diagnosis("R07.9", kind="admitting"),
    procedure(PCS, care_team=(member("surgeon", OTHER_NPI, "Lake"),)),
    charge(amount=money("5000.00")),
    coverage(prior_authorization="AUTH-1"),
    coverage("IN1/2", order=2, payer=Organization("Second Payer")),
)

CHARTS: dict[str, Chart] = {
    "office visit": good_chart(),
    "inpatient stay": INPATIENT,
    "emergency": good_chart(visit(class_code="EMER")),
    "no patient": chart_of(visit(), diagnosis(), charge(), coverage()),
    "no coverage": chart_of(patient(), visit(), diagnosis(), charge()),
    "no lines": chart_of(patient(), visit(), diagnosis(), coverage()),
    "no diagnosis": chart_of(patient(), visit(), charge(), coverage()),
    "no amounts": good_chart(charge(amount=None)),
    "no visit": chart_of(patient(), diagnosis(), charge(), coverage()),
    "nothing": chart_of(),
    "bare coverage": good_chart(coverage(payer=None, subscriber_id="", relationship="")),
    "patient without data": good_chart(replace(patient(), identifiers=(), name=None, birth_date=None, sex="")),
    "partial dates": good_chart(visit(start=When("2026-11"), end=None), charge(service_date=When("2026-11"))),
    "procedure line": chart_of(patient(), visit(), diagnosis(), procedure(sct("1")), coverage()),
}


def claim_of(chart: Chart, **how: Any) -> Json:
    return built(chart, FEES, J1885, **how).claim


def on_the_wire(claim: Json) -> Json:
    """The claim as a payer reads it."""
    read: Json = json.loads(to_bytes(claim), parse_float=Decimal)
    return read


def contained(claim: Json, reference: Json) -> Json:
    (found,) = [r for r in claim["contained"] if f"#{r['id']}" == reference["reference"]]
    return dict(found)


def code_of(concept: Json) -> str:
    return str(concept["coding"][0]["code"])


def info(claim: Json) -> dict[str, Json]:
    return {code_of(entry["category"]): entry for entry in claim.get("supportingInfo", ())}


# --- every claim


@pytest.mark.parametrize("name", CHARTS)
def test_every_claim_fits_the_r4_model_however_little_is_known(name: str) -> None:
    claim = on_the_wire(claim_of(CHARTS[name]))

    assert Claim.model_validate(claim).status == "active"


@pytest.mark.parametrize("name", CHARTS)
def test_no_claim_we_build_has_a_fault_of_structure(name: str) -> None:
    claim = claim_of(CHARTS[name])

    assert structure_findings(claim) == []
    assert structure_findings(on_the_wire(claim)) == []


@pytest.mark.parametrize("name", CHARTS)
def test_every_sequence_counts_from_one_and_every_trace_points_to_its_element(name: str) -> None:
    result = built(CHARTS[name], FEES, J1885)

    for part in ("careTeam", "supportingInfo", "diagnosis", "procedure", "insurance", "item"):
        entries = result.claim.get(part, [])
        assert [e["sequence"] for e in entries] == list(range(1, len(entries) + 1)), part
    for trace in result.traces:
        part, _, index = trace.path.removeprefix("Claim.").rstrip("]").partition("[")
        entry = result.claim[part][int(index)]
        names = ("diagnosisCodeableConcept", "procedureCodeableConcept", "productOrService")
        coding = next(entry[n] for n in names if n in entry)["coding"][0]
        assert (coding["system"], coding["code"]) == (trace.system, trace.code)


@pytest.mark.parametrize("name", CHARTS)
def test_every_code_on_a_claim_has_a_trace(name: str) -> None:
    result = built(CHARTS[name], FEES, J1885)
    coded_entries = {
        f"Claim.{part}[{i}]"
        for part in ("diagnosis", "procedure", "item")
        for i in range(len(result.claim.get(part, [])))
    }

    assert {t.path for t in result.traces} == coded_entries


def test_a_claim_says_what_it_is_whose_it_is_and_when_it_was_made() -> None:
    claim = claim_of(good_chart(), number=ClaimNumber("CLM-7", 1))

    assert claim["identifier"] == [{"system": "https://clinic.example/claims", "value": "CLM-7"}]
    assert (claim["status"], claim["use"], claim["created"]) == ("active", "claim", "2026-11-03")
    assert code_of(claim["priority"]) == "normal"
    assert "related" not in claim


def test_a_replacement_names_the_claim_it_replaces_as_prior() -> None:
    claim = claim_of(good_chart(), number=ClaimNumber("CLM-1-2", 2, replaces="CLM-1-1"))

    (related,) = claim["related"]
    assert related["claim"]["identifier"] == {"system": "https://clinic.example/claims", "value": "CLM-1-1"}
    assert code_of(related["relationship"]) == "prior"


# --- type, place, dates


@pytest.mark.parametrize(
    ("visit_class", "kind", "place"),
    [
        ("AMB", "professional", None),
        ("EMER", "institutional", "23"),
        ("IMP", "institutional", "21"),
        ("OBSENC", "institutional", "22"),
        ("HH", "professional", "12"),
        ("VR", "professional", "02"),
        ("", "professional", None),
        ("OTHER", "professional", None),
    ],
)
def test_the_class_of_the_visit_gives_the_claims_type_and_place(visit_class: str, kind: str, place: str | None) -> None:
    claim = claim_of(good_chart(visit(class_code=visit_class)))
    location = claim["item"][0].get("locationCodeableConcept")

    assert code_of(claim["type"]) == kind
    assert (code_of(location) if location else None) == place


def test_the_sites_settings_go_before_the_rules_of_class() -> None:
    site = replace(SITE, claim_types={"EMER": "professional"}, place_of_service={"EMER": "20"})
    claim = claim_of(good_chart(visit(class_code="EMER")), site=site)

    assert (code_of(claim["type"]), code_of(claim["item"][0]["locationCodeableConcept"])) == ("professional", "20")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((visit(),), {"start": "2026-11-03", "end": "2026-11-03"}),
        ((stay(),), {"start": "2026-11-01", "end": "2026-11-03"}),
        ((visit(end=None), charge(service_date=When("2026-11-05"))), {"start": "2026-11-03", "end": "2026-11-05"}),
        (
            (visit(start=None, end=None), charge(service_date=When("2026-11-05"))),
            {"start": "2026-11-05", "end": "2026-11-05"},
        ),
    ],
    ids=["visit", "stay", "open end", "lines only"],
)
def test_the_billable_period_is_the_visits_else_that_of_its_lines(facts: tuple[Any, ...], expected: Json) -> None:
    assert claim_of(good_chart(*facts))["billablePeriod"] == expected


def test_a_line_is_dated_to_the_day_at_the_place_of_service() -> None:
    late = charge(service_date=When("2026-11-03T23:30:00-06:00"))

    assert claim_of(good_chart(late))["item"][0]["servicedDate"] == "2026-11-03"


# --- diagnoses and procedures


def test_diagnoses_of_a_stay_are_typed_and_say_what_was_present_on_admission() -> None:
    diagnoses = claim_of(INPATIENT)["diagnosis"]

    assert [code_of(d["diagnosisCodeableConcept"]) for d in diagnoses] == ["I21.4", "E11.9", "R07.9"]
    assert [[code_of(t) for t in d.get("type", ())] for d in diagnoses] == [["principal"], ["other"], ["admitting"]]
    assert [code_of(d["onAdmission"]) if "onAdmission" in d else None for d in diagnoses] == ["y", "1", None]


@pytest.mark.parametrize(("said", "expected"), [("Y", "y"), ("N", "n"), ("U", "u"), ("W", "w"), ("1", "1"), ("", None)])
def test_present_on_admission_has_a_code_for_each_answer(said: str, expected: str | None) -> None:
    chart = good_chart(stay(), diagnosis(kind="final", on_admission=said))

    (one,) = claim_of(chart)["diagnosis"]

    assert (code_of(one["onAdmission"]) if "onAdmission" in one else None) == expected


def test_nobody_is_admitted_to_an_outpatient_visit() -> None:
    chart = good_chart(visit(), diagnosis("R05.9", kind="admitting", on_admission="Y"))

    (one,) = claim_of(chart)["diagnosis"]

    assert [code_of(t) for t in one["type"]] == ["principal"]
    assert "onAdmission" not in one


def test_a_procedure_stands_with_its_date_and_its_surgeon_is_on_the_care_team() -> None:
    claim = claim_of(INPATIENT)

    (done,) = claim["procedure"]
    assert (code_of(done["procedureCodeableConcept"]), done["date"]) == ("0DTJ4ZZ", "2026-11-03")
    assert "Lake" in [contained(claim, m["provider"])["name"][0]["family"] for m in claim["careTeam"]]


def test_a_line_points_to_its_diagnoses_and_procedures_by_sequence() -> None:
    chart = good_chart(
        stay(), diagnosis(), diagnosis("E11.9"), charge(PCS, diagnoses=(icd("E11.9"), icd("I10"))), procedure(PCS)
    )

    (item,) = claim_of(chart)["item"]

    assert (item["diagnosisSequence"], item["procedureSequence"]) == ([2, 1], [1])


# --- revenue codes


def test_only_institutional_lines_carry_the_revenue_code_of_their_row() -> None:
    row_of_ed = row("ED-3", f"{System.HCPCS}|G0463", brings=Brings(revenue_code="0450"))
    charges = table(Kind.CHARGE, System.LOCAL, row_of_ed)
    local = charge(coded(System.LOCAL, "ED-3"))

    (emergency,) = built(good_chart(visit(class_code="EMER"), local), charges).claim["item"]
    (office,) = built(good_chart(local), charges).claim["item"]

    assert emergency["revenue"]["coding"] == [
        {"system": "https://www.nubc.org/CodeSystem/RevenueCodes", "code": "0450"}
    ]
    assert "revenue" not in office


# --- modifiers


def test_a_modifier_that_names_no_system_is_cpts_where_a_digit_leads_it() -> None:
    sent = (Coding("", "00"), Coding("", "0Z"), Coding("", "RT"), Coding("", "E1"), Coding("urn:other", "Q1"))

    (item,) = claim_of(good_chart(charge(modifiers=sent)))["item"]

    assert [(m["coding"][0]["system"], m["coding"][0]["code"]) for m in item["modifier"]] == [
        (System.CPT, "00"),
        (System.CPT, "0Z"),
        (System.HCPCS, "RT"),
        (System.HCPCS, "E1"),
        ("urn:other", "Q1"),
    ]


# --- supporting info


def test_a_stay_tells_its_admission_in_numbered_supporting_info() -> None:
    found = info(claim_of(INPATIENT))

    assert list(found) == ["admissionperiod", "typeofbill", "admtype", "pointoforigin", "discharge-status"]
    assert found["admissionperiod"]["timingPeriod"] == {
        "start": "2026-11-01T09:00:00-06:00",
        "end": "2026-11-03T10:00:00-06:00",
    }
    nubc = "https://www.nubc.org/CodeSystem/"
    coded_info = {
        k: (v["code"]["coding"][0]["system"].removeprefix(nubc), code_of(v["code"])) for k, v in list(found.items())[1:]
    }
    assert coded_info == {
        "typeofbill": ("TypeOfBill", "0111"),
        "admtype": ("PriorityTypeOfAdmitOrVisit", "1"),
        "pointoforigin": ("PointOfOrigin", "7"),
        "discharge-status": ("PatDischargeStatus", "01"),
    }


def test_a_professional_claim_has_no_supporting_info_of_an_admission() -> None:
    assert info(claim_of(good_chart(visit(admission_type="1", discharge_disposition="01")))) == {}


# --- parties


def test_the_patient_is_contained_with_what_is_known() -> None:
    claim = claim_of(good_chart(patient(address=Address(("1 Road",), "Town", "IL", "60000", "US"))))

    found = contained(claim, claim["patient"])
    assert found["identifier"] == [
        {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]},
            "system": "urn:oid:1.2.3",
            "value": "PAT-1",
        }
    ]
    assert (found["gender"], found["birthDate"], found["name"]) == (
        "female",
        "1980-02-29",
        [{"family": "Testcase", "given": ["Tess"]}],
    )
    assert found["address"] == [
        {"line": ["1 Road"], "city": "Town", "state": "IL", "postalCode": "60000", "country": "US"}
    ]


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("2.16.840.1.113883.19", {"system": "urn:oid:2.16.840.1.113883.19"}),
        ("https://clinic.example/mrn", {"system": "https://clinic.example/mrn"}),
        ("CLINIC", {"assigner": {"display": "CLINIC"}}),
        ("", {}),
    ],
)
def test_an_identifiers_system_is_a_uri_and_any_other_name_is_told_as_its_assigner(system: str, expected: Json) -> None:
    claim = claim_of(good_chart(patient(identifiers=(Identifier("PAT-1", system),))))

    assert contained(claim, claim["patient"])["identifier"] == [{"value": "PAT-1"} | expected]


def test_the_site_bills_where_it_is_configured() -> None:
    claim = claim_of(good_chart())

    found = contained(claim, claim["provider"])
    assert (found["resourceType"], found["name"]) == ("Organization", "Test Clinic")
    assert [(i["system"], i["value"]) for i in found["identifier"]] == [
        (System.NPI, GOOD_NPI),
        ("urn:oid:2.16.840.1.113883.4.4", "00-0000000"),
    ]


def test_without_a_configured_site_the_doctor_with_an_npi_bills_else_the_facility() -> None:
    nobody = Site()
    facility = Organization("Clinic of the feed")

    by_doctor = claim_of(good_chart(charge(care_team=(member(npi=OTHER_NPI),))), site=nobody)
    by_facility = claim_of(good_chart(visit(facility=facility)), site=nobody)
    by_none = claim_of(good_chart(visit()), site=nobody)

    assert contained(by_doctor, by_doctor["provider"])["identifier"][0]["value"] == OTHER_NPI
    assert contained(by_facility, by_facility["provider"])["name"] == "Clinic of the feed"
    assert by_none["provider"] == {"display": "not stated"}


def test_the_insurer_has_the_settings_title_and_identifier_before_the_coverages() -> None:
    configured = replace(PAYER, title="Lakeshore", identifier="60054")

    named, unnamed = claim_of(good_chart(), payer=configured), claim_of(good_chart(), payer=None)

    assert contained(named, named["insurer"]) == {
        "resourceType": "Organization",
        "id": "insurer",
        "identifier": [{"value": "60054"}],
        "name": "Lakeshore",
    }
    assert contained(unnamed, unnamed["insurer"])["name"] == "Lakeshore PPO"


def test_coverages_stand_in_their_order_the_first_is_focal_and_carries_its_authorisation() -> None:
    claim = claim_of(INPATIENT)

    assert [(i["sequence"], i["focal"], i.get("preAuthRef")) for i in claim["insurance"]] == [
        (1, True, ["AUTH-1"]),
        (2, False, None),
    ]
    first, second = (contained(claim, i["coverage"]) for i in claim["insurance"])
    assert first["payor"] == [claim["insurer"]]
    assert contained(claim, second["payor"][0])["name"] == "Second Payer"
    assert (first["order"], second["order"]) == (1, 2)


def test_a_coverage_tells_member_group_plan_relationship_and_period() -> None:
    chart = good_chart(
        coverage(plan="PPO1", group="G-9", relationship="child", start=When("2026-01-01"), end=When("2026-12"))
    )
    claim = claim_of(chart)

    found = contained(claim, claim["insurance"][0]["coverage"])
    assert (found["subscriberId"], found["status"], found["beneficiary"]) == ("MEM-1", "active", claim["patient"])
    assert code_of(found["relationship"]) == "child"
    assert found["period"] == {"start": "2026-01-01", "end": "2026-12"}
    assert [(code_of(c["type"]), c["value"]) for c in found["class"]] == [("group", "G-9"), ("plan", "PPO1")]


# --- care team


def test_people_stand_once_on_the_care_team_and_lines_point_to_them() -> None:
    team = (member(), member("ordering", OTHER_NPI, "Lake"))
    chart = good_chart(visit(), charge("G0463", "A", care_team=team), charge("J1885", "B", care_team=team[:1]))

    claim = claim_of(chart)

    assert [(m["sequence"], code_of(m["role"]), m["role"]["text"]) for m in claim["careTeam"]] == [
        (1, "primary", "rendering"),
        (2, "other", "ordering"),
    ]
    assert [i["careTeamSequence"] for i in claim["item"]] == [[1, 2], [1]]
    assert [r["resourceType"] for r in claim["contained"]].count("Practitioner") == 2


def test_a_line_without_people_of_its_own_points_to_those_of_the_visit() -> None:
    chart = good_chart(visit(care_team=(member("attending"),)), charge())

    claim = claim_of(chart)

    assert claim["item"][0]["careTeamSequence"] == [1]


def test_a_doctors_taxonomy_is_the_qualification() -> None:
    seen_by = CareTeamMember("rendering", doctor(taxonomy="207Q00000X"))

    (entry,) = claim_of(good_chart(visit(), charge(care_team=(seen_by,))))["careTeam"]

    assert entry["qualification"]["coding"][0] == {"system": "http://nucc.org/provider-taxonomy", "code": "207Q00000X"}


def test_someone_who_is_only_referred_to_and_never_came_is_not_on_the_claim() -> None:
    ghost = CareTeamMember("attending", ref="Practitioner/404")

    assert "careTeam" not in claim_of(good_chart(visit(care_team=(ghost,))))


def test_a_practitioner_without_any_data_still_makes_a_claim_of_sound_structure() -> None:
    claim = claim_of(good_chart(visit(care_team=(CareTeamMember("attending", Practitioner()),))))

    assert structure_findings(claim) == []


# --- money


def test_money_keeps_its_decimals_on_the_wire() -> None:
    body = to_bytes(claim_of(good_chart(charge(amount=money("336.50")))))

    assert b'"net":{"value":336.50,"currency":"USD"}' in body
    assert b'"total":{"value":336.50,"currency":"USD"}' in body
    assert b'"unitPrice":{"value":336.50,"currency":"USD"}' in body


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2))
def test_an_amount_is_written_digit_by_digit_and_never_with_an_exponent(amount: Decimal) -> None:
    assert to_bytes({"value": amount}) == b'{"value":%s}' % format(amount, "f").encode()


def test_only_what_json_knows_is_written() -> None:
    with pytest.raises(TypeError):
        to_bytes({"value": object()})


def test_the_total_is_the_exact_sum_of_the_lines() -> None:
    lines = [charge("J1885", f"T{n}", amount=money("0.10"), service_date=When(f"2026-11-0{n}")) for n in (1, 2, 3)]

    result = built(good_chart(stay(), *lines))

    assert result.total == money("0.30")
    assert result.claim["total"] == {"value": Decimal("0.30"), "currency": "USD"}


def test_a_claim_without_amounts_has_no_total() -> None:
    result = built(good_chart(charge(amount=None)))

    assert result.total is None
    assert "total" not in result.claim
    assert "net" not in result.claim["item"][0]


def test_a_free_service_is_an_amount_of_zero_and_not_a_missing_one() -> None:
    claim = claim_of(good_chart(charge(amount=money("0.00"))))

    assert claim["item"][0]["net"]["value"] == Decimal("0.00")
    assert claim["total"]["value"] == Decimal("0.00")


# --- the content hash


def test_two_claims_that_bill_the_same_have_one_content_hash() -> None:
    codes = coded_chart(good_chart())
    first = build_claim(codes, SITE, PAYER, NUMBER, DAY).claim
    second = build_claim(codes, SITE, PAYER, ClaimNumber("CLM-2", 2, "CLM-1"), date(2027, 1, 1)).claim

    assert first != second
    assert content_hash(first) == content_hash(second)


def test_the_order_of_keys_does_not_change_the_content_hash() -> None:
    claim = claim_of(good_chart())

    assert content_hash(dict(reversed(claim.items()))) == content_hash(claim)


@pytest.mark.parametrize(
    "changed",
    [
        charge(amount=money("100.01")),
        charge(quantity=Decimal(2), amount=money("100.00")),
        charge("J1885"),
        charge(service_date=When("2026-11-02")),
        charge(modifiers=(Coding("", "RT"),)),
        diagnosis("E11.9"),
        coverage(subscriber_id="MEM-2"),
        patient(identifiers=(Identifier("PAT-2", "urn:oid:1.2.3", "MR"),)),
    ],
    ids=["amount", "units", "code", "day", "modifier", "diagnosis", "member", "patient"],
)
def test_whatever_changes_the_bill_changes_the_content_hash(changed: Any) -> None:
    assert content_hash(claim_of(good_chart(changed))) != content_hash(claim_of(good_chart()))


def test_building_a_claim_twice_gives_the_same_bytes() -> None:
    assert to_bytes(claim_of(INPATIENT)) == to_bytes(claim_of(copy.deepcopy(INPATIENT)))


def test_a_vaccination_alone_makes_a_claim() -> None:
    cvx = table(Kind.IMMUNIZATION, System.CVX, row("140", f"{System.HCPCS}|G0008"), id="cvx")

    (item,) = built(chart_of(patient(), visit(), vaccination(), coverage()), cvx).claim["item"]

    assert code_of(item["productOrService"]) == "G0008"
