"""Facts to a chart: repeats, removals, credits, cancels, references, and the order things happened in."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.charts import billing_order, fold_chart, is_open, topics_reached
from fhir_coder.model import (
    CancelFact,
    CareTeamMember,
    Chart,
    DiagnosisUse,
    DirectoryFact,
    FiledFact,
    Identifier,
    MessageFacts,
    Name,
    Organization,
    Origin,
    PatientFact,
    Practitioner,
    Problem,
    VisitFact,
    When,
)
from tests.building import (
    KEY,
    charge,
    chart_of,
    coverage,
    diagnosis,
    doctor,
    folded,
    hcpcs,
    icd,
    money,
    origin,
    patient,
    procedure,
    said,
    sct,
    stay,
    vaccination,
    visit,
)


def at(hour: int) -> str:
    return f"2026-11-03T{hour:02}:00:00Z"


def identities(facts: tuple[object, ...]) -> list[str]:
    return [fact.identity for fact in facts]  # type: ignore[attr-defined]  # every listed fact has one


def rules(chart: Chart) -> list[str]:
    return [p.rule for p in chart.problems]


# --- repeats and removals


def test_a_repeated_fact_is_one_thing_and_the_later_word_wins() -> None:
    facts = [diagnosis(), procedure(sct("80146002")), charge(), vaccination(), coverage()]
    later = [diagnosis(rank=1), procedure(sct("80146002"), rank=2), charge(quantity=Decimal(2)), vaccination(lot="L2")]

    chart = folded(said(*facts, at=at(9)), said(*later, coverage(group="G2"), message="m2", at=at(10)))

    assert [f.rank for f in chart.diagnoses] == [1]
    assert [f.rank for f in chart.procedures] == [2]
    assert [f.quantity for f in chart.charges] == [Decimal(2)]
    assert [f.lot for f in chart.immunizations] == ["L2"]
    assert [f.group for f in chart.coverages] == ["G2"]


@pytest.mark.parametrize("kind", ["diagnoses", "procedures", "charges", "immunizations", "coverages"])
def test_a_removal_takes_away_the_one_it_names_and_no_other(kind: str) -> None:
    makers = {
        "diagnoses": (diagnosis(identity="A"), diagnosis("E11.9", identity="B")),
        "procedures": (procedure(sct("1"), "A"), procedure(sct("1"), "B")),
        "charges": (charge(identity="A"), charge(identity="B")),
        "immunizations": (vaccination(identity="A"), vaccination(identity="B")),
        "coverages": (coverage("A"), coverage("B", order=2)),
    }
    first, second = makers[kind]

    chart = folded(said(first, second, at=at(9)), said(replace(first, removed=True), message="m2", at=at(10)))

    assert identities(getattr(chart, kind)) == ["B"]


def test_what_was_removed_and_sent_again_is_there_again() -> None:
    chart = folded(
        said(diagnosis(), at=at(9)),
        said(diagnosis(removed=True), message="m2", at=at(10)),
        said(diagnosis(), message="m3", at=at(11)),
    )

    assert len(chart.diagnoses) == 1


def test_a_removal_that_arrives_before_its_fact_still_holds_when_it_happened_later() -> None:
    chart = folded(said(charge(removed=True), at=at(10)), said(charge(), message="m2", at=at(9)))

    assert chart.charges == ()


def test_a_removed_patient_is_no_patient() -> None:
    chart = folded(said(patient(), at=at(9)), said(patient(removed=True), message="m2", at=at(10)))

    assert chart.patient is None


# --- credits


def test_a_credit_takes_back_the_charge_it_refers_to() -> None:
    chart = chart_of(charge(identity="T1"), charge(identity="T2"), charge(identity="T3", kind="CR", reverses="T2"))

    assert identities(chart.charges) == ["T1"]
    assert chart.problems == ()


def test_a_credit_takes_back_the_charge_of_its_own_id_before_one_that_is_only_alike() -> None:
    chart = chart_of(charge(identity="T1"), charge(identity="T2"), charge(identity="T2", kind="CR"))

    assert identities(chart.charges) == ["T1"]


def test_a_credit_without_reference_takes_back_one_charge_of_equal_code_day_and_amount() -> None:
    back = charge(
        identity="T9",
        kind="CR",
        quantity=Decimal(-1),
        amount=money("-100.00"),
        service_date=When("2026-11-03T08:15:00-06:00"),
    )

    chart = chart_of(charge(identity="T1"), charge(identity="T2"), back)

    assert identities(chart.charges) == ["T2"]


@pytest.mark.parametrize(
    "other",
    [
        {"code": "J1885"},
        {"service_date": When("2026-11-02")},
        {"amount": money("99.99")},
        {"quantity": Decimal(2)},
    ],
    ids=["code", "day", "amount", "quantity"],
)
def test_a_credit_of_another_code_day_or_amount_takes_nothing_back_and_a_person_decides(
    other: dict[str, object],
) -> None:
    chart = chart_of(charge(), charge(**{"identity": "T9", "kind": "CR"} | other))  # type: ignore[arg-type]  # one of each

    assert identities(chart.charges) == ["T1"]
    assert rules(chart) == ["credit_without_charge"]


def test_a_credit_whose_reference_is_unknown_takes_no_other_charge_instead() -> None:
    chart = chart_of(charge(), charge(identity="T9", kind="CR", reverses="T7"))

    assert identities(chart.charges) == ["T1"]
    assert rules(chart) == ["credit_without_charge"]


def test_a_credit_that_came_before_its_charge_takes_it_back_when_it_comes() -> None:
    chart = folded(
        said(charge(identity="T9", kind="CR", reverses="T1"), at=at(9)), said(charge(), message="m2", at=at(10))
    )

    assert (chart.charges, chart.problems) == ((), ())


def test_a_repeat_of_a_charge_that_an_earlier_credit_took_back_is_not_billed() -> None:
    credit = said(charge(identity="T9", kind="CR", reverses="T1"), at=at(9))

    chart = folded(credit, said(charge(), message="m2", at=at(10)), said(charge(), message="m3", at=at(10)))

    assert (chart.charges, chart.problems) == ((), ())


def test_a_repeated_credit_does_not_take_back_a_second_charge_that_looks_alike() -> None:
    credit = charge(identity="T9", kind="CR")

    chart = chart_of(charge(identity="T1"), charge(identity="T2"), credit, credit)

    assert identities(chart.charges) == ["T2"]
    assert chart.problems == ()


def test_a_charge_sent_anew_after_its_credit_is_billed_as_corrected() -> None:
    chart = chart_of(charge(), charge(kind="CR"), charge(amount=money("120.00")))

    assert [c.amount for c in chart.charges] == [money("120.00")]
    assert chart.problems == ()


def test_a_corrected_charge_can_be_taken_back_again_under_the_same_id() -> None:
    chart = chart_of(charge(), charge(kind="CR"), charge(), charge(kind="CR"))

    assert (chart.charges, chart.problems) == ((), ())


def test_a_credit_of_a_part_of_its_charge_is_left_to_a_person() -> None:
    chart = chart_of(charge(), charge(identity="T9", kind="CR", reverses="T1", amount=money("20.00")))

    assert identities(chart.charges) == ["T1"]
    assert rules(chart) == ["partial_credit"]


def test_a_credit_of_fewer_units_without_amounts_is_left_to_a_person() -> None:
    three = charge(quantity=Decimal(3), amount=None)

    chart = chart_of(three, charge(identity="T9", kind="CR", reverses="T1", amount=None))

    assert rules(chart) == ["partial_credit"]


def test_a_credit_by_unit_amount_takes_back_a_charge_by_amount() -> None:
    three = charge(quantity=Decimal(3), amount=money("30.00"))
    back = charge(identity="T9", kind="CR", quantity=Decimal(-3), amount=None, unit_amount=money("10.00"))

    assert chart_of(three, back).charges == ()


def test_an_adjustment_is_a_problem_and_no_line() -> None:
    chart = chart_of(charge(), charge(identity="T9", kind="AJ"))

    assert identities(chart.charges) == ["T1"]
    assert rules(chart) == ["adjustment"]
    assert chart.problems[0].topic == KEY


# --- cancels


def test_a_cancelled_admission_cancels_the_visit() -> None:
    chart = chart_of(stay(end=None, status="cancelled"), CancelFact(origin(), "admit"))

    assert chart.cancelled


def test_a_visit_registered_again_after_its_cancel_is_no_longer_cancelled() -> None:
    cancelled = said(visit(status="cancelled"), CancelFact(origin(), "admit"), at=at(10))

    chart = folded(cancelled, said(visit(status="in-progress"), message="m2", at=at(11)))

    assert not chart.cancelled


def test_an_update_that_says_nothing_of_the_status_does_not_reinstate_a_cancelled_visit() -> None:
    cancelled = said(visit(status="cancelled"), CancelFact(origin(), "admit"), at=at(10))

    chart = folded(cancelled, said(visit(status=""), message="m2", at=at(11)))

    assert chart.cancelled


def test_a_registration_that_happened_before_the_cancel_but_arrives_after_it_does_not_reinstate() -> None:
    cancelled = said(visit(status="cancelled"), CancelFact(origin(), "admit"), at=at(10))

    chart = folded(cancelled, said(visit(status="in-progress"), message="m2", at=at(9)))

    assert chart.cancelled


def test_a_cancelled_discharge_opens_the_stay_again_though_it_repeats_the_discharge_date() -> None:
    discharged = said(stay(discharge_disposition="01"), at=at(10))
    taken_back = said(stay(status="in-progress"), CancelFact(origin(), "discharge"), message="m2", at=at(11))

    chart = folded(discharged, taken_back)

    assert chart.visit is not None
    assert (chart.visit.end, chart.visit.status, chart.visit.discharge_disposition) == (None, "in-progress", "")
    assert is_open(chart)
    assert not chart.cancelled


def test_a_second_discharge_after_a_cancelled_one_closes_the_stay() -> None:
    chart = folded(
        said(stay(), at=at(10)),
        said(CancelFact(origin(), "discharge"), message="m2", at=at(11)),
        said(stay(end=When("2026-11-04T08:00:00-06:00")), message="m3", at=at(12)),
    )

    assert chart.visit is not None
    assert chart.visit.end == When("2026-11-04T08:00:00-06:00")
    assert not is_open(chart)


# --- merges and order


def test_a_later_fact_keeps_what_it_does_not_say() -> None:
    first = said(patient(phone="555"), stay(admission_type="1", end=None, status="in-progress"), at=at(9))
    later = said(
        PatientFact(origin("PID"), sex="other"), VisitFact(origin("PV1"), location="ICU"), message="m2", at=at(10)
    )

    chart = folded(first, later)

    assert chart.patient is not None
    assert chart.visit is not None
    assert (chart.patient.sex, chart.patient.phone, chart.patient.name) == ("other", "555", Name("Testcase", ("Tess",)))
    assert (chart.visit.location, chart.visit.admission_type, chart.visit.class_code) == ("ICU", "1", "IMP")


def test_a_word_that_the_account_is_not_billable_stands_until_it_is_said_anew() -> None:
    chart = folded(said(visit(billable=False), at=at(9)), said(visit(billable=None), message="m2", at=at(10)))

    assert chart.visit is not None
    assert chart.visit.billable is False


def test_what_happened_last_counts_not_what_arrived_last() -> None:
    chart = folded(said(visit(class_code="EMER"), at=at(11)), said(visit(class_code="AMB"), message="m2", at=at(10)))

    assert chart.visit is not None
    assert chart.visit.class_code == "EMER"


def test_event_times_of_different_offsets_are_compared_as_moments() -> None:
    earlier = said(visit(class_code="AMB"), at="2026-11-03T23:00:00+13:45")
    later = said(visit(class_code="EMER"), message="m2", at="2026-11-03T10:00:00Z")

    assert folded(later, earlier).visit == folded(earlier, later).visit
    assert getattr(folded(later, earlier).visit, "class_code", "") == "EMER"


@pytest.mark.parametrize("early", ["2026", "2026-11", "2026-11-02"])
def test_an_event_time_known_to_the_year_month_or_day_counts_from_its_beginning(early: str) -> None:
    chart = folded(said(visit(class_code="EMER"), at=at(9)), said(visit(class_code="AMB"), message="m2", at=early))

    assert chart.visit is not None
    assert chart.visit.class_code == "EMER"


def test_a_message_without_event_time_is_the_latest_word() -> None:
    chart = folded(said(visit(class_code="EMER"), at=None), said(visit(class_code="AMB"), message="m2", at=at(10)))

    assert chart.visit is not None
    assert chart.visit.class_code == "EMER"


def test_messages_of_one_event_time_count_in_their_order_of_arrival() -> None:
    chart = folded(said(visit(class_code="EMER"), at=at(9)), said(visit(class_code="AMB"), message="m2", at=at(9)))

    assert chart.visit is not None
    assert chart.visit.class_code == "AMB"


DIAGNOSES = st.builds(lambda c, r: diagnosis(c, removed=r), st.sampled_from(["I10", "E11.9"]), st.booleans())
CHARGES = st.builds(
    lambda i, k, a, back: charge(identity=i, kind=k, amount=money(a), reverses=back if k == "CR" else ""),
    st.sampled_from(["T1", "T2", "T3"]),
    st.sampled_from(["CG", "CG", "CR"]),
    st.sampled_from(["100.00", "20.00"]),
    st.sampled_from(["", "T1", "T2"]),
)
FACTS = st.one_of(
    DIAGNOSES,
    CHARGES,
    st.builds(
        lambda s, c: visit(status=s, class_code=c), st.sampled_from(["", "finished"]), st.sampled_from(["", "AMB"])
    ),
    st.builds(lambda w: CancelFact(origin(), w), st.sampled_from(["admit", "discharge"])),
    st.builds(lambda p, s: patient(phone=p, sex=s), st.sampled_from(["", "555"]), st.sampled_from(["", "male"])),
    st.builds(lambda g: coverage(group=g), st.sampled_from(["", "G1"])),
)
ONE_MESSAGE = st.lists(
    FACTS, max_size=4, unique_by=lambda f: (type(f), getattr(f, "identity", ""), getattr(f, "kind", ""))
)
STREAMS = st.lists(ONE_MESSAGE, min_size=1, max_size=6)


def stream(listed: list[list[object]]) -> list[MessageFacts]:
    """One message an hour, in each what it takes back after what it says, as the readers file it."""
    listed = [sorted(facts, key=lambda fact: isinstance(fact, CancelFact)) for facts in listed]
    return [said(*facts, message=f"m{n}", at=at(n)) for n, facts in enumerate(listed)]  # type: ignore[arg-type]  # facts


@given(STREAMS, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing_where_event_times_differ(
    listed: list[list[object]], random: object
) -> None:
    messages = stream(listed)
    shuffled = list(messages)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random

    assert fold_chart(KEY, shuffled) == fold_chart(KEY, messages)


@given(STREAMS, st.data())
def test_a_repeated_message_changes_nothing(listed: list[list[object]], data: st.DataObject) -> None:
    messages = stream(listed)
    repeated = data.draw(st.sampled_from(messages))

    again = fold_chart(KEY, [*messages, replace(repeated, message="again")])

    once = fold_chart(KEY, messages)
    assert replace(again, messages=once.messages) == once


# --- diagnoses


def codes(chart: Chart) -> list[str]:
    return [d.concept.codings[0].code for d in chart.diagnoses]


def test_a_working_diagnosis_is_dropped_when_there_is_a_final_one() -> None:
    chart = chart_of(diagnosis("R07.9", kind="working"), diagnosis("I21.4", kind="final"))

    assert codes(chart) == ["I21.4"]


def test_a_working_diagnosis_counts_while_nothing_is_final() -> None:
    assert codes(chart_of(diagnosis("R07.9", kind="working"))) == ["R07.9"]


def test_a_working_diagnosis_is_back_when_the_final_one_is_removed() -> None:
    chart = chart_of(
        diagnosis("R07.9", kind="working"), diagnosis("I21.4", kind="final"), diagnosis("I21.4", removed=True)
    )

    assert codes(chart) == ["R07.9"]


def test_the_reason_for_the_visit_counts_only_where_nothing_else_is_recorded() -> None:
    assert codes(chart_of(diagnosis("R05.9", kind="reason"))) == ["R05.9"]
    assert codes(chart_of(diagnosis("R05.9", kind="reason"), diagnosis("J20.9"))) == ["J20.9"]


def test_the_principal_diagnosis_stands_first_and_the_admitting_one_last() -> None:
    chart = chart_of(
        diagnosis("R07.9", kind="admitting", rank=1),
        diagnosis("E11.9", kind="final"),
        diagnosis("I10", kind="final", rank=2),
        diagnosis("I21.4", kind="final", rank=1),
    )

    assert codes(chart) == ["I21.4", "I10", "E11.9", "R07.9"]


def test_diagnoses_of_no_rank_keep_the_order_they_were_recorded_in() -> None:
    listed = [diagnosis("I10"), diagnosis("E11.9"), diagnosis("J20.9")]

    assert billing_order(listed) == tuple(listed)


def test_the_encounter_says_what_a_condition_is_to_the_visit() -> None:
    uses = (
        DiagnosisUse("Condition/1", "AD"),
        DiagnosisUse("Condition/2", "DD", 1),
        DiagnosisUse("Condition/3", "CM", 2),
    )
    chart = chart_of(
        stay(diagnosis_uses=uses),
        diagnosis("E11.9", "Condition/3"),
        diagnosis("R07.9", "Condition/1"),
        diagnosis("I21.4", "Condition/2"),
    )

    assert [(d.identity, d.kind, d.rank) for d in chart.diagnoses] == [
        ("Condition/2", "final", 1),
        ("Condition/3", "", 2),
        ("Condition/1", "admitting", None),
    ]


@pytest.mark.parametrize("order", [1, -1])
def test_a_condition_that_is_admitting_and_discharge_diagnosis_stays_a_discharge_diagnosis(order: int) -> None:
    uses = (DiagnosisUse("Condition/1", "AD"), DiagnosisUse("Condition/1", "DD", 1))[::order]

    chart = chart_of(stay(diagnosis_uses=uses), diagnosis("I21.4", "Condition/1"))

    assert [(d.kind, d.rank) for d in chart.diagnoses] == [("final", 1)]


# --- references


def filed(topic: str, fact: object, *refs: str) -> FiledFact:
    return FiledFact(topic, fact, refs)  # type: ignore[arg-type]  # any fact


def test_a_practitioner_is_found_by_the_role_that_is_referred_to_with_its_taxonomy() -> None:
    person = DirectoryFact(origin(), practitioner=doctor())
    role = DirectoryFact(origin(), practitioner=Practitioner(taxonomy="207Q00000X"), practitioner_ref="Practitioner/9")
    team = (CareTeamMember("attending", ref="PractitionerRole/3"),)

    chart = folded(
        said(filed(KEY, visit(care_team=team), "PractitionerRole/3")),
        said(filed("PractitionerRole/3", role, "Practitioner/9"), message="m2"),
        said(filed("Practitioner/9", person), message="m3"),
    )

    assert chart.visit is not None
    assert chart.visit.care_team[0].practitioner == doctor(taxonomy="207Q00000X")


def test_a_role_whose_person_has_not_come_still_tells_its_taxonomy() -> None:
    role = DirectoryFact(origin(), practitioner=Practitioner(taxonomy="207Q00000X"), practitioner_ref="Practitioner/9")
    team = (CareTeamMember("rendering", ref="PractitionerRole/3"),)

    chart = folded(
        said(filed(KEY, charge(care_team=team), "PractitionerRole/3"), filed("PractitionerRole/3", role)),
    )

    assert chart.charges[0].care_team[0].practitioner == Practitioner(taxonomy="207Q00000X")


@pytest.mark.parametrize("kind", ["charges", "procedures", "immunizations"])
def test_the_people_of_every_service_are_filled_in(kind: str) -> None:
    team = (CareTeamMember("rendering", ref="Practitioner/9"),)
    facts = {
        "charges": charge(care_team=team),
        "procedures": procedure(sct("1"), care_team=team),
        "immunizations": vaccination(care_team=team),
    }
    person = filed("Practitioner/9", DirectoryFact(origin(), practitioner=doctor()))

    chart = folded(said(filed(KEY, facts[kind], "Practitioner/9"), person))

    assert getattr(chart, kind)[0].care_team[0].practitioner == doctor()


def test_facility_and_payer_are_filled_in_from_the_directory() -> None:
    clinic, insurer = Organization("Clinic"), Organization("Payer", (Identifier("P1"),))

    chart = folded(
        said(
            filed(KEY, visit(facility_ref="Organization/1"), "Organization/1"),
            filed("Patient/1", coverage(payer=None, payer_ref="Organization/2"), "Organization/2"),
            filed(KEY, diagnosis(), "Patient/1"),
            filed("Organization/1", DirectoryFact(origin(), organization=clinic)),
            filed("Organization/2", DirectoryFact(origin(), organization=insurer)),
        )
    )

    assert chart.visit is not None
    assert chart.visit.facility == clinic
    assert chart.coverages[0].payer == insurer


def test_a_reference_to_what_never_came_leaves_its_place_empty() -> None:
    team = (CareTeamMember("attending", ref="Practitioner/404"),)

    chart = folded(said(filed(KEY, visit(care_team=team, facility_ref="Organization/404"))))

    assert chart.visit is not None
    assert chart.visit.care_team[0].practitioner is None
    assert chart.visit.facility is None


def test_a_practitioner_told_of_later_replaces_the_earlier_word() -> None:
    team = (CareTeamMember("attending", ref="Practitioner/9"),)
    first = filed("Practitioner/9", DirectoryFact(origin(), practitioner=doctor(npi="")))
    later = filed("Practitioner/9", DirectoryFact(origin(), practitioner=doctor()))

    chart = folded(
        said(filed(KEY, visit(care_team=team), "Practitioner/9"), first), said(later, message="m2", at=at(11))
    )

    assert chart.visit is not None
    assert chart.visit.care_team[0].practitioner == doctor()


def test_facts_of_other_visits_do_not_leak_into_a_chart() -> None:
    other = "CLINIC/VN/V2"
    message = said(
        filed(KEY, diagnosis("I10"), "Patient/1"),
        filed("Patient/1", patient()),
        filed(other, diagnosis("E11.9"), "Patient/1"),
        filed(other, charge()),
        filed("Patient/2", coverage()),
    )
    problem = Problem(Origin("m1", "FT1[2]"), "not_a_number", "not a number", other)

    chart = fold_chart(KEY, [replace(message, problems=(problem,))])

    assert codes(chart) == ["I10"]
    assert (chart.charges, chart.coverages, chart.problems) == ((), (), ())
    assert chart.patient is not None


def test_a_message_that_says_nothing_of_a_visit_is_not_among_its_messages() -> None:
    chart = folded(said(visit()), said(filed("CLINIC/VN/V2", visit()), message="m2"))

    assert chart.messages == ("m1",)


def test_a_problem_of_the_visit_stays_on_its_chart() -> None:
    problem = Problem(Origin("m1", "FT1[2]-10"), "not_a_number", "not a number", KEY)

    assert fold_chart(KEY, [replace(said(), problems=(problem,))]).problems == (problem,)


def test_topics_are_reached_through_other_topics_and_never_backwards() -> None:
    message = said(
        filed(KEY, visit(), "Patient/1"),
        filed("Patient/1", patient(), "Organization/1"),
        filed("CLINIC/VN/V2", visit(), "Patient/1"),
        filed("Organization/1", DirectoryFact(origin()), "Patient/1"),
    )

    assert topics_reached(KEY, [message]) == {KEY, "Patient/1", "Organization/1"}


def test_coverages_stand_in_their_order_of_benefits() -> None:
    assert identities(chart_of(coverage("B", order=2), coverage("A", order=1)).coverages) == ["A", "B"]


# --- is the visit over


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], False),
        ([stay(end=None, status="in-progress")], True),
        ([stay(end=None, status="in-progress"), charge()], True),
        ([stay(end=None, status="in-progress", billable=True)], True),
        ([stay(end=None, status="finished")], False),
        ([stay()], False),
        ([stay(class_code="ACUTE", end=None, status="")], True),
        ([visit(class_code="EMER", end=None, status="in-progress")], True),
        ([visit(end=None, status="planned")], True),
        ([visit(end=None, status="")], True),
        ([visit(end=None, status="in-progress", billable=True)], False),
        ([visit(end=None, status="in-progress"), charge()], False),
        ([visit(end=None, status="in-progress"), procedure(hcpcs("G0463"))], True),
        ([visit(end=None, status="finished")], False),
        ([visit()], False),
    ],
    ids=[
        "no visit",
        "stay",
        "stay with charges",
        "stay said to be billable",
        "finished stay without date",
        "discharged stay",
        "acute stay",
        "emergency",
        "planned",
        "status unknown",
        "said to be billable",
        "with charges",
        "with procedures only",
        "finished without date",
        "ended",
    ],
)
def test_a_visit_is_open_until_discharge_finish_or_the_word_that_it_may_be_billed(
    facts: list[object], expected: bool
) -> None:
    assert is_open(chart_of(*facts)) is expected  # type: ignore[arg-type]  # facts


# --- the date codes are judged on


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([visit(), charge(service_date=When("2026-11-05"))], "2026-11-03"),
        (
            [visit(end=None), charge(service_date=When("2026-11-05")), vaccination(given=When("2026-11-06"))],
            "2026-11-06",
        ),
        ([visit(end=None), procedure(icd("X"), performed=When("2026-11"))], "2026-11-03"),
        ([visit(end=None, start=None)], "None"),
    ],
    ids=["discharge", "last service", "start", "unknown"],
)
def test_codes_are_judged_on_the_discharge_else_the_last_service_else_the_start(
    facts: list[object], expected: str
) -> None:
    assert str(chart_of(*facts).service_date) == expected  # type: ignore[arg-type]  # facts


# --- problems that a later message settles

FAULT = Problem(Origin("m1", "Condition.code"), "missing", "a part that is needed is missing", KEY, "Condition/c1")


def with_problem(message: MessageFacts, problem: Problem = FAULT) -> MessageFacts:
    return replace(message, problems=(problem,))


def test_a_fact_said_anew_settles_the_problem_it_had() -> None:
    first = with_problem(said(visit(), message="m1", at="2026-11-03T10:00:00Z"))
    again = said(diagnosis(identity="Condition/c1"), message="m2", at="2026-11-03T11:00:00Z")

    assert folded(first).problems == (FAULT,)
    assert folded(first, again).problems == ()
    assert folded(again, first).problems == ()


def test_a_problem_stays_while_only_other_facts_come_and_comes_back_with_a_fact_spoiled_again() -> None:
    first = with_problem(said(visit(), message="m1", at="2026-11-03T10:00:00Z"))
    other = said(diagnosis(identity="Condition/c2"), message="m2", at="2026-11-03T11:00:00Z")
    spoiled = with_problem(said(message="m3", at="2026-11-03T12:00:00Z"))

    assert folded(first, other).problems == (FAULT,)
    assert folded(first, other, spoiled).problems == (FAULT,)


def test_a_problem_whose_fact_has_no_name_is_never_settled_by_itself() -> None:
    nameless = replace(FAULT, identity="")
    first = with_problem(said(visit(), message="m1", at="2026-11-03T10:00:00Z"), nameless)
    again = said(diagnosis(), message="m2", at="2026-11-03T11:00:00Z")

    assert folded(first, again).problems == (nameless,)
