"""Every datum of an 837 in its element with its system: what each kind of claim says beside what all say."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest
from fhir.resources.R4B.claim import Claim

from fhir_coder.claims import ClaimNumber, ClaimPlace, arranged, build_claim, claim_type, content_hash, with_drg
from fhir_coder.claims.kinds import KINDS
from fhir_coder.claims.void import void_claim
from fhir_coder.edits.structure import structure_findings
from fhir_coder.model import (
    STANDARD_LIMITS,
    Chart,
    Coding,
    Concept,
    Identifier,
    Json,
    Kind,
    Origin,
    Purpose,
    System,
)
from fhir_coder.pipeline import Occasion, draft_claims
from fhir_coder.settings.billing import KindName
from fhir_coder.terminology.codesets.inpatient import Drg
from tests.building import (
    DAY,
    NOON,
    NUMBER,
    OTHER_NPI,
    PAYER,
    SITE,
    charge,
    coded,
    coded_chart,
    coverage,
    diagnosis,
    doctor,
    good_chart,
    member,
    money,
    procedure,
    row,
    rulebook,
    stay,
    table,
    visit,
)

CARIN = "http://hl7.org/fhir/us/carin-bb/CodeSystem/"
HL7 = "http://terminology.hl7.org/CodeSystem/"


def claim_of(chart: Chart, kind: str = "", number: ClaimNumber = NUMBER, **payer: Any) -> Json:
    """The claim as the pipeline makes it: arranged, built, and without a fault."""
    billed = replace(PAYER, **payer)
    kind = kind or claim_type(chart, SITE)
    arrangement = arranged(coded_chart(chart), kind, billed)
    claim = build_claim(arrangement, SITE, billed, number, DAY, ClaimPlace(kind)).claim
    Claim.model_validate(_floats(claim))
    assert structure_findings(claim) == []
    return claim


def _floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _floats(v) for k, v in value.items()}
    return [_floats(v) for v in value] if isinstance(value, list) else value


def types(claim: Json) -> list[tuple[str, str, str]]:
    """Each diagnosis: its code, the last part of the system of its type, its type."""
    found = []
    for one in claim["diagnosis"]:
        coding = one["type"][0]["coding"][0]
        code = one["diagnosisCodeableConcept"]["coding"][0]["code"]
        found.append((code, coding["system"].rpartition("/")[2], coding["code"]))
    return found


def info(claim: Json) -> dict[str, Json]:
    return {e["category"]["coding"][0]["code"]: e for e in claim.get("supportingInfo", ())}


def roles(claim: Json) -> list[list[str]]:
    return [[c["code"] for c in m["role"]["coding"]] for m in claim["careTeam"]]


# --- the table of kinds


def test_every_kind_has_its_limits_and_its_name_in_the_settings() -> None:
    assert set(KINDS) == set(STANDARD_LIMITS) == set(get_args(KindName))


def test_an_institutional_claim_says_whether_it_is_of_an_inpatient() -> None:
    inpatient, emergency = claim_of(good_chart(stay())), claim_of(good_chart(visit(class_code="EMER")))

    assert [c["subType"]["coding"][0] for c in (inpatient, emergency)] == [
        {"system": CARIN + "C4BBInstitutionalClaimSubType", "code": "inpatient"},
        {"system": CARIN + "C4BBInstitutionalClaimSubType", "code": "outpatient"},
    ]
    assert "subType" not in claim_of(good_chart())


# --- diagnoses


def test_the_diagnoses_of_a_stay_stand_in_the_order_of_the_uniform_bill() -> None:
    chart = good_chart(
        stay(),
        diagnosis("W19.XXXA"),
        diagnosis("E11.9", rank=2, kind="final"),
        diagnosis("R10.9", kind="admitting"),
        diagnosis("S72.001A", rank=1, kind="final"),
    )

    assert types(claim_of(chart)) == [
        ("S72.001A", "ex-diagnosistype", "principal"),
        ("E11.9", "C4BBClaimDiagnosisType", "other"),
        ("W19.XXXA", "C4BBClaimDiagnosisType", "externalcauseofinjury"),
        ("R10.9", "ex-diagnosistype", "admitting"),
    ]


def test_the_principal_diagnosis_is_a_final_one_and_not_the_first_that_came() -> None:
    chart = good_chart(stay(), diagnosis("E11.9"), diagnosis("I21.4", kind="final"))

    assert types(claim_of(chart))[0] == ("I21.4", "ex-diagnosistype", "principal")


def test_what_an_outpatient_came_for_is_the_reason_for_the_visit() -> None:
    chart = good_chart(visit(class_code="EMER"), diagnosis("R07.9", kind="admitting"), diagnosis("I21.4", kind="final"))

    assert types(claim_of(chart)) == [
        ("I21.4", "ex-diagnosistype", "principal"),
        ("R07.9", "C4BBClaimDiagnosisType", "patientreasonforvisit"),
    ]


def test_an_external_cause_that_is_not_ranked_is_never_the_principal_diagnosis() -> None:
    chart = good_chart(diagnosis("W19.XXXA"), diagnosis("S52.501A"))
    claim = claim_of(chart)

    assert [code for code, *_ in types(claim)] == ["S52.501A", "W19.XXXA"]
    assert claim["item"][0]["diagnosisSequence"] == [1, 2]


def test_an_external_cause_that_the_sender_ranks_first_stays_first_for_a_person_to_see() -> None:
    chart = good_chart(diagnosis("W19.XXXA", rank=1), diagnosis("S52.501A", rank=2))

    assert [code for code, *_ in types(claim_of(chart))] == ["W19.XXXA", "S52.501A"]


def test_lines_point_to_the_same_diagnoses_after_these_were_put_in_order() -> None:
    pointing = charge(diagnoses=(coded(System.ICD10CM, "E11.9"), coded(System.ICD10CM, "S72.001A")))
    chart = good_chart(stay(), diagnosis("W19.XXXA"), diagnosis("S72.001A"), diagnosis("E11.9"), pointing)
    claim = claim_of(chart)
    codes = [code for code, *_ in types(claim)]

    assert [codes[i - 1] for i in claim["item"][0]["diagnosisSequence"]] == ["E11.9", "S72.001A"]


def test_what_is_exempt_from_the_indicator_has_the_code_of_cms_for_it() -> None:
    chart = good_chart(
        stay(), diagnosis("I21.4", rank=1, on_admission="N"), diagnosis("Z79.4", rank=2, on_admission="1")
    )
    first, second = (d["onAdmission"]["coding"][0] for d in claim_of(chart)["diagnosis"])

    assert (first["system"], first["code"]) == (HL7 + "ex-diagnosis-on-admission", "n")
    assert (second["system"].startswith("https://www.cms.gov/"), second["code"]) == (True, "1")


# --- procedures


def test_the_principal_procedure_is_the_one_that_the_sender_ranks_first() -> None:
    chart = good_chart(
        stay(),
        procedure(coded(System.ICD10PCS, "0DTJ4ZZ"), "P1", rank=2, care_team=(member("surgeon", OTHER_NPI, "Lake"),)),
        procedure(coded(System.ICD10PCS, "0FT44ZZ"), "P2", rank=1, care_team=(member("surgeon"),)),
    )
    claim = claim_of(chart)
    told = [
        (p["procedureCodeableConcept"]["coding"][0]["code"], p["type"][0]["coding"][0]["code"], p["date"])
        for p in claim["procedure"]
    ]

    assert told == [("0FT44ZZ", "primary", "2026-11-03"), ("0DTJ4ZZ", "secondary", "2026-11-03")]
    assert roles(claim) == [["primary", "operating"], ["primary", "otheroperating"]]


def test_a_rank_counts_though_the_charge_names_the_procedure_first() -> None:
    chart = good_chart(
        stay(),
        procedure(coded(System.ICD10PCS, "30233N1"), "P1", rank=2),
        procedure(coded(System.ICD10PCS, "0SRR019"), "P2", rank=1),
        charge(coded(System.ICD10PCS, "0SRR019")),
    )
    first, _ = claim_of(chart)["procedure"]

    assert first["procedureCodeableConcept"]["coding"][0]["code"] == "0SRR019"
    assert first["type"][0]["coding"][0]["code"] == "primary"


def test_nobody_says_which_of_two_unranked_procedures_is_principal() -> None:
    chart = good_chart(
        stay(),
        procedure(coded(System.ICD10PCS, "0DTJ4ZZ"), "P1"),
        procedure(coded(System.ICD10PCS, "0FT44ZZ"), "P2"),
    )
    first, second = claim_of(chart)["procedure"]

    assert "type" not in first
    assert second["type"][0]["coding"][0] == {"system": HL7 + "ex-procedure-type", "code": "secondary"}


def test_a_line_still_points_to_its_procedure_after_these_were_put_in_order() -> None:
    chart = good_chart(
        stay(),
        procedure(coded(System.ICD10PCS, "0DTJ4ZZ"), "P1"),
        procedure(coded(System.ICD10PCS, "0FT44ZZ"), "P2", rank=1),
        charge(coded(System.ICD10PCS, "0DTJ4ZZ")),
    )
    claim = claim_of(chart)
    (sequence,) = claim["item"][0]["procedureSequence"]

    assert claim["procedure"][sequence - 1]["procedureCodeableConcept"]["coding"][0]["code"] == "0DTJ4ZZ"


# --- people


def test_roles_are_told_in_the_words_of_the_standard_and_of_the_uniform_bill() -> None:
    taxonomy = replace(member("rendering"), practitioner=doctor(taxonomy="207Q00000X"))
    chart = good_chart(visit(care_team=(member("referring", OTHER_NPI, "Lake"),)), charge(care_team=(taxonomy,)))
    claim = claim_of(chart)
    referring, rendering = claim["careTeam"]

    assert referring["role"] == {
        "coding": [
            {"system": HL7 + "claimcareteamrole", "code": "other"},
            {"system": CARIN + "C4BBClaimCareTeamRole", "code": "referring"},
        ],
        "text": "referring",
    }
    assert roles(claim)[1] == ["primary", "rendering"]
    assert rendering["qualification"]["coding"] == [
        {"system": "http://nucc.org/provider-taxonomy", "code": "207Q00000X"}
    ]
    assert claim["item"][0]["careTeamSequence"] == [2]


# --- lines


def test_a_drug_line_says_which_package_and_how_much_of_it_was_given() -> None:
    drug = charge("J1885", ndc="0409-3795-01", drug_quantity=Decimal("2"), drug_unit="ML")
    (detail,) = claim_of(good_chart(drug))["item"][0]["detail"]

    assert detail == {
        "sequence": 1,
        "productOrService": {"coding": [{"system": System.NDC, "code": "00409379501"}]},
        "quantity": {"value": Decimal("2"), "unit": "ML", "system": "http://unitsofmeasure.org", "code": "mL"},
    }


@pytest.mark.parametrize(
    ("sent", "billed"),
    [
        ("0409-3795-01", "00409379501"),
        ("50242-040-62", "50242004062"),
        ("60575-4112-1", "60575411201"),
        ("00409-3795-01", "00409379501"),
        ("00409379501", "00409379501"),
        ("0409379501", "0409379501"),
    ],
)
def test_an_ndc_gets_the_digit_that_its_own_hyphens_show_missing(sent: str, billed: str) -> None:
    (detail,) = claim_of(good_chart(charge("J1885", ndc=sent)))["item"][0]["detail"]

    assert detail["productOrService"]["coding"][0]["code"] == billed


def test_anaesthesia_is_counted_in_the_minutes_that_its_procedure_tells() -> None:
    chart = good_chart(
        charge("G0500", modifiers=(Coding("", "AA"),), amount=money("475.00")),
        procedure(Concept((Coding(System.SNOMED, "80146002"),)), anesthesia_minutes=Decimal(95)),
    )
    (item,) = claim_of(chart)["item"]

    assert item["quantity"] == {
        "value": Decimal(95),
        "unit": "min",
        "system": "http://unitsofmeasure.org",
        "code": "min",
    }
    assert (item["unitPrice"]["value"], item["net"]["value"]) == (Decimal("5.00"), Decimal("475.00"))


@pytest.mark.parametrize(
    ("modifier", "minutes"),
    [("RT", (Decimal(95),)), ("AA", ()), ("AA", (Decimal(95), Decimal(30)))],
    ids=["no anaesthesia", "none told", "two told"],
)
def test_a_line_keeps_its_units_where_minutes_are_not_certain(modifier: str, minutes: tuple[Decimal, ...]) -> None:
    services = [
        procedure(Concept((Coding(System.SNOMED, "80146002"),)), f"P{i}", anesthesia_minutes=told)
        for i, told in enumerate(minutes)
    ]
    (item,) = claim_of(good_chart(charge("G0500", modifiers=(Coding("", modifier),)), *services))["item"]

    assert item["quantity"] == {"value": Decimal(1)}


def test_minutes_that_give_no_price_in_whole_cents_leave_the_price_out_and_the_amount_as_it_was() -> None:
    chart = good_chart(
        charge("G0500", modifiers=(Coding("", "QZ"),), amount=money("100.00")),
        procedure(Concept((Coding(System.SNOMED, "80146002"),)), anesthesia_minutes=Decimal(95)),
    )
    (item,) = claim_of(chart)["item"]

    assert "unitPrice" not in item
    assert item["net"]["value"] == Decimal("100.00")


def test_a_bed_is_a_line_with_a_revenue_code_alone_counted_in_days() -> None:
    charges = table(Kind.CHARGE, System.LOCAL, row("BED-1", f"{System.REVENUE}|0120", "1200.00"))
    bed = charge(coded(System.LOCAL, "BED-1"), quantity=Decimal(2), amount=None)
    arrangement = arranged(coded_chart(good_chart(stay(), bed), charges), "institutional", PAYER)
    claim = build_claim(arrangement, SITE, PAYER, NUMBER, DAY).claim
    (item,) = claim["item"]

    assert item["revenue"]["coding"] == [{"system": System.REVENUE, "code": "0120"}]
    assert item["productOrService"]["coding"] == item["revenue"]["coding"]
    assert (item["quantity"]["value"], item["quantity"]["code"]) == (Decimal(2), "d")
    assert claim["total"]["value"] == Decimal("2400.00")
    assert structure_findings(claim) == []


def test_the_senders_revenue_code_goes_before_that_of_the_row() -> None:
    (item,) = claim_of(good_chart(visit(class_code="EMER"), charge(revenue_code="0450")))["item"]

    assert item["revenue"]["coding"] == [{"system": System.REVENUE, "code": "0450"}]


def test_a_unit_that_the_sender_names_in_ucum_is_kept() -> None:
    (item,) = claim_of(good_chart(charge(unit="min", quantity=Decimal(30))))["item"]

    assert item["quantity"]["code"] == "min"


# --- numbers


def test_the_referral_number_of_the_charges_is_a_referral_by_its_identifier() -> None:
    claim = claim_of(good_chart(charge(referral="REF-77")))

    assert claim["referral"] == {"type": "ServiceRequest", "identifier": {"value": "REF-77"}}


def test_two_different_referral_numbers_are_none_on_a_claim_that_has_room_for_one() -> None:
    claim = claim_of(good_chart(charge(referral="REF-1"), charge("J1885", "T2", referral="REF-2")))

    assert "referral" not in claim


def test_authorisation_numbers_of_coverage_and_charges_stand_at_the_coverage_that_is_billed() -> None:
    chart = good_chart(
        charge(authorization="AUTH-2"),
        charge("J1885", "T2", authorization="AUTH-1"),
        coverage(prior_authorization="AUTH-1"),
        coverage("IN1/2", order=2),
    )
    first, second = claim_of(chart)["insurance"]

    assert first["preAuthRef"] == ["AUTH-1", "AUTH-2"]
    assert "preAuthRef" not in second


def test_a_replacement_names_the_payers_own_number_of_the_claim_before() -> None:
    number = ClaimNumber("CLM-1-2", 2, "CLM-1-1", Purpose.BILL, Identifier("ICN-9", "https://payer.example/icn"))
    (related,) = claim_of(good_chart(), number=number)["related"]

    assert related["reference"] == {"system": "https://payer.example/icn", "value": "ICN-9"}
    voided = void_claim(claim_of(good_chart()), "CLM-1-3", DAY, Identifier("ICN-9"))
    assert voided["related"][0]["reference"] == {"value": "ICN-9"}


# --- supporting information


def test_a_professional_claim_of_a_stay_says_when_the_patient_was_in_hospital() -> None:
    claim = claim_of(good_chart(stay()), "professional")

    assert info(claim)["hospitalized"]["timingPeriod"] == {
        "start": "2026-11-01T09:00:00-06:00",
        "end": "2026-11-03T10:00:00-06:00",
    }
    assert list(info(claim)) == ["hospitalized"]


def test_what_the_patient_has_paid_stands_with_its_currency_on_one_claim_of_the_visit() -> None:
    paid = [charge(kind="CO", identity=f"C{i}", amount=money(amount)) for i, amount in enumerate(("-20.00", "5.00"))]
    chart = good_chart(*paid, *(charge(f"J{1000 + i}", f"T{i}") for i in range(51)))
    first, second = draft_claims(chart, rulebook(), Occasion(NOON))

    assert info(first.claim)["info"] == {
        "sequence": 1,
        "category": {"coding": [{"system": HL7 + "claiminformationcategory", "code": "info"}]},
        "code": {"coding": [{"system": CARIN + "C4BBAdjudication", "code": "paidbypatient"}]},
        "valueQuantity": {
            "value": Decimal("25.00"),
            "unit": "USD",
            "system": "urn:iso:std:iso:4217",
            "code": "USD",
        },
    }
    assert info(second.claim) == {}
    assert first.total == money("5000.00")
    assert structure_findings(first.claim) == []


def test_a_co_payment_that_comes_later_makes_no_other_claim() -> None:
    before, after = good_chart(charge()), good_chart(charge(), charge(kind="CO", identity="C1", amount=money("20.00")))

    assert content_hash(claim_of(before)) == content_hash(claim_of(after))
    assert claim_of(before) != claim_of(after)


def test_the_use_of_a_claim_is_what_its_payer_is_asked_for() -> None:
    assert claim_of(good_chart())["use"] == "claim"
    assert claim_of(good_chart(), use="preauthorization")["use"] == "preauthorization"
    assert claim_of(good_chart(), use="predetermination")["use"] == "predetermination"


# --- DRG


def test_the_drg_of_a_stay_stands_with_the_version_of_its_grouper_and_its_story() -> None:
    codes = coded_chart(good_chart(stay(), diagnosis("I21.4", kind="final")))
    built = build_claim(codes, SITE, PAYER, NUMBER, DAY)
    drg = Drg(282, "Our words for it", "NONE", 5, 440)
    made = with_drg(built, drg, codes, {"44|282": "0.8123"})
    entry = made.claim["supportingInfo"][-1]

    assert entry["category"]["coding"] == [{"system": CARIN + "C4BBSupportingInfoType", "code": "drg"}]
    assert entry["code"]["coding"] == [{"system": System.MS_DRG, "version": "44", "code": "282"}]
    assert entry["sequence"] == len(made.claim["supportingInfo"])
    trace = made.traces[-1]
    assert (trace.code, trace.origin) == ("282", Origin("m1", "DG1[1]"))
    assert trace.note == "MS-DRG grouper 44 by the day of discharge, severity none, MDC 5, weight 0.8123"
    assert structure_findings(made.claim) == []


def test_a_stay_that_cannot_be_grouped_has_no_drg() -> None:
    codes = coded_chart(good_chart(stay()))
    built = build_claim(codes, SITE, PAYER, NUMBER, DAY)

    assert with_drg(built, Drg(999, "", "NONE", None, 440), codes, {}) == built
    assert with_drg(built, None, codes, {}) == built
