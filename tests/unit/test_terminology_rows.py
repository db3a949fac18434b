"""What a row may ask and bring, combinations of groups, layers, and what becomes of an unknown context."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_coder.coding import VisitPlace, code_chart
from fhir_coder.errors import TableError
from fhir_coder.model import (
    ChargeFact,
    Choice,
    CodedChart,
    Coding,
    CodingContext,
    Concept,
    Fact,
    Gap,
    Kind,
    Origin,
    System,
)
from fhir_coder.terminology import CodeSets, Tables, check_tables, load_tables
from fhir_coder.terminology.check_digits import is_loinc
from tests.building import (
    charge,
    chart_of,
    coded,
    diagnosis,
    good_chart,
    money,
    patient,
    procedure,
    sct,
    vaccination,
    visit,
)

HEADER = """id = "{id}"
title = "T"
kind = "{kind}"
source_system = "{source}"
version = "1"
licence = "CC0-1.0"
{more}
"""
Write = Callable[..., Tables]
ON = date(2026, 11, 3)


@pytest.fixture
def load(tmp_path: Path) -> Write:
    def loaded(
        body: str, id: str = "t", kind: str = "diagnosis", source: str = "sct", more: str = 'target_system = "icd10cm"'
    ) -> Tables:
        (tmp_path / f"{id}.csv").write_text(body, encoding="utf-8")
        header = HEADER.format(id=id, kind=kind, source=source, more=more)
        (tmp_path / f"{id}.toml").write_text(header, encoding="utf-8")
        return load_tables([tmp_path])

    return loaded


def ask(tables: Tables, code: str = "1", **known: object) -> list[str] | str:
    context = CodingContext(**{"service_date": ON, **known})  # type: ignore[arg-type] # a test names only what matters
    found = tables.choose(Kind.DIAGNOSIS, Concept((Coding(System.SNOMED, code),)), context, Origin("m", "p"), "c")
    return found.reason if isinstance(found, Gap) else [one.trace.code for one in (found, *found.also)]


@pytest.mark.parametrize(
    ("column", "cell", "fits", "fits_not"),
    [
        ("care_setting", "11 22", {"care_setting": "22"}, {"care_setting": "21"}),
        ("feed", "clinic", {"feed": "clinic"}, {"feed": "lab"}),
        ("laterality", "left", {"laterality": "left"}, {"laterality": "right"}),
        ("use", "principal", {"use": "principal"}, {"use": "secondary"}),
        (
            "with",
            "214264003 icd10cm|I10",
            {"codes": frozenset({f"{System.SNOMED}|214264003", f"{System.ICD10CM}|I10"})},
            {"codes": frozenset({f"{System.SNOMED}|214264003"})},
        ),
    ],
)
def test_every_condition_is_true_false_or_a_gap(
    load: Write, column: str, cell: str, fits: dict[str, object], fits_not: dict[str, object]
) -> None:
    tables = load(f"source_code,target_code,priority,{column}\n1,I11.9,1,{cell}\n1,I10,2,\n")

    assert ask(tables, **fits) == ["I11.9"]
    assert ask(tables, **fits_not) == ["I10"]
    assert ask(tables) == "unknown_context"


NO_PLACE = VisitPlace()
GROUPS = (
    "source_code,target_code,group,priority,sex\n1,E11.22,1,1,\n1,N18.30,2,1,female\n1,Z79.4,3,1,male\n1,Z79.84,3,2,\n"
)


def test_all_groups_give_a_code_and_one_without_a_fitting_row_gives_none(load: Write) -> None:
    tables = load(GROUPS)

    assert ask(tables, sex="female") == ["E11.22", "N18.30", "Z79.84"]
    assert ask(tables, sex="male") == ["E11.22", "Z79.4"]
    assert ask(tables) == "unknown_context"


def test_the_default_row_is_given_for_what_is_not_known_where_the_table_says_so_and_is_marked(load: Write) -> None:
    tables = load(
        "source_code,target_code,priority,sex,note\n1,I11.9,1,male,\n1,I10,2,,why\n",
        more='target_system = "icd10cm"\nwhen_unknown = "default-row"',
    )
    found = tables.choose(Kind.DIAGNOSIS, sct("1"), CodingContext(service_date=ON), Origin("m", "p"), "c")

    assert isinstance(found, Choice)
    assert (found.trace.code, found.trace.note) == ("I10", "default row: not known: sex; why")
    assert ask(tables, sex="male") == ["I11.9"]


def test_the_site_may_want_default_rows_of_all_tables_that_do_not_say(load: Write, tmp_path: Path) -> None:
    load("source_code,target_code,priority,sex\n1,I11.9,1,male\n1,I10,2,\n")

    assert ask(load_tables([tmp_path], when_unknown="default-row")) == ["I10"]


def test_a_payers_table_goes_before_the_sites_and_both_before_a_publishers(load: Write) -> None:
    target = 'target_system = "icd10cm"\nlayer = "{}"'
    load("source_code,target_code,payer\n1,I11.9,acme\n", id="payer", more=target.format("payer"))
    load("source_code,target_code\n1,I15.9\n", id="own")
    tables = load("source_code,target_code\n1,I10\n2,I10\n", id="base", more=target.format("base"))

    assert ask(tables, payer="acme") == ["I11.9"]
    assert ask(tables, payer="beta") == ["I15.9"]
    assert ask(tables, "2") == ["I10"]


def test_a_target_that_says_more_than_its_source_is_confirmed_by_a_person(load: Write) -> None:
    tables = load("source_code,target_code,relationship\n1,I10,source-is-broader-than-target\n")

    assert ask(tables) == "needs_detail"


@pytest.mark.parametrize(
    ("columns", "cells", "where"),
    [
        ("care_setting", "office", "care_setting"),
        ("laterality", "both", "laterality"),
        ("use", "first", "use"),
        ("with", "klingon|1", "with"),
        ("group", "0", "group"),
        ("relationship", "same", "relationship"),
        ("seventh_character", "A", "seventh_character"),
        ("modifiers", "LT", "modifiers"),
    ],
)
def test_a_cell_that_cannot_be_read_is_a_fault(load: Write, columns: str, cells: str, where: str) -> None:
    with pytest.raises(TableError) as caught:
        load(f"source_code,target_code,{columns}\n1,I10,{cells}\n")

    assert [(fault.line, fault.where) for fault in caught.value.faults] == [(2, where)]


def test_a_charge_is_one_line_and_no_combination(load: Write) -> None:
    with pytest.raises(TableError, match="one charge is one line"):
        load(
            "source_code,target_code,group\n1,G0463,2\n", kind="charge", source="local", more='target_system = "hcpcs"'
        )


# --- coded charts


def codes_of(chart: CodedChart) -> list[str]:
    return [one.code.code for one in chart.diagnoses]


def coded_with(tables: Tables, *facts: Fact, place: VisitPlace = NO_PLACE) -> CodedChart:
    return code_chart(good_chart(*facts), tables, "lakeshore", place=place)


def test_a_diagnosis_gives_all_codes_of_its_groups_and_lines_point_to_all(load: Write) -> None:
    chart = coded_with(load(GROUPS), diagnosis(sct("1")), charge("G0463"))

    assert codes_of(chart) == ["E11.22", "N18.30", "Z79.84"]
    assert chart.lines[0].diagnoses == (0, 1, 2)


def test_other_codes_of_the_chart_and_the_use_of_a_diagnosis_are_known_to_its_rows(load: Write) -> None:
    tables = load(
        "source_code,target_code,priority,with,use\n1,I11.9,1,2,\n1,I10,2,,\n2,R53.83,1,,principal\n2,R54,2,,secondary\n"
    )

    assert codes_of(coded_with(tables, diagnosis(sct("1")), diagnosis(sct("2")))) == ["I11.9", "R54"]
    assert codes_of(coded_with(tables, diagnosis(sct("2")))) == ["R53.83"]
    assert codes_of(coded_with(tables, diagnosis(sct("1")))) == ["I10"]


def test_the_feed_and_the_place_of_service_are_known_to_rows(load: Write) -> None:
    tables = load("source_code,target_code,priority,feed,care_setting\n1,I11.9,1,clinic,11\n1,I10,2,,\n")

    assert codes_of(coded_with(tables, diagnosis(sct("1")), place=VisitPlace("clinic", "11"))) == ["I11.9"]
    assert codes_of(coded_with(tables, diagnosis(sct("1")), place=VisitPlace("lab", "11"))) == ["I10"]


def test_the_side_of_a_procedure_comes_from_its_modifier(load: Write) -> None:
    tables = load(
        "source_code,target_code,priority,laterality\n1,G0328,1,left\n1,G0463,2,right\n",
        kind="procedure",
        more='target_system = "hcpcs"',
    )
    left = procedure(sct("1"), modifiers=(Coding("", "LT"),))
    chart = code_chart(chart_of(patient(), visit(), diagnosis(), left), tables)

    assert [line.code.code for line in chart.lines] == ["G0328"]


SIDED = "source_code,target_code,laterality\n1,S83.501A,right\n1,S83.502A,left\n"
LEFT, RIGHT = (Coding("", "LT"),), (Coding("", "RT"),)


def test_the_side_of_a_diagnosis_is_what_the_sender_says_of_it(load: Write) -> None:
    tables = load(SIDED)

    assert codes_of(coded_with(tables, diagnosis(sct("1"), laterality="left"))) == ["S83.502A"]
    assert [gap.reason for gap in coded_with(tables, diagnosis(sct("1"))).gaps] == ["unknown_context"]
    assert codes_of(coded_with(tables, diagnosis(sct("1"), laterality="left"), _for_it("T1", RIGHT))) == ["S83.502A"]


def test_the_side_of_a_diagnosis_is_that_of_all_services_that_name_it(load: Write) -> None:
    tables, one = load(SIDED), diagnosis(sct("1"))

    assert codes_of(coded_with(tables, one, _for_it("T1", LEFT), _for_it("T2", LEFT))) == ["S83.502A"]
    for others in ([_for_it("T2", RIGHT)], [_for_it("T2", ())], [_for_it("T2", (*LEFT, *RIGHT))]):
        assert coded_with(tables, one, _for_it("T1", LEFT), *others).diagnoses == ()
    assert coded_with(tables, one, charge(modifiers=LEFT)).diagnoses == ()  # it does not say that it is for this one


def _for_it(identity: str, modifiers: tuple[Coding, ...]) -> ChargeFact:
    return charge("G0463", identity, modifiers=modifiers, diagnoses=(sct("1"),))


def test_a_row_brings_the_revenue_code_of_an_institutional_line(load: Write) -> None:
    tables = load(
        "source_code,target_code,revenue_code\nED-3,G0463,0450\n",
        kind="charge",
        source="local",
        more='target_system = "hcpcs"',
    )
    coming_coded = charge(item=coded(System.LOCAL, "ED-3"))

    assert coded_with(tables, diagnosis(), charge(coded(System.LOCAL, "ED-3"))).lines[0].revenue_code == "0450"
    assert coded_with(tables, diagnosis(), coming_coded).lines[0].revenue_code == "0450"
    assert coded_with(tables, diagnosis(), charge()).lines[0].revenue_code == ""


@pytest.mark.parametrize("code", ["450", "O450", "04500"])
def test_a_revenue_code_has_four_digits(load: Write, code: str) -> None:
    with pytest.raises(TableError, match="four digits"):
        load(
            f"source_code,target_code,revenue_code\nED-3,G0463,{code}\n",
            kind="charge",
            source="local",
            more='target_system = "hcpcs"',
        )


def test_a_row_brings_modifiers_units_and_the_code_of_giving(load: Write) -> None:
    load("source_code,unit_price\nG0008,30.00\nQ2037,2.00\n", id="fees", kind="fee", source="hcpcs", more="")
    tables = load(
        "source_code,target_code,modifiers,units,administration\n140,Q2037,59,10,G0008\n",
        kind="immunization",
        source="cvx",
        more='target_system = "hcpcs"',
    )
    one, two = coded_with(tables, vaccination("140"), charge(coded(System.CVX, "140"), quantity=Decimal(2))).lines

    assert (one.code.code, one.quantity, [m.code for m in one.modifiers]) == ("Q2037", Decimal(20), ["59"])
    assert (one.net, one.unit_price) == (money("100.00"), money("5.00"))
    assert (two.code.code, two.quantity, two.net) == ("G0008", Decimal(1), money("30.00"))


def test_the_line_of_giving_has_a_revenue_code_of_its_own(load: Write) -> None:
    cells = (
        "source_code,target_code,revenue_code,administration,administration_revenue_code\n140,Q2037,0636,G0008,0771\n"
    )
    tables = load(cells, kind="immunization", source="cvx", more='target_system = "hcpcs"')

    of_charge = coded_with(tables, charge(coded(System.CVX, "140"))).lines
    of_vaccination = code_chart(chart_of(vaccination("140")), tables).lines

    expected = [("Q2037", "0636"), ("G0008", "0771")]
    assert [(line.code.code, line.revenue_code) for line in of_charge] == expected
    assert [(line.code.code, line.revenue_code) for line in of_vaccination] == expected


@pytest.mark.parametrize(
    ("cells", "rule"),
    [("G0008,771", "four digits"), (",0771", "the row names no administration code")],
)
def test_a_revenue_code_of_giving_needs_four_digits_and_a_code_of_giving(load: Write, cells: str, rule: str) -> None:
    with pytest.raises(TableError, match=rule):
        load(
            f"source_code,target_code,administration,administration_revenue_code\n140,Q2037,{cells}\n",
            kind="immunization",
            source="cvx",
            more='target_system = "hcpcs"',
        )


def test_what_a_row_brings_is_not_billed_where_a_charge_bills_it(load: Write) -> None:
    tables = load(
        "source_code,target_code,administration\n140,Q2037,G0008\n",
        kind="immunization",
        source="cvx",
        more='target_system = "hcpcs"',
    )
    chart = coded_with(tables, charge(coded(System.CVX, "140"), "T1"), charge("G0008", "T2"))

    assert [line.code.code for line in chart.lines] == ["Q2037", "G0008"]


# --- check


def test_check_lists_rows_of_two_tables_that_fit_equally_well(load: Write, tmp_path: Path) -> None:
    load("source_code,target_code,valid_from\n38341003,I10,2020-01-01\n", id="a")
    load("source_code,target_code,valid_from\n38341003,I11.9,2020-01-01\n", id="b")

    with CodeSets() as code_sets:
        faults = check_tables([tmp_path], code_sets, ON)

    assert [(fault.where, "fits as well as" in fault.text) for fault in faults] == [("priority", True)]


@pytest.mark.parametrize(("code", "is_one"), [("2345-7", True), ("2345-8", False), ("8480-6", True), ("x", False)])
def test_a_loinc_code_has_its_check_digit(code: str, is_one: bool) -> None:
    assert is_loinc(code) is is_one


def test_check_knows_the_check_digits_of_npi_and_loinc_and_of_other_findings(load: Write, tmp_path: Path) -> None:
    load(
        "source_code,target_code\n1234567890,x\n",
        id="npi",
        kind="concept",
        source=System.NPI,
        more="",
    )
    load("source_code,target_code,valid_from\n2345-8,I10,2020-01-01\n", id="ln", source="loinc")
    load("source_code,target_code,valid_from,with\n38341003,I10,2020-01-01,123456\n", id="sct")

    with CodeSets() as code_sets:
        found = {(Path(fault.file).stem, fault.where) for fault in check_tables([tmp_path], code_sets, ON)}

    assert found == {("npi", "source_code"), ("ln", "source_code"), ("sct", "with")}
