"""The fold goes on message by message and gives what a whole fold gives; merges, moves and versions of resources."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.charts import (
    ChartFold,
    ChartStatus,
    chart_status,
    chart_to_bytes,
    different_paths,
    fold_chart,
    timeline,
)
from fhir_coder.model import (
    CancelFact,
    Chart,
    Concept,
    DirectoryFact,
    Fact,
    FiledFact,
    Identifier,
    MergeFact,
    MessageFacts,
    MoveFact,
    Name,
    Origin,
    PatientFact,
    PersonFact,
    PlaceFact,
    Stamp,
    VisitFact,
    When,
)
from tests.building import KEY, charge, coverage, diagnosis, doctor, money, origin, patient, said, stay, visit
from tests.unit.test_charts import CHARGES, DIAGNOSES

OLD = "CLINIC/VN/V0"
PRIOR, SURVIVOR = "CLINIC/PI/A", "CLINIC/PI/B"


def at(minute: int) -> str:
    return f"2026-11-03T{minute // 60:02}:{minute % 60:02}:00Z"


def person(number: str, **known: object) -> PatientFact:
    return patient(**({"identifiers": (Identifier(number, "CLINIC", "MR"),)} | known))


def filed(topic: str, fact: Fact, *refs: str, stamp: Stamp | None = None) -> FiledFact:
    return FiledFact(topic, fact, refs, stamp)


MERGE = filed(PRIOR, MergeFact(origin("MRG"), PRIOR, SURVIVOR, person("B", name=Name("Newer"))), SURVIVOR)
UNMERGE = filed(PRIOR, MergeFact(origin("PID"), PRIOR, SURVIVOR, removed=True))
MOVE = filed(OLD, MoveFact(origin("MRG"), KEY))

FACTS = st.one_of(
    DIAGNOSES,
    CHARGES,
    st.builds(lambda s: visit(status=s), st.sampled_from(["", "finished", "planned"])),
    st.builds(lambda w: CancelFact(origin(), w), st.sampled_from(["admit", "discharge", "planned"])),
    st.builds(lambda g: coverage(group=g), st.sampled_from(["", "G1"])),
)
FILED = st.one_of(
    st.builds(lambda fact, topic: filed(topic, fact), FACTS, st.sampled_from([KEY, KEY, OLD])),
    st.builds(
        lambda n, p: filed(KEY, person(n, phone=p), f"CLINIC/PI/{n}"), st.sampled_from("AB"), st.sampled_from(["", "5"])
    ),
    st.builds(
        lambda n, p: filed(f"CLINIC/PI/{n}", PersonFact(origin("PID"), person(n, phone=p))),
        st.sampled_from("AB"),
        st.sampled_from(["6", "7"]),
    ),
    st.sampled_from([MERGE, UNMERGE, MOVE, filed(KEY, visit(), OLD), filed(PRIOR, DirectoryFact(origin(), doctor()))]),
    st.builds(
        lambda v, c: filed(KEY, diagnosis(c, "Condition/1"), stamp=Stamp("Condition/1", version=str(v))),
        st.integers(1, 3),
        st.sampled_from(["I10", "E11.9"]),
    ),
)
STREAMS = st.lists(st.lists(FILED, max_size=4), min_size=1, max_size=7)


def stream(listed: list[list[FiledFact]]) -> list[MessageFacts]:
    """One message a minute."""
    return [said(*facts, message=f"m{n}", at=at(n)) for n, facts in enumerate(listed)]


@given(STREAMS, st.data())
def test_any_order_of_arrival_with_repeats_gives_the_same_chart(
    listed: list[list[FiledFact]], data: st.DataObject
) -> None:
    messages = stream(listed)
    arrived = data.draw(st.permutations([*messages, *data.draw(st.lists(st.sampled_from(messages), max_size=3))]))

    assert fold_chart(KEY, arrived) == fold_chart(KEY, messages)


@given(STREAMS, st.data())
def test_messages_that_never_come_leave_the_chart_of_the_rest(
    listed: list[list[FiledFact]], data: st.DataObject
) -> None:
    messages = stream(listed)
    kept = [message for message in messages if data.draw(st.booleans())]

    assert fold_chart(KEY, data.draw(st.permutations(kept))) == fold_chart(KEY, kept)


@given(STREAMS, st.data())
def test_a_fold_that_goes_on_gives_after_each_message_what_a_whole_fold_gives(
    listed: list[list[FiledFact]], data: st.DataObject
) -> None:
    arrived = data.draw(st.permutations(stream(listed)))
    going_on = ChartFold(KEY)

    for number, message in enumerate(arrived, start=1):
        going_on.add(message)
        assert chart_to_bytes(going_on.chart()) == chart_to_bytes(fold_chart(KEY, arrived[:number]))


# --- order


def test_between_messages_of_one_event_time_the_time_of_sending_then_the_sequence_decides() -> None:
    first = replace(said(visit(class_code="A"), message="m1"), sent_at=When(at(1)))
    second = replace(said(visit(class_code="B"), message="m2"), sent_at=When(at(2)), sequence=1)
    third = replace(said(visit(class_code="C"), message="m3"), sent_at=When(at(2)), sequence=2)
    messages = [first, second, third]

    for seed in range(6):
        Random(seed).shuffle(messages)
        chart = fold_chart(KEY, messages)
        assert chart.visit is not None
        assert chart.visit.class_code == "C"
        assert chart.messages == ("m1", "m2", "m3")


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (Stamp("Condition/1", When(at(9))), Stamp("Condition/1", When(at(8)))),
        (Stamp("Condition/1", version="10"), Stamp("Condition/1", version="9")),
        (Stamp("Condition/1", When(at(9)), "1"), Stamp("Condition/1", When(at(8)), "2")),
    ],
    ids=["lastUpdated", "versionId", "lastUpdated before versionId"],
)
def test_an_older_version_of_a_resource_never_overrides_a_newer_one(newer: Stamp, older: Stamp) -> None:
    fact = diagnosis("I10", "Condition/1")
    chart = fold_chart(
        KEY,
        [
            said(filed(KEY, fact, stamp=newer), message="m1", at=at(10)),
            said(filed(KEY, replace(fact, concept=Concept(text="old")), stamp=older), message="m2", at=at(20)),
        ],
    )

    assert [d.concept for d in chart.diagnoses] == [fact.concept]


def test_an_older_version_does_not_bring_back_what_a_newer_one_took_away() -> None:
    gone = filed(KEY, diagnosis(identity="C1", removed=True), stamp=Stamp("C1", version="2"))
    there = filed(KEY, diagnosis(identity="C1"), stamp=Stamp("C1", version="1"))

    assert fold_chart(KEY, [said(gone, at=at(1)), said(there, message="m2", at=at(2))]).diagnoses == ()


# --- cleared


def test_what_a_sender_deletes_is_gone_and_the_rest_stays() -> None:
    first = said(patient(phone="555", sex="female"), stay(admission_type="1"), at=at(1))
    later = said(
        PatientFact(origin("PID"), cleared=("phone",)),
        VisitFact(origin("PV1"), cleared=("end",)),
        message="m2",
        at=at(2),
    )

    chart = fold_chart(KEY, [first, later])

    assert chart.patient is not None
    assert chart.visit is not None
    assert (chart.patient.phone, chart.patient.sex, chart.patient.cleared) == ("", "female", ())
    assert (chart.visit.end, chart.visit.admission_type) == (None, "1")


# --- merges


def patient_family(chart: Chart) -> str:
    return chart.patient.name.family if chart.patient and chart.patient.name else ""


def test_a_merge_leaves_what_the_survivor_does_not_say() -> None:
    visit_of_a = said(filed(KEY, person("A", phone="555"), PRIOR), at=at(1))

    chart = fold_chart(KEY, [visit_of_a, said(MERGE, message="m2", at=at(2))])

    assert patient_family(chart) == "Newer"
    assert chart.patient is not None
    assert chart.patient.phone == "555"
    assert chart.messages == ("m1", "m2")


def test_a_message_with_the_merged_number_that_comes_after_the_merge_shows_the_survivor_too() -> None:
    late = said(filed(KEY, person("A"), PRIOR), message="m2", at=at(3))

    assert patient_family(fold_chart(KEY, [said(MERGE, at=at(2)), late])) == "Newer"


def test_a_patient_who_has_both_numbers_already_is_left_as_said() -> None:
    both = said(filed(KEY, person("B", name=Name("Latest")), SURVIVOR, PRIOR), message="m2", at=at(3))

    assert patient_family(fold_chart(KEY, [said(MERGE, at=at(2)), both])) == "Latest"


def test_a_merge_of_a_merge_leads_to_the_last_survivor_and_a_merge_back_to_the_first() -> None:
    visit_of_a = said(filed(KEY, person("A"), PRIOR), at=at(1))
    onward = filed(
        SURVIVOR, MergeFact(origin(), SURVIVOR, "CLINIC/PI/C", person("C", name=Name("Third"))), "CLINIC/PI/C"
    )
    back = filed(SURVIVOR, MergeFact(origin(), SURVIVOR, PRIOR, person("A", name=Name("First"))), PRIOR)
    merged = [visit_of_a, said(MERGE, message="m2", at=at(2))]

    assert patient_family(fold_chart(KEY, [*merged, said(onward, message="m3", at=at(3))])) == "Third"
    assert patient_family(fold_chart(KEY, [*merged, said(back, message="m3", at=at(3))])) == "Testcase"


def test_a_fhir_patient_that_was_replaced_shows_the_record_that_replaces_it() -> None:
    chart = fold_chart(
        KEY,
        [
            said(
                filed(KEY, visit(patient_ref="Patient/1"), "Patient/1"),
                filed("Patient/1", person("A")),
                filed("Patient/1", MergeFact(origin(), "Patient/1", "Patient/2"), "Patient/2"),
                filed("Patient/2", person("B", name=Name("Newer"))),
            )
        ],
    )

    assert patient_family(chart) == "Newer"


# --- moves


def test_a_cancelled_number_does_not_cancel_the_visit_that_its_messages_were_merged_into() -> None:
    messages = [
        said(filed(OLD, visit(status="in-progress")), message="m1", at=at(1)),
        said(filed(OLD, CancelFact(origin(), "admit")), message="m2", at=at(2)),
        said(filed(KEY, visit(status="in-progress"), OLD), message="m3", at=at(3)),
        said(MOVE, filed(KEY, visit(status=""), OLD), message="m4", at=at(4)),
    ]

    assert not fold_chart(KEY, messages).cancelled
    assert fold_chart(KEY, [m for m in messages if m.message != "m3"]).cancelled


def test_an_encounter_of_another_subject_now_has_moved_to_that_subjects_chart() -> None:
    old, new = "Patient/1/Encounter/9", "Patient/2/Encounter/9"
    messages = [
        said(
            filed(old, visit(), "Encounter/9"), filed("Encounter/9", PlaceFact(origin(), old)), message="m1", at=at(1)
        ),
        said(
            filed(new, visit(), "Encounter/9"), filed("Encounter/9", PlaceFact(origin(), new)), message="m2", at=at(2)
        ),
    ]

    before, after = fold_chart(old, messages), fold_chart(new, messages)

    assert (before.moved_to, chart_status(before)) == (new, ChartStatus.MOVED)
    assert (after.moved_to, after.moved_from) == ("", (old,))


# --- bytes and timeline


def test_the_bytes_of_a_chart_keep_every_digit_and_leave_out_what_is_empty() -> None:
    written = chart_to_bytes(fold_chart(KEY, [said(charge(amount=money("336.50"), quantity=Decimal("1.0")))]))

    assert b'"value":"336.50"' in written
    assert b'"quantity":"1.0"' in written
    assert b"ndc" not in written


def test_differences_of_charts_are_told_by_path_without_values() -> None:
    one = chart_to_bytes(fold_chart(KEY, [said(charge(), diagnosis("I10"))]))
    other = chart_to_bytes(fold_chart(KEY, [said(charge(amount=money("1.00")), diagnosis("I10"), coverage())]))

    assert different_paths(one, other) == ["charges[0].amount.value", "coverages[0]"]
    assert different_paths(one, one) == []


def test_a_timeline_shows_words_in_the_place_of_a_code_to_nobody() -> None:
    named = replace(charge(), concept=Concept((replace(charge().concept.codings[0], code="Poison Name"),)))
    entries = timeline(KEY, [said(named, patient(name=Name("Poison")), visit(location="Poison"))])

    assert "Poison" not in repr(entries)
    assert [c.kind for c in entries[0].changes] == ["patient", "visit", "charge"]


def test_a_timeline_tells_the_amount_of_one_unit_from_the_amount_of_all() -> None:
    whole = charge(identity="T1", quantity=Decimal(2), amount=money("24.00"))
    single = charge(identity="T2", quantity=Decimal(2), amount=None, unit_amount=money("12.00"))
    [entry] = timeline(KEY, [said(whole, single)])

    assert [change.what.partition("   ")[2] for change in entry.changes] == ["2 for USD 24.00", "2 × USD 12.00"]


def test_a_message_that_says_nothing_new_changes_nothing() -> None:
    entries = timeline(KEY, [said(diagnosis(), at=at(1)), said(diagnosis(), message="m2", at=at(2))])

    assert [len(entry.changes) for entry in entries] == [1, 0]
    assert Origin("m1", "X").message == entries[0].message


def test_a_charge_that_names_a_known_diagnosis_anew_adds_none_to_the_timeline() -> None:
    full = diagnosis("I10", "I10/F/2026-11-03", kind="final", rank=1)
    mention, other = diagnosis("I10", "I10//"), diagnosis("E11.9", "E11.9//")
    admitting = diagnosis("I10", "I10/A", kind="admitting")
    entries = timeline(KEY, [said(full, at=at(1)), said(mention, other, admitting, message="m2", at=at(2))])

    told = [f"{change.sign} {change.what}" for change in entries[1].changes]
    assert told == ["+ ICD-10-CM E11.9", "+ ICD-10-CM I10"]
