"""Charts to coded charts: what comes coded, what the tables choose, what stays a gap, and what each line costs."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_coder.model import (
    Chart,
    CodedChart,
    Coding,
    Concept,
    Kind,
    Money,
    ProcedureFact,
    System,
    VisitFact,
    When,
)
from fhir_coder.terminology.conditions import Conditions
from tests.building import (
    KEY,
    charge,
    chart_of,
    coded,
    coded_chart,
    diagnosis,
    hcpcs,
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

HTN = "38341003"
DIAGNOSES = table(Kind.DIAGNOSIS, System.SNOMED, row(HTN, f"{System.ICD10CM}|I10"), id="dx")
VISITS = table(Kind.VISIT, System.ACT, row("AMB", f"{System.HCPCS}|G0463"), id="visits")
PROCEDURES = table(
    Kind.PROCEDURE,
    System.SNOMED,
    row("80146002", f"{System.ICD10PCS}|0DTJ4ZZ"),
    row("1", f"{System.HCPCS}|J1885"),
    row("2"),
    row("3", needs_detail=True, note="needs the side"),
    id="procedures",
)
CHARGES = table(
    Kind.CHARGE, System.LOCAL, row("RAD-CXR1", f"{System.HCPCS}|Q0092", "87.50"), row("KIT"), id="charge-master"
)
FEES = table(
    Kind.FEE, System.HCPCS, row("G0463", f"{System.HCPCS}|G0463", "150"), row("J1885", f"{System.HCPCS}|J1885", "2.25")
)
CVX_DX = table(Kind.DIAGNOSIS, System.CVX, row("140", f"{System.ICD10CM}|Z23"), id="cvx-dx")
CVX = table(Kind.IMMUNIZATION, System.CVX, row("140", f"{System.HCPCS}|G0008"), id="cvx")
ALL = (DIAGNOSES, VISITS, PROCEDURES, CHARGES, FEES, CVX_DX, CVX)


def codes(chart: CodedChart) -> list[str]:
    return [line.code.code for line in chart.lines]


def reasons(chart: CodedChart) -> list[str]:
    return [gap.reason for gap in chart.gaps]


def local(code: str) -> Concept:
    return coded(System.LOCAL, code)


# --- diagnoses


def test_a_diagnosis_that_came_coded_passes_through_with_its_origin() -> None:
    result = coded_chart(chart_of(visit(), diagnosis("E11.9")))

    (one,) = result.diagnoses
    assert one.code == Coding(System.ICD10CM, "E11.9")
    assert (one.trace.code, one.trace.note, one.trace.table) == ("E11.9", "came coded", "")
    assert (one.trace.origin.message, one.trace.origin.path) == ("m1", "DG1[1]")
    assert result.gaps == ()


def test_a_diagnosis_is_translated_by_a_row_and_its_trace_names_the_row() -> None:
    (one,) = coded_chart(chart_of(visit(), diagnosis(sct(HTN))), *ALL).diagnoses

    assert (one.code.system, one.code.code) == (System.ICD10CM, "I10")
    assert (one.trace.table, one.trace.row, one.trace.source.code) == ("dx", 2, HTN)


def test_a_code_that_came_beside_its_source_concept_needs_no_row() -> None:
    both = Concept((Coding(System.SNOMED, "999"), Coding(System.ICD10CM, "I10")))

    assert [d.code.code for d in coded_chart(chart_of(visit(), diagnosis(both))).diagnoses] == ["I10"]


@pytest.mark.parametrize(
    ("concept", "reason"),
    [
        (sct("999"), "no_row"),
        (coded(System.LOINC, "8480-6"), "no_table"),
        (coded("", "BP"), "no_system"),
        (Concept(text="words only"), "no_code"),
        (coded(System.ICD10CM, "I10", "I11.9"), "ambiguous"),
    ],
)
def test_a_diagnosis_that_no_rule_decides_is_a_gap_and_no_code(concept: Concept, reason: str) -> None:
    result = coded_chart(chart_of(visit(), diagnosis(concept)), *ALL)

    assert result.diagnoses == ()
    assert reasons(result) == [reason]
    assert (result.gaps[0].chart_key, result.gaps[0].origin.path) == (KEY, "DG1[1]")


def test_two_rows_that_fit_equally_well_are_a_gap() -> None:
    both = table(
        Kind.DIAGNOSIS, System.SNOMED, row(HTN, f"{System.ICD10CM}|I10"), row(HTN, f"{System.ICD10CM}|I15.9"), id="dx"
    )

    result = coded_chart(chart_of(visit(), diagnosis(sct(HTN))), both)

    assert (result.diagnoses, reasons(result)) == ((), ["ambiguous"])


def test_a_row_that_asks_for_what_is_not_known_is_a_gap_and_not_passed_over() -> None:
    asks = table(
        Kind.DIAGNOSIS,
        System.SNOMED,
        row(HTN, f"{System.ICD10CM}|O10.919", conditions=Conditions(sex="female")),
        row(HTN, f"{System.ICD10CM}|I10", priority=2),
        id="dx",
    )
    known, unknown = chart_of(patient(sex="male"), diagnosis(sct(HTN))), chart_of(diagnosis(sct(HTN)))

    assert [d.code.code for d in coded_chart(known, asks).diagnoses] == ["I10"]
    assert reasons(coded_chart(unknown, asks)) == ["unknown_context"]


def test_not_billable_is_an_answer_with_a_trace_and_no_gap() -> None:
    nothing = table(Kind.DIAGNOSIS, System.SNOMED, row("224299000"), id="not-billable")

    result = coded_chart(chart_of(visit(), diagnosis(sct("224299000"))), nothing)

    assert (result.diagnoses, result.gaps) == ((), ())
    assert [(t.table, t.row, t.code, t.source.code) for t in result.not_billable] == [
        ("not-billable", 2, "", "224299000")
    ]


def test_two_mentions_that_mean_one_billing_code_are_one_diagnosis() -> None:
    result = coded_chart(chart_of(visit(), diagnosis(sct(HTN), "A"), diagnosis("I10", "B")), *ALL)

    assert [d.code.code for d in result.diagnoses] == ["I10"]


def test_a_stay_keeps_its_admitting_diagnosis_beside_an_equal_principal_one() -> None:
    facts = (diagnosis("I21.4", "A", kind="final", rank=1), diagnosis("I21.4", "B", kind="admitting"))

    inpatient = coded_chart(chart_of(stay(), *facts)).diagnoses
    outpatient = coded_chart(chart_of(visit(), *facts)).diagnoses

    assert [d.fact.kind for d in inpatient] == ["final", "admitting"]
    assert [d.fact.kind for d in outpatient] == ["final"]


def test_a_service_before_icd10_is_a_note_and_nothing_is_coded() -> None:
    old = visit(start=When("2015-09-30"), end=When("2015-09-30"))

    before = coded_chart(chart_of(old, diagnosis(), charge()), *ALL)
    first_day = visit(start=When("2015-10-01"), end=When("2015-10-01"))

    assert before.notes == ("before_icd10",)
    assert (before.diagnoses, before.lines, before.gaps) == ((), (), ())
    assert len(coded_chart(chart_of(first_day, diagnosis(), charge()), *ALL).lines) == 1


def test_a_stay_that_ends_after_icd10_began_is_coded_by_its_discharge() -> None:
    across = stay(start=When("2015-09-28"), end=When("2015-10-02"))

    assert len(coded_chart(chart_of(across, diagnosis())).diagnoses) == 1


# --- vaccinations


def test_a_vaccination_alone_gives_its_diagnosis_by_table() -> None:
    result = coded_chart(chart_of(visit(class_code=""), vaccination()), *ALL)

    assert [d.code.code for d in result.diagnoses] == ["Z23"]
    assert (codes(result), result.lines[0].diagnoses) == (["G0008"], (0,))


def test_a_vaccination_beside_a_recorded_diagnosis_adds_none() -> None:
    result = coded_chart(chart_of(visit(), diagnosis(), vaccination()), *ALL)

    assert [d.code.code for d in result.diagnoses] == ["I10"]


def test_a_vaccination_without_a_diagnosis_row_makes_no_gap_for_one() -> None:
    result = coded_chart(chart_of(visit(class_code=""), vaccination()), CVX)

    assert (result.diagnoses, result.gaps, codes(result)) == ((), (), ["G0008"])


# --- which facts make the lines


def test_charges_make_the_lines_and_procedures_vaccinations_and_the_visit_then_do_not() -> None:
    result = coded_chart(chart_of(visit(), charge("J1885"), procedure(sct("1")), vaccination()), *ALL)

    assert codes(result) == ["J1885"]


def test_without_charges_procedures_vaccinations_and_a_typed_visit_make_the_lines() -> None:
    typed = table(Kind.VISIT, System.SNOMED, row("185349003", f"{System.HCPCS}|G0463"), id="types")
    seen = visit(types=(sct("185349003"),))

    result = coded_chart(chart_of(seen, procedure(sct("1")), vaccination()), *ALL, typed)

    assert codes(result) == ["J1885", "G0008", "G0463"]


def test_the_class_bills_the_visit_only_where_nothing_else_is_billed() -> None:
    assert codes(coded_chart(chart_of(visit()), *ALL)) == ["G0463"]
    assert codes(coded_chart(chart_of(visit(), procedure(sct("1"))), *ALL)) == ["J1885"]


def test_a_visit_that_no_table_knows_makes_neither_line_nor_gap() -> None:
    result = coded_chart(chart_of(visit(types=(sct("999"),), class_code="HH")), *ALL)

    assert (result.lines, result.gaps) == ((), ())


def test_visit_types_that_mean_different_codes_are_a_gap_and_not_the_first_of_them() -> None:
    typed = table(
        Kind.VISIT, System.SNOMED, row("11", f"{System.HCPCS}|G0463"), row("12", f"{System.HCPCS}|G0438"), id="types"
    )

    result = coded_chart(chart_of(visit(types=(sct("11"), sct("12")))), typed)

    assert (result.lines, reasons(result)) == ((), ["ambiguous"])


def test_charges_that_are_all_gaps_are_not_made_good_by_procedures_or_the_visit() -> None:
    result = coded_chart(chart_of(visit(), charge(local("UNKNOWN")), procedure(sct("1"))), *ALL)

    assert (result.lines, reasons(result)) == ((), ["no_row"])


def test_a_charge_that_is_not_billable_makes_no_line_and_keeps_its_trace() -> None:
    result = coded_chart(chart_of(visit(), charge(local("KIT"))), *ALL)

    assert (result.lines, result.gaps) == ((), ())
    assert [t.source.code for t in result.not_billable] == ["KIT"]


def test_a_charge_whose_service_has_no_row_is_coded_by_its_charge_code() -> None:
    result = coded_chart(chart_of(visit(), charge(sct("999"), item=local("RAD-CXR1"))), *ALL)

    assert (codes(result), result.gaps) == (["Q0092"], ())
    assert result.lines[0].trace.source.code == "RAD-CXR1"


def test_a_charge_that_came_with_two_billing_codes_is_a_gap() -> None:
    result = coded_chart(chart_of(visit(), charge(coded(System.HCPCS, "G0463", "J1885"))), *ALL)

    assert (result.lines, reasons(result)) == ((), ["ambiguous"])


def test_a_row_that_needs_detail_is_a_gap_that_says_what_is_missing() -> None:
    result = coded_chart(chart_of(visit(class_code=""), procedure(sct("3"))), *ALL)

    assert [(g.reason, g.text) for g in result.gaps] == [("needs_detail", "needs the side")]


def test_an_unknown_modifier_extension_is_a_gap_even_on_a_coded_procedure() -> None:
    changed = procedure(hcpcs("J1885"), unknown_modifier="https://example.org/half-done")

    result = coded_chart(chart_of(visit(), changed), *ALL)

    assert "J1885" not in codes(result)
    assert reasons(result) == ["unknown_modifier"]
    assert "example.org" not in result.gaps[0].text


def test_an_outpatient_procedure_beside_charges_is_passed_over_where_it_has_no_billing_code() -> None:
    result = coded_chart(chart_of(visit(), charge(), procedure(sct("999"))), *ALL)

    assert (codes(result), result.gaps, result.notes) == (["G0463"], (), ())


@pytest.mark.parametrize(("charged", "notes"), [("G0463", ("procedure_without_charge",)), ("J1885", ())])
def test_a_coded_procedure_beside_charges_makes_no_line_but_a_missing_charge_is_noted(
    charged: str, notes: tuple[str, ...]
) -> None:
    result = coded_chart(chart_of(visit(), charge(charged), procedure(hcpcs("J1885"))), *ALL)

    assert (codes(result), result.notes) == ([charged], notes)


# --- ICD-10-PCS


def pcs(code: str = "0DTJ4ZZ") -> Concept:
    return coded(System.ICD10PCS, code)


def test_an_inpatient_procedure_stands_beside_the_charges() -> None:
    result = coded_chart(chart_of(stay(), charge(), procedure(sct("80146002"))), *ALL)

    assert [p.code.code for p in result.procedures] == ["0DTJ4ZZ"]
    assert codes(result) == ["G0463"]


def test_a_procedure_that_is_also_charged_by_its_pcs_code_is_on_the_claim_once() -> None:
    facts = (stay(), charge(pcs()), procedure(pcs(), performed=When("2026-11-03T12:00:00-06:00")))

    result = coded_chart(chart_of(*facts), *ALL)

    assert [p.code.code for p in result.procedures] == ["0DTJ4ZZ"]
    assert result.lines[0].procedures == (0,)


def test_the_same_operation_on_two_days_is_two_procedures() -> None:
    again = procedure(pcs(), "P2", performed=When("2026-11-02"))

    assert len(coded_chart(chart_of(stay(), procedure(pcs()), again)).procedures) == 2


# --- pointers

MANY = tuple(diagnosis(code) for code in ("I10", "E11.9", "J20.9", "M54.50", "R05.9"))


def test_a_line_that_names_no_diagnosis_points_to_the_first_four_in_billing_order() -> None:
    (line,) = coded_chart(chart_of(visit(), *MANY, charge())).lines

    assert line.diagnoses == (0, 1, 2, 3)


def test_a_line_points_to_the_diagnoses_it_names_in_the_order_it_names_them() -> None:
    (line,) = coded_chart(chart_of(visit(), *MANY, charge(diagnoses=(icd("R05.9"), icd("E11.9"))))).lines

    assert line.diagnoses == (4, 1)


def test_a_line_that_names_five_diagnoses_points_to_the_first_four_of_them() -> None:
    named = tuple(icd(code) for code in ("R05.9", "M54.50", "J20.9", "E11.9", "I10"))

    (line,) = coded_chart(chart_of(visit(), *MANY, charge(diagnoses=named))).lines

    assert line.diagnoses == (4, 3, 2, 1)


def test_a_line_names_a_diagnosis_by_reference_by_source_code_or_by_billing_code() -> None:
    facts = (diagnosis("E11.9", rank=1), diagnosis(sct(HTN), "Condition/7"))
    by_reference = charge(identity="A", diagnosis_refs=("Condition/7",))
    by_source = charge(identity="B", diagnoses=(sct(HTN),))
    mentioned = diagnosis(icd("I10"), "FT1")
    by_code = charge(identity="C", diagnoses=(icd("I10"),))

    result = coded_chart(chart_of(visit(), *facts, mentioned, by_reference, by_source, by_code), *ALL)

    assert [line.diagnoses for line in result.lines] == [(1,), (1,), (1,)]


def test_the_admitting_diagnosis_is_not_pointed_to_unless_it_is_named_or_alone() -> None:
    facts = (stay(), diagnosis("I21.4", kind="final", rank=1), diagnosis("R07.9", kind="admitting"))
    named = charge(identity="T2", diagnoses=(icd("R07.9"),))

    result = coded_chart(chart_of(*facts, charge(), named))
    alone = coded_chart(chart_of(stay(), diagnosis("R07.9", kind="admitting"), charge()))

    assert [line.diagnoses for line in result.lines] == [(0,), (1,)]
    assert alone.lines[0].diagnoses == (0,)


def test_procedures_point_to_their_reasons() -> None:
    done = procedure(sct("1"), reasons=("Condition/7",), reason_concepts=(icd("J20.9"),))

    result = coded_chart(chart_of(visit(), *MANY, diagnosis("Z00.00", "Condition/7"), done), *ALL)

    assert result.lines[0].diagnoses == (5, 2)


# --- amounts


def amounts(chart: Chart) -> list[tuple[Money | None, Money | None]]:
    return [(line.unit_price, line.net) for line in coded_chart(chart, *ALL).lines]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"amount": money("300.00"), "quantity": Decimal(3)}, ("100.00", "300.00")),
        ({"amount": money("100.00"), "quantity": Decimal(3)}, (None, "100.00")),
        ({"amount": None, "unit_amount": money("33.33"), "quantity": Decimal(3)}, ("33.33", "99.99")),
        ({"amount": None, "unit_amount": money("3.33"), "quantity": Decimal("1.5")}, ("3.33", "5.00")),
        ({"amount": money("90.00"), "unit_amount": money("50.00"), "quantity": Decimal(2)}, ("50.00", "90.00")),
        ({"amount": money("0.00")}, ("0.00", "0.00")),
        ({"amount": money("10.00"), "quantity": Decimal(0)}, (None, "10.00")),
        ({"amount": None, "quantity": Decimal(2)}, ("150", "300.00")),
    ],
    ids=["divides", "does not divide", "by unit", "half a cent up", "both as sent", "free", "no units", "fee table"],
)
def test_amounts_are_as_sent_and_nothing_is_rounded_away(
    said: dict[str, object], expected: tuple[str | None, str | None]
) -> None:
    ((unit, net),) = amounts(chart_of(visit(), charge(**said)))  # type: ignore[arg-type]  # any amounts

    assert tuple(m and str(m.value) for m in (unit, net)) == expected


@given(
    quantity=st.decimals(min_value=1, max_value=999, places=1),
    amount=st.decimals(min_value=0, max_value=99999, places=2),
)
def test_a_unit_price_is_only_made_where_it_gives_the_amount_again_exactly(quantity: Decimal, amount: Decimal) -> None:
    ((unit, net),) = amounts(chart_of(visit(), charge(quantity=quantity, amount=Money(amount, "USD"))))

    assert net is not None
    assert net.value == amount
    assert unit is None or unit.value * quantity == amount


@given(quantity=st.integers(1, 999), price=st.decimals(min_value=0, max_value=9999, places=2))
def test_whole_units_at_a_unit_price_are_exact_to_the_cent(quantity: int, price: Decimal) -> None:
    said = charge(quantity=Decimal(quantity), amount=None, unit_amount=Money(price, "USD"))

    ((_, net),) = amounts(chart_of(visit(), said))

    assert net is not None
    assert net.value == price * quantity


def test_a_price_comes_from_the_message_before_the_charge_master_before_the_fee_table() -> None:
    by_master = charge(local("RAD-CXR1"), "A", amount=None)
    by_message = charge(local("RAD-CXR1"), "B", amount=money("80.00"))
    by_fees = charge("G0463", "C", amount=None)
    unpriced = charge("L4387", "D", amount=None)

    nets = [net for _, net in amounts(chart_of(visit(), by_master, by_message, by_fees, unpriced))]

    assert nets == [money("87.50"), money("80.00"), money("150.00"), None]


def test_a_charge_that_came_coded_is_priced_by_the_charge_master_row_of_its_charge_code() -> None:
    same = charge("Q0092", "A", amount=None, item=local("RAD-CXR1"))
    other = charge("L4387", "B", amount=None, item=local("RAD-CXR1"))

    nets = [net for _, net in amounts(chart_of(visit(), same, other))]

    assert nets == [money("87.50"), None]


def test_a_made_line_is_one_unit_at_the_fee_tables_price_in_the_sites_currency() -> None:
    (line,) = coded_chart(chart_of(visit(class_code=""), procedure(sct("1"))), *ALL).lines

    assert (line.quantity, line.unit_price, line.net) == (Decimal(1), money("2.25"), money("2.25"))


def test_a_line_made_of_a_procedure_keeps_its_modifiers_people_and_day() -> None:
    right = Coding(System.HCPCS, "RT")
    done: ProcedureFact = procedure(sct("1"), modifiers=(right,), care_team=(member(),))

    (line,) = coded_chart(chart_of(visit(class_code=""), done), *ALL).lines

    assert (line.modifiers, line.care_team, line.service_date) == ((right,), (member(),), When("2026-11-03"))


def test_a_line_made_of_the_visit_is_dated_at_its_start() -> None:
    (line,) = coded_chart(chart_of(visit()), *ALL).lines

    assert isinstance(line.fact, VisitFact)
    assert line.service_date == visit().start


def test_rows_are_chosen_on_the_day_of_the_service() -> None:
    dated = table(
        Kind.CHARGE,
        System.LOCAL,
        row("RAD-CXR1", f"{System.HCPCS}|Q0092", conditions=Conditions(valid_to=date(2026, 11, 2))),
        row("RAD-CXR1", f"{System.HCPCS}|R0070", conditions=Conditions(valid_from=date(2026, 11, 3))),
        id="charge-master",
    )
    first = charge(local("RAD-CXR1"), "A", service_date=When("2026-11-02"))

    assert codes(coded_chart(chart_of(stay(), first, charge(local("RAD-CXR1"), "B")), dated)) == ["Q0092", "R0070"]
